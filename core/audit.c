/* Hosts against rows, both ways: no domain, volume or template without its row, no row without them. */
#include <stdio.h>
#include <time.h>

#include "core/storage/storage.h"

enum { CONNECT_LIMIT_MS = 15 * 1000, ASK_LIMIT_MS = 60 * 1000 };

struct audit {
    struct sv_db *db;
    struct sv_secrets *secrets;
    struct sv_hv_host *host;
    struct sv_id host_row;
    void (*breach)(void *arg, const char *line);
    void *arg;
    unsigned n;
    struct sv_ids domains, volumes; /* what the host holds, sorted */
};

static void report(struct audit *a, const char *what, const struct sv_id *id)
{
    char line[256];

    snprintf(line, sizeof(line), "host %s: %s %s", sv_hv_host_name(a->host), what, id->s);
    a->breach(a->arg, line);
    a->n++;
}

static void add_domain(void *arg, const struct sv_id *vm, const char *name, const struct sv_hv_state *s)
{
    struct audit *a = arg;

    (void)name;
    (void)s;
    if (!sv_id_empty(vm))
        sv_ids_add(&a->domains, vm);
}

static void add_volume(void *arg, const struct sv_id *volume, bool is_template, int64_t bytes)
{
    struct audit *a = arg;

    (void)is_template;
    (void)bytes;
    sv_ids_add(&a->volumes, volume);
}

/* --- rows without things ---------------------------------------------------------------------------- */

static void check_disk(void *arg, const struct sv_disk *d)
{
    struct audit *a = arg;

    if (d->ready && !sv_ids_have(&a->volumes, &d->id))
        report(a, "no volume of disk", &d->id);
}

static void add_vm(void *arg, const struct sv_vm *v)
{
    sv_ids_add(arg, &v->id);
}

static void check_template(void *arg, const struct sv_template *t)
{
    struct audit *a = arg;

    if (t->state == SV_TEMPLATE_READY && !sv_ids_have(&a->volumes, &t->id))
        report(a, "no image of template", &t->id);
}

static enum sv_err check_rows(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct audit *a = arg;
    const struct sv_template_filter any = {.name = NULL};
    const struct sv_page all = {0};
    struct sv_ids vms = {0};
    uint64_t total;
    enum sv_err rc = sv_vm_list_host(tx, &a->host_row, add_vm, &vms, err);

    for (size_t i = 0; !rc && i < vms.n; i++) {
        if (!sv_ids_have(&a->domains, &vms.v[i]))
            report(a, "no domain of VM", &vms.v[i]);
        rc = sv_disk_list_vm(tx, sv_scope_system(), &vms.v[i], check_disk, a, err);
    }
    sv_ids_free(&vms);
    if (!rc)
        rc = sv_disk_list_volumes(tx, &a->host_row, check_disk, a, err);
    return rc ? rc : sv_template_list(tx, sv_scope_system(), &any, &all, check_template, a, &total, err);
}

/* --- things without rows ---------------------------------------------------------------------------- */

static enum sv_err check_things(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct audit *a = arg;
    struct sv_arena *arena = sv_tx_arena(tx);

    (void)err;
    for (size_t i = 0; i < a->domains.n; i++) {
        struct sv_vm v;
        struct sv_error e;

        if (sv_vm_get(tx, sv_scope_system(), &a->domains.v[i], arena, &v, &e) || !sv_id_eq(&v.host, &a->host_row))
            report(a, "domain without a VM", &a->domains.v[i]);
    }
    for (size_t i = 0; i < a->volumes.n; i++) {
        struct sv_disk d;
        struct sv_template t;
        struct sv_error e;

        if (sv_disk_get(tx, sv_scope_system(), &a->volumes.v[i], arena, &d, &e) &&
            sv_template_get(tx, sv_scope_system(), &a->volumes.v[i], arena, &t, &e))
            report(a, "volume without a disk or template", &a->volumes.v[i]);
    }
    return SV_OK;
}

struct find_row {
    const char *uri;
    int index;
    struct sv_id id;
};

static void match_row(void *arg, const struct sv_host *h)
{
    struct find_row *f = arg;

    if (strcmp(h->uri, f->uri) == 0 && h->index == f->index)
        f->id = h->id;
}

