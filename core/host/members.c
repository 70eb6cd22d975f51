/* Hosts that come and go by request (StarVCenter 2.14 and ours): their rows. What becomes of their drivers is
 * door.c's. */
#include "core/host/host.h"
#include "core/place/place.h"

enum { MIN_OVERCOMMIT = 10, MAX_OVERCOMMIT = 6400, MAX_MEMORY_OVERCOMMIT = 1000 }; /* [%] */

/* --- what is wanted --- */

static enum sv_err check_uri(const char *uri, const char **ret_driver, struct sv_error *err)
{
    const size_t n = strlen(uri);
    unsigned hosts = 0;

    if (n == 0 || n > SV_MAX_STR)
        return sv_fail(err, SV_E_PARAM_LENGTH, SV_F_HOST_URI, sv_dec(SV_MAX_STR).s);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)uri[i] <= ' ' || (unsigned char)uri[i] >= 127)
            return sv_fail(err, SV_E_HOST_URI, SV_F_HOST_URI, "blanks and what is no ASCII are not part of a URI");
    struct sv_error why;
    if (sv_hv_check(uri, ret_driver, &hosts, &why))
        return sv_fail(err, SV_E_HOST_URI, SV_F_HOST_URI, why.arg[0]);
    return hosts == 1 ? SV_OK
                      : sv_fail(err, SV_E_HOST_URI, SV_F_HOST_URI, "it names several hosts: add each by itself");
}

static enum sv_err check_overcommit(const struct sv_host_wish *w, struct sv_error *err)
{
    enum sv_err rc = SV_OK;

    if (w->vcpu_overcommit > 0 || w->vcpu_overcommit < -1)
        rc = sv_check_count(w->vcpu_overcommit, MIN_OVERCOMMIT, MAX_OVERCOMMIT, SV_F_VCPU_OVERCOMMIT, err);
    if (!rc && (w->memory_overcommit > 0 || w->memory_overcommit < -1))
        rc = sv_check_count(w->memory_overcommit, MIN_OVERCOMMIT, MAX_MEMORY_OVERCOMMIT, SV_F_MEMORY_OVERCOMMIT, err);
    return rc;
}

/* Takes over into `h` what is said. */
static enum sv_err take_wish(struct sv_tx *tx, const struct sv_host_wish *w, struct sv_host *h, struct sv_error *err)
{
    enum sv_err rc = sv_check_name(w->name, SV_F_HOST_NAME, err);

    if (!rc)
        rc = sv_check_descr(w->descr, SV_F_NONE, err);
    if (!rc)
        rc = check_overcommit(w, err);
    if (!rc && w->labels)
        rc = sv_labels_read(w->labels, SV_F_LABELS, sv_tx_arena(tx), &h->labels, err);
    if (rc)
        return rc;
    h->name = w->name ? w->name : h->name;
    h->descr = w->descr ? w->descr : h->descr;
    h->vcpu_overcommit = w->vcpu_overcommit >= 0 ? w->vcpu_overcommit : h->vcpu_overcommit;
    h->memory_overcommit = w->memory_overcommit >= 0 ? w->memory_overcommit : h->memory_overcommit;
    return SV_OK;
}

/* --- acceptance --- */

enum sv_err sv_host_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *uri,
                        const struct sv_host_wish *w, struct sv_id *ret, struct sv_error *err)
{
    struct sv_host h = {.id = sv_id_new(),
                        .name = "",
                        .descr = "",
                        .uri = uri,
                        .driver = "",
                        .added = true,
                        .labels = "",
                        .created = sv_tx_now(tx)};
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = take_wish(tx, w, &h, err);
    if (!rc && !w->name)
        rc = sv_fail(err, SV_E_PARAM_MISSING, SV_F_HOST_NAME);
    if (!rc)
        rc = check_uri(uri, &h.driver, err);
    if (!rc && sv_hosts_count(c) >= SV_MAX_HOSTS)
        rc = sv_fail(err, SV_E_HOST_LIMIT, SV_F_NONE, sv_dec(SV_MAX_HOSTS).s);
    if (!rc)
        rc = sv_host_insert(tx, &h, err);
    if (!rc)
        rc = sv_cloud_event(tx, "host.added", "host", &h.id, &(struct sv_id){.s = ""}, h.name, err);
    if (rc)
        return rc;
    sv_host_door_open(c, tx, &h.id, uri);
    *ret = h.id;
    return SV_OK;
}

