/* What hosts are, from their rows and from what each told when it connected: a read never waits for a host. */
#include "core/host/host.h"

static const enum sv_err missing[] = {
    [SV_FACT_CPU] = SV_E_INFO_CPU, [SV_FACT_MEMORY] = SV_E_INFO_MEMORY, [SV_FACT_HARDWARE] = SV_E_INFO_HARDWARE};

void sv_host_told(struct sv_cloud *c, struct sv_cloud_host *h, const struct sv_hv_info *info)
{
    pthread_mutex_lock(&c->host_mutex);
    h->info = *info;
    h->told = true;
    pthread_mutex_unlock(&c->host_mutex);
}

static bool told(struct sv_cloud *c, const struct sv_id *host, struct sv_hv_info *ret)
{
    bool found = false;

    SV_HOST h = sv_host_hold(c, host);

    if (!h)
        return false;
    pthread_mutex_lock(&c->host_mutex);
    found = h->told;
    if (found)
        *ret = h->info;
    pthread_mutex_unlock(&c->host_mutex);
    return found;
}

int64_t sv_vcpu_overcommit(const struct sv_cloud *c)
{
    return (int64_t)(c->vcpu_overcommit * 100);
}

struct search {
    struct sv_cloud *c;
    const struct sv_id *only; /* NULL = all */
    void (*row)(void *arg, const struct sv_host_facts *f);
    void *arg;
    bool met, found;
};

static void look_at(void *arg, const struct sv_host *h)
{
    struct search *s = arg;
    struct sv_host_facts f = {.host = h};

    if (s->only && !sv_id_eq(s->only, &h->id))
        return;
    s->met = true;
    if (!told(s->c, &h->id, &f.info))
        return;
    s->found = true;
    s->row(s->arg, &f);
}

enum sv_err sv_host_facts(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, enum sv_fact what,
                          const char *host, void (*row)(void *arg, const struct sv_host_facts *f), void *arg,
                          struct sv_error *err)
{
    struct search s = {.c = c, .row = row, .arg = arg};
    struct sv_id id;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc && host) {
        rc = sv_check_id(host, SV_E_HOST_NOT_FOUND, SV_F_HOST, &id, err);
        s.only = &id;
    }
    if (!rc)
        rc = sv_host_list(tx, look_at, &s, err);
    if (!rc && host && !s.met)
        rc = sv_fail(err, SV_E_HOST_NOT_FOUND, SV_F_HOST);
    return rc || s.found ? rc : sv_fail(err, missing[what], SV_F_HOST);
}

/* --- services --------------------------------------------------------------------------------------- */

struct services {
    void (*row)(void *arg, const struct sv_service *s);
    void *arg;
};

static void put_host(void *arg, const struct sv_host *h)
{
    const struct services *s = arg;

    s->row(s->arg,
           &(struct sv_service){.name = h->name, .kind = "hypervisor", .version = h->virt_version, .up = h->connected});
}

enum sv_err sv_service_search(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                              void (*row)(void *arg, const struct sv_service *s), void *arg, struct sv_error *err)
{
    struct services s = {row, arg};
    enum sv_err rc = sv_admin_only(who, err);

    if (rc)
        return rc;
    row(arg, &(struct sv_service){.name = "starvirtd", .kind = "server", .version = STARVIRT_VERSION, .up = true});
    row(arg, &(struct sv_service){.name = c->net->ops->name, .kind = "network", .version = "", .up = true});
    return sv_host_list(tx, put_host, &s, err);
}
