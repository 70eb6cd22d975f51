/* Storages as the hosts have to know them: opened again at every connect, because hypervisors forget them
 * with the connection, and before anything is made or removed there. */
#include "core/storage/storage.h"

enum { OPEN_LIMIT_MS = 60 * 1000 };

enum sv_hv_pool_kind sv_storage_kind(const char *type)
{
    if (strcmp(type, "ceph") == 0)
        return SV_HV_POOL_RBD;
    return strcmp(type, "nfs") == 0 ? SV_HV_POOL_NFS : SV_HV_POOL_DIR;
}

static enum sv_err pool_of(struct sv_db *db, struct sv_secrets *secrets, const struct sv_storage *s,
                           struct sv_hv_pool *ret, struct sv_error *err)
{
    *ret = (struct sv_hv_pool){.id = s->id, .kind = sv_storage_kind(s->type), .known = s->ready};
    SV_COPY(ret->path, s->location);
    SV_COPY(ret->monitors, s->monitors);
    SV_COPY(ret->rbd_pool, s->pool);
    SV_COPY(ret->rbd_user, s->user);
    if (ret->kind != SV_HV_POOL_RBD)
        return SV_OK;
    return sv_secret_read(secrets, db, &s->id, SV_SECRET_CEPH, ret->rbd_key, sizeof(ret->rbd_key), err);
}

static enum sv_err open_row(struct sv_db *db, struct sv_secrets *secrets, struct sv_hv_host *h,
                            const struct sv_storage *s, const struct sv_deadline *d, struct sv_error *err)
{
    const struct sv_deadline within = sv_deadline_within(d, OPEN_LIMIT_MS);
    struct sv_hv_pool pool;
    enum sv_err rc = pool_of(db, secrets, s, &pool, err);

    if (!rc)
        rc = SV_HV_CALL(h, pool_open, &pool, &within);
    explicit_bzero(&pool, sizeof(pool));
    return rc;
}

struct lookup {
    const struct sv_id *id;
    struct sv_arena *a;
    struct sv_storage s;
};

static enum sv_err look_up(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct lookup *l = arg;

    return sv_storage_get(tx, l->id, l->a, &l->s, err);
}

enum sv_err sv_storage_read(struct sv_cloud *c, const struct sv_id *id, struct sv_arena *a, struct sv_storage *ret,
                            struct sv_error *err)
{
    struct lookup l = {.id = id, .a = a};
    enum sv_err rc = sv_db_read(c->db, look_up, &l, err);

    if (!rc)
        *ret = l.s;
    return rc;
}

enum sv_err sv_storage_open(struct sv_cloud *c, struct sv_hv_host *h, const struct sv_id *id, struct sv_arena *a,
                            const struct sv_deadline *d, struct sv_error *err)
{
    struct sv_storage s;
    enum sv_err rc = sv_storage_read(c, id, a, &s, err);

    return rc || s.own ? rc : open_row(c->db, c->secrets, h, &s, d, err);
}

struct sv_hv_disk sv_hv_disk_of(const struct sv_disk *d)
{
    struct sv_hv_disk v = {.id = d->id, .size = d->size, .template_id = d->template_id};

    if (d->elsewhere)
        v.pool = d->storage;
    SV_COPY(v.target, d->target);
    return v;
}

enum sv_err sv_disks_open(struct sv_cloud *c, struct sv_hv_host *h, const struct sv_disk *disks, unsigned n,
                          struct sv_arena *a, const struct sv_deadline *d, struct sv_error *err)
{
    const struct sv_id *last = NULL;
    enum sv_err rc = SV_OK;

    for (unsigned i = 0; !rc && i < n; i++) {
        if (!disks[i].elsewhere || (last && sv_id_eq(last, &disks[i].storage)))
            continue;
        last = &disks[i].storage;
        rc = sv_storage_open(c, h, last, a, d, err);
    }
    return rc;
}

struct find_disk {
    const struct sv_id *id;
    struct sv_arena *a;
    struct sv_disk d;
};

static enum sv_err find_disk(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct find_disk *f = arg;

    return sv_disk_get(tx, sv_scope_system(), f->id, f->a, &f->d, err);
}

enum sv_err sv_disk_read(struct sv_cloud *c, const struct sv_id *id, struct sv_arena *a, struct sv_disk *ret,
                         struct sv_error *err)
{
    struct find_disk f = {.id = id, .a = a};
    enum sv_err rc = sv_db_read(c->db, find_disk, &f, err);

    if (!rc)
        *ret = f.d;
    return rc;
}

enum sv_err sv_step_open_disk(struct sv_run *r, struct sv_hv_host *h, const struct sv_id *disk, struct sv_error *err)
{
    struct sv_disk d;
    enum sv_err rc = sv_disk_read(sv_run_app(r), disk, sv_run_arena(r), &d, err);

