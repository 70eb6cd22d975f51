/* When undos that are pending are gone on with: what they waited for has happened (the guest runs or is off, the host
 * is back, the object is free), or their time has come. A job does the work (sv_jobs_finish_undo). */
#include "core/host/sync.h"
#include "starvirt/log.h"

enum { AT_ONCE = 64 };
/* [ms] Of a kind that this program does not know nothing comes of trying: a newer one may. */
enum { BUSY_MS = 1000, HOPELESS_MS = 3600 * 1000 };

struct found {
    struct sv_pending v[AT_ONCE];
    unsigned n;
    int64_t next, all;
};

static void add(void *arg, const struct sv_pending *p)
{
    struct found *f = arg;

    if (f->n < AT_ONCE)
        f->v[f->n++] = *p;
}

static enum sv_err read_ready(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct found *f = arg;
    enum sv_err rc = sv_pending_ready(tx, AT_ONCE, add, f, err);

    if (!rc)
        rc = sv_pending_next(tx, &f->next, err);
    return rc ? rc : sv_pending_count(tx, &f->all, err);
}

struct finish {
    struct sv_cloud *c;
    const struct sv_pending *p;
    int64_t later; /* [ms] */
};

/* Looked at again where nothing can change under it. */
static enum sv_err finish(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct finish *a = arg;
    struct sv_pending now;
    struct sv_id startid;
    bool found = false;
    enum sv_err rc = sv_pending_get(tx, &a->p->job, &now, &found, err);

    return rc || !found || !sv_id_empty(&now.finisher) ? rc : sv_jobs_finish_undo(a->c->jobs, tx, &now, &startid, err);
}

static enum sv_err put_off(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct finish *a = arg;
    struct sv_pending p = *a->p;

    p.due = sv_tx_now(tx) + a->later;
    return sv_pending_put(tx, &p, err);
}

static void begin(struct sv_cloud *c, const struct sv_pending *p)
{
    struct finish a = {c, p, BUSY_MS};
    struct sv_error e;
    enum sv_err rc = sv_db_write(c->db, finish, &a, &e);

    if (!rc || rc == SV_E_SHUTTING_DOWN)
        return;
    if (rc != SV_E_OBJECT_LOCKED) {
        sv_log(SV_LOG_WARN, "undo.pending", "startid", p->job.s, "error", sv_err_symbol(rc), NULL);
        a.later = HOPELESS_MS;
    }
    (void)sv_db_write(c->db, put_off, &a, &e);
}

int64_t sv_pending_go_on(struct sv_cloud *c)
{
    SV_AUTOFREE struct found *f = sv_alloc(sizeof(*f));
    struct sv_error e;

    f->next = INT64_MAX;
    if (sv_db_read(c->db, read_ready, f, &e))
        return sv_now_ms() + 1000;
    atomic_store(&c->undos_pending, f->all);
    for (unsigned i = 0; i < f->n; i++)
        begin(c, &f->v[i]);
    return f->next;
}

int64_t sv_cloud_undos_pending(struct sv_cloud *c)
{
    return atomic_load(&c->undos_pending);
}
