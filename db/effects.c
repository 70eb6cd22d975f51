/* What write closures leave behind for after the commit, and work that goes on in further closures. */
#include <assert.h>

#include "db/engine.h"

/* --- what closures leave behind ------------------------------------------------------------------------- */

void sv_effects_init(struct sv_effects *e)
{
    *e = (struct sv_effects){.hooks_end = &e->hooks, .marks_end = &e->marks, .jobs_end = &e->jobs};
}

/* Back to what was there when `was` was taken. */
void sv_effects_cut(struct sv_effects *e, const struct sv_effects *was)
{
    *e = *was;
    *e->hooks_end = NULL;
    *e->marks_end = NULL;
    *e->jobs_end = NULL;
}

void sv_tx_on_commit(struct sv_tx *tx, void (*fn)(void *arg), void *arg)
{
    assert(tx->writable);
    struct sv_hook *h = sv_arena_alloc(tx->arena, sizeof(*h));
    *h = (struct sv_hook){.fn = fn, .arg = arg};
    *tx->effects->hooks_end = h;
    tx->effects->hooks_end = &h->next;
}

void sv_tx_job_changed(struct sv_tx *tx, const struct sv_id *job)
{
    assert(tx->writable);
    struct sv_changed_job *j = sv_arena_alloc(tx->arena, sizeof(*j));
    j->id = *job;
    *tx->effects->jobs_end = j;
    tx->effects->jobs_end = &j->next;
    tx->effects->job_count++;
}

void sv_tx_events_added(struct sv_tx *tx)
{
    assert(tx->writable);
    tx->effects->events = true;
}

void sv_tx_tokens_gone(struct sv_tx *tx)
{
    assert(tx->writable);
    tx->effects->tokens = true;
}

void sv_tx_alarms_to_tell(struct sv_tx *tx)
{
    assert(tx->writable);
    tx->effects->alarms = true;
}

/* --- telling of them after the commit ----------------------------------------------------------------------- */

/* Calls once per distinct job, in order of first change. */
static void tell_jobs(const struct sv_effects *e, struct sv_arena *arena, sv_change_fn change, void *arg)
{
    uint32_t size = 4;
    while (size < e->job_count * 2)
        size *= 2;
    const struct sv_id **seen = sv_arena_alloc(arena, size * sizeof(*seen));
    for (const struct sv_changed_job *j = e->jobs; j; j = j->next) {
        uint32_t i = sv_hash(j->id.s) & (size - 1);
        while (seen[i] && !sv_id_eq(seen[i], &j->id))
            i = (i + 1) & (size - 1);
        if (seen[i])
            continue;
        seen[i] = &j->id;
        change(arg, &j->id);
    }
}

void sv_effects_tell(struct sv_db *db, const struct sv_effects *e)
{
    pthread_mutex_lock(&db->mutex);
    sv_change_fn change = db->change;
    void *arg = db->change_arg, *tokens_arg = db->tokens_arg, *alarms_arg = db->alarms_arg;
    void (*tokens)(void *arg) = db->tokens, (*alarms)(void *arg) = db->alarms;
    pthread_mutex_unlock(&db->mutex);
    if (e->tokens && tokens)
        tokens(tokens_arg);
    if (e->alarms && alarms)
        alarms(alarms_arg);
    if (!change)
        return;
    if (e->jobs)
        tell_jobs(e, db->arena, change, arg);
    if (e->events)
        change(arg, NULL);
}

/* --- work in several closures --------------------------------------------------------------------------- */

struct rest {
    struct sv_db_work work; /* first: freed as one piece when it is done */
    struct sv_db *db;
    enum sv_err (*fn)(struct sv_tx *tx, int64_t number, struct sv_error *err);
    int64_t number;
};

static enum sv_err run_rest(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct rest *r = arg;
    return r->fn(tx, r->number, err);
}

static void post_rest(void *arg)
{
    const struct rest *r = arg;
    pthread_mutex_lock(&r->db->mutex);
    bool stop = r->db->stop;
    pthread_mutex_unlock(&r->db->mutex);
    if (stop)
        return;
    struct rest *own = sv_alloc(sizeof(*own));
    *own = *r;
    own->work.fn = run_rest;
    own->work.arg = own;
    sv_db_post(own->db, &own->work);
}

void sv_tx_go_on(struct sv_tx *tx, enum sv_err (*fn)(struct sv_tx *tx, int64_t number, struct sv_error *err),
                 int64_t number)
{
    struct rest *r = sv_arena_alloc(tx->arena, sizeof(*r));
    *r = (struct rest){.db = tx->db, .fn = fn, .number = number};
    sv_tx_on_commit(tx, post_rest, r);
}

enum sv_err sv_expire(struct sv_tx *tx, const struct sv_sql_table *table, unsigned index, int64_t older_than,
                      enum sv_err (*again)(struct sv_tx *tx, int64_t older_than, struct sv_error *err),
                      struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, table, index);
    int n;
    enum sv_err rc;

    assert(tx->writable);
    sv_bind(st, "iI", older_than, (int)SV_EXPIRE_AT_ONCE);
    rc = sv_exec(tx, st, &n, err);
    if (!rc && n == SV_EXPIRE_AT_ONCE)
        sv_tx_go_on(tx, again, older_than);
    return rc;
}