static enum sv_err find_row(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_host_list(tx, match_row, arg, err);
}

/* --- one host after another ------------------------------------------------------------------------- */

static void ignore_host(void *arg, struct sv_hv_host *h, bool connected, const char *why)
{
    (void)arg, (void)h, (void)connected, (void)why;
}
static void ignore_power(void *arg, struct sv_hv_host *h, const struct sv_id *vm, enum sv_hv_power now)
{
    (void)arg, (void)h, (void)vm, (void)now;
}
static void ignore_agent(void *arg, struct sv_hv_host *h, const struct sv_id *vm, bool up)
{
    (void)arg, (void)h, (void)vm, (void)up;
}

static enum sv_err wait_connected(struct sv_hv_host *h, struct sv_error *err)
{
    const struct sv_deadline d = sv_deadline_within(NULL, CONNECT_LIMIT_MS);
    const struct timespec tick = {.tv_nsec = 20 * 1000 * 1000};

    while (!sv_hv_connected(h)) {
        if (sv_deadline_over(&d))
            return sv_fail(err, SV_E_HOST_DOWN, SV_F_HOST, sv_hv_host_name(h));
        nanosleep(&tick, NULL);
    }
    return SV_OK;
}

/* Closed ones show nothing: what is there would seem to be gone. */
static void check_open(void *arg, const struct sv_storage *s, const struct sv_error *failed)
{
    if (failed)
        report(arg, "cannot open storage", &s->id);
}

static enum sv_err audit_host(struct audit *a, struct sv_error *err)
{
    unsigned failed;
    const struct sv_deadline d = sv_deadline_within(NULL, ASK_LIMIT_MS);
    enum sv_err rc = wait_connected(a->host, err);

    if (!rc)
        rc = sv_storages_open_all(a->db, a->secrets, a->host, &a->host_row, check_open, a, &failed, err);
    if (!rc)
        rc = SV_HV_CALL(a->host, list, add_domain, a, &d);
    if (!rc)
        rc = SV_HV_CALL(a->host, list_volumes, add_volume, a, &d);
    if (rc)
        return rc;
    sv_ids_sort(&a->domains);
    sv_ids_sort(&a->volumes);
    rc = sv_db_read(a->db, check_rows, a, err);
    return rc ? rc : sv_db_read(a->db, check_things, a, err);
}

static enum sv_err audit_uri(struct sv_db *db, const char *uri, const struct sv_hv_options *opt, struct audit *total,
                             struct sv_error *err)
{
    const struct sv_hv_events quiet = {.host = ignore_host, .power = ignore_power, .agent = ignore_agent};
    struct sv_hv *hv;
    enum sv_err rc = sv_hv_open(uri, opt, &quiet, &hv, err);

    if (rc)
        return rc;
    for (unsigned i = 0; !rc && i < sv_hv_host_count(hv); i++) {
        struct find_row f = {.uri = uri, .index = (int)i};
        struct audit a = {.db = db,
                          .secrets = total->secrets,
                          .host = sv_hv_host_at(hv, i),
                          .breach = total->breach,
                          .arg = total->arg};

        rc = sv_db_read(db, find_row, &f, err);
        a.host_row = f.id;
        if (!rc)
            rc = audit_host(&a, err);
        total->n += a.n;
        sv_ids_free(&a.domains);
        sv_ids_free(&a.volumes);
    }
    sv_hv_close(hv);
    return rc;
}

enum sv_err sv_audit_hosts(struct sv_db *db, const char *const *connect, unsigned n, const struct sv_hv_options *hv,
                           void (*breach)(void *arg, const char *line), void *arg, unsigned *ret_n,
                           struct sv_error *err)
{
    struct audit total = {.breach = breach, .arg = arg};
    enum sv_err rc = sv_secrets_open(hv->data_dir, &total.secrets, err);

    for (unsigned i = 0; !rc && i < n; i++)
        rc = audit_uri(db, connect[i], hv, &total, err);
    sv_secrets_close(total.secrets);
    if (!rc)
        *ret_n = total.n;
    return rc;
}