static enum sv_err find(struct sv_tx *tx, const struct sv_actor *who, const char *host, struct sv_host *ret,
                        struct sv_error *err)
{
    struct sv_id id;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = sv_check_id(host, SV_E_HOST_NOT_FOUND, SV_F_HOST, &id, err);
    return rc ? rc : sv_host_get(tx, &id, sv_tx_arena(tx), ret, err);
}

enum sv_err sv_host_modify(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *host,
                           const struct sv_host_wish *w, struct sv_error *err)
{
    struct sv_host h;
    enum sv_err rc = find(tx, who, host, &h, err);

    if (!rc)
        rc = take_wish(tx, w, &h, err);
    return rc ? rc : sv_host_update(tx, &h, sv_vcpu_overcommit(c), err);
}

static bool is_given(struct sv_cloud *c, const struct sv_id *host)
{
    SV_HOST h = sv_host_hold(c, host);

    return h && h->given;
}

enum sv_err sv_host_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *host,
                           struct sv_error *err)
{
    struct sv_host h;
    enum sv_err rc = find(tx, who, host, &h, err);

    if (!rc && is_given(c, &h.id))
        rc = sv_fail(err, SV_E_HOST_GIVEN, SV_F_HOST);
    if (!rc)
        rc = sv_host_delete(tx, &h.id, err);
    if (!rc)
        rc = sv_cloud_event(tx, "host.removed", "host", &h.id, &(struct sv_id){.s = ""}, h.name, err);
    if (!rc)
        sv_host_door_close(c, tx, &h.id);
    return rc;
}

/* --- maintenance --- */

enum sv_err sv_host_mend(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *host, bool on,
                         struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_host h;
    enum sv_err rc = find(tx, who, host, &h, err);

    if (!rc)
        rc = sv_host_set_maintenance(tx, &h.id, on, err);
    if (rc)
        return rc;
    const struct sv_job_spec spec = {.kind = &sv_kind_host_mend,
                                     .tenant = who->tenant,
                                     .object = h.id,
                                     .object_type = "host",
                                     .object_name = h.name,
                                     .iarg = {on}};
    rc = sv_jobs_accept(c->jobs, tx, &spec, ret_startid, err);
    return sv_locked_as(rc, SV_E_HOST_LOCKED, SV_F_HOST, err);
}

struct staying {
    const struct sv_id *host;
    uint64_t vms;
};

static void count_vm(void *arg, const struct sv_vm *vm)
{
    struct staying *s = arg;

    (void)vm;
    s->vms++;
}

static enum sv_err count_staying(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct staying *s = arg;

    return sv_vm_list_host(tx, s->host, count_vm, s, err);
}

/* Nothing new is placed there since it was accepted: what is left to do is to say what stays. */
static enum sv_err say(struct sv_run *r, struct sv_error *err)
{
    const struct sv_job *job = sv_run_job(r);
    struct staying s = {.host = &job->object};
    enum sv_err rc = job->iarg[0] ? sv_db_read(sv_run_db(r), count_staying, &s, err) : SV_OK;

    if (rc)
        return rc;
    if (!job->iarg[0])
        sv_run_note(r, SV_LOG_INFO, SV_N_HOST_OPEN, NULL);
    else
        sv_run_note(r, s.vms ? SV_LOG_WARN : SV_LOG_INFO, SV_N_HOST_MENDING, sv_dec((int64_t)s.vms).s, NULL);
    return SV_OK;
}

static const struct sv_step mend_steps[] = {
    {.name = "maintenance", .title_zh = "切换维护模式", .title_en = "change maintenance", .weight = 1, .run = say},
};
const struct sv_job_kind sv_kind_host_mend = {.name = "host.maintenance",
                                              .title_zh = "主机维护",
                                              .title_en = "host maintenance",
                                              .lock_code = SV_LOCK_MOVING,
                                              .deadline_ms = 60 * 1000,
                                              .resumable = true,
                                              SV_STEPS(mend_steps)};