    if (rc == SV_E_DISK_NOT_FOUND) /* its row is gone, and with it what there was to do */
        return SV_OK;
    return rc ? rc : sv_disks_open(sv_run_app(r), h, &d, 1, sv_run_arena(r), sv_run_deadline(r), err);
}

/* --- all of a host ---------------------------------------------------------------------------------- */

struct rows {
    struct sv_arena *a;
    const struct sv_id *host;
    struct sv_storage *v;
    size_t n, cap;
};

static void add_row(void *arg, const struct sv_storage *s)
{
    struct rows *l = arg;

    if (!s->ready) /* the business of the job that adds or removes it */
        return;
    l->v = sv_grow(l->v, l->n, &l->cap, sizeof(*l->v));
    l->v[l->n] = *s;
    l->v[l->n].name = sv_arena_strdup(l->a, s->name);
    l->v[l->n].descr = sv_arena_strdup(l->a, s->descr);
    l->v[l->n].type = sv_arena_strdup(l->a, s->type);
    l->v[l->n].location = sv_arena_strdup(l->a, s->location);
    l->v[l->n].monitors = sv_arena_strdup(l->a, s->monitors);
    l->v[l->n].pool = sv_arena_strdup(l->a, s->pool);
    l->v[l->n].user = sv_arena_strdup(l->a, s->user);
    l->n++;
}

static enum sv_err read_rows(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct rows *l = arg;

    return sv_storage_list_host(tx, l->host, add_row, l, err);
}

enum sv_err sv_storages_open_all(struct sv_db *db, struct sv_secrets *secrets, struct sv_hv_host *h,
                                 const struct sv_id *host,
                                 void (*each)(void *arg, const struct sv_storage *s, const struct sv_error *failed),
                                 void *arg, unsigned *ret_failed, struct sv_error *err)
{
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    struct rows l = {.a = a, .host = host};
    enum sv_err rc = sv_db_read(db, read_rows, &l, err);

    *ret_failed = 0;
    for (size_t i = 0; !rc && i < l.n; i++) {
        struct sv_error e = {0};
        const bool failed = open_row(db, secrets, h, &l.v[i], NULL, &e) != SV_OK;

        *ret_failed += failed;
        each(arg, &l.v[i], failed ? &e : NULL);
    }
    free(l.v);
    return rc;
}

struct usage {
    struct sv_id id;
    int64_t size, used;
};

static enum sv_err write_usage(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct usage *u = arg;

    return sv_storage_set_usage(tx, &u->id, u->size, u->used, err);
}

enum sv_err sv_storage_measure(struct sv_cloud *c, struct sv_hv_host *h, const struct sv_id *id,
                               const struct sv_deadline *d, struct sv_error *err)
{
    struct usage u = {.id = *id};
    enum sv_err rc = SV_HV_CALL(h, pool_info, id, &u.size, &u.used, d);

    return rc ? rc : sv_db_write(c->db, write_usage, &u, err);
}

struct opening {
    struct sv_cloud *c;
    struct sv_hv_host *h;
};

static void opened(void *arg, const struct sv_storage *s, const struct sv_error *failed)
{
    const struct opening *o = arg;
    const struct sv_deadline d = sv_deadline_within(NULL, OPEN_LIMIT_MS);
    struct sv_error e;
    char text[256];

    if (!failed && sv_storage_measure(o->c, o->h, &s->id, &d, &e))
        failed = &e;
    if (!failed)
        return;
    sv_err_text(failed, SV_LANG_EN, text, sizeof(text));
    sv_log(SV_LOG_WARN, "storage.unusable", "storage", s->id.s, "host", sv_hv_host_name(o->h), "error", text, NULL);
}

bool sv_storages_connect(struct sv_cloud *c, struct sv_cloud_host *h)
{
    struct opening o = {c, h->hv};
    struct sv_error e;
    unsigned failed;

    return sv_storages_open_all(c->db, c->secrets, h->hv, &h->id, opened, &o, &failed, &e) == SV_OK && failed == 0;
}

struct counted {
    const struct sv_id *host;
    unsigned n;
};

static void count_row(void *arg, const struct sv_storage *s)
{
    struct counted *n = arg;

    (void)s;
    n->n++;
}

static enum sv_err count_rows(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct counted *n = arg;

    return sv_storage_list_host(tx, n->host, count_row, n, err);
}

bool sv_storages_any(struct sv_cloud *c, const struct sv_id *host)
{
    struct counted n = {.host = host};
    struct sv_error e;

    return sv_db_read(c->db, count_rows, &n, &e) != SV_OK || n.n > 0;
}
