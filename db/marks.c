/* Rank marks: for the VM list of a tenant, and of all, a sparse array of (key, rows up to that key), so
 * that row N of a list in order of (created, id) is found without counting N index entries.
 *
 * A line of marks is built by the first deep page that asks for it and then kept exact by every commit.
 * A reader trusts it only when no commit touched marks since before its snapshot was opened: `version` is
 * odd while such a commit is under way and moves on with each. Otherwise the reader counts as without marks. */
#include <stdlib.h>

#include "db/engine.h"

#define GAP      64
#define GAP_LOST (2 * GAP) /* inserts in the middle made it this wide: build anew */

struct key {
    int64_t created;
    struct sv_id id;
};
struct mark {
    struct key key;
    uint64_t upto; /* how many rows have a key up to this one (which itself may be gone) */
};
struct line {
    struct sv_id tenant; /* empty: all */
    struct mark *marks;
    size_t n, cap;
    struct key last; /* no row is beyond */
    uint64_t count;
};
struct sv_marks {
    pthread_mutex_t mutex;
    _Atomic uint64_t version;
    struct line **lines; /* sorted by tenant */
    size_t n, cap;
};

/* --- a line --------------------------------------------------------------------------------------------- */

static int key_cmp(const struct key *a, const struct key *b)
{
    if (a->created != b->created)
        return a->created < b->created ? -1 : 1;
    return strcmp(a->id.s, b->id.s);
}

static void line_free(struct line *l)
{
    if (l)
        free(l->marks);
    free(l);
}

static uint64_t upto_before(const struct line *l, size_t i)
{
    return i > 0 ? l->marks[i - 1].upto : 0;
}

/* At the end, for the rows up to the last. */
static void mark_end(struct line *l)
{
    if (l->count - upto_before(l, l->n) < GAP)
        return;
    l->marks = sv_grow(l->marks, l->n, &l->cap, sizeof(*l->marks));
    l->marks[l->n++] = (struct mark){.key = l->last, .upto = l->count};
}

/* The first mark at or beyond `k`. */
static size_t mark_at(const struct line *l, const struct key *k)
{
    size_t lo = 0, hi = l->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (key_cmp(&l->marks[mid].key, k) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Removes mark `i` when the gaps on both sides of it fit into one. */
static void merge(struct line *l, size_t i)
{
    if (i >= l->n)
        return;
    uint64_t next = i + 1 < l->n ? l->marks[i + 1].upto : l->count;
    if (next - upto_before(l, i) > GAP)
        return;
    memmove(&l->marks[i], &l->marks[i + 1], (l->n - i - 1) * sizeof(*l->marks));
    l->n--;
}

/* False: the line is no longer worth keeping. */
static bool line_insert(struct line *l, const struct key *k)
{
    size_t at = mark_at(l, k);
    for (size_t i = at; i < l->n; i++)
        l->marks[i].upto++;
    l->count++;
    if (key_cmp(k, &l->last) > 0)
        l->last = *k;
    if (at < l->n)
        return l->marks[at].upto - upto_before(l, at) < GAP_LOST;
    mark_end(l);
    return true;
}

static void line_delete(struct line *l, const struct key *k)
{
    size_t at = mark_at(l, k);
    for (size_t i = at; i < l->n; i++)
        l->marks[i].upto--;
    l->count--;
    merge(l, at);
    if (at > 0)
        merge(l, at - 1);
}

/* --- all lines --------------------------------------------------------------------------------------------- */

struct sv_marks *sv_marks_new(void)
{
    struct sv_marks *m = sv_alloc(sizeof(*m));
    pthread_mutex_init(&m->mutex, NULL);
    return m;
}

void sv_marks_free(struct sv_marks *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++)
        line_free(m->lines[i]);
    free(m->lines);
    pthread_mutex_destroy(&m->mutex);
    free(m);
}

/* The place of a tenant's line; *ret_there = it is there. */
static size_t line_place(const struct sv_marks *m, const struct sv_id *tenant, bool *ret_there)
{
    size_t lo = 0, hi = m->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = strcmp(m->lines[mid]->tenant.s, tenant->s);
        if (order == 0) {
            *ret_there = true;
            return mid;
        }
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret_there = false;
    return lo;
}

static void add_line(struct sv_marks *m, struct line *l)
{
    bool there;
    size_t at = line_place(m, &l->tenant, &there);
    if (there) { /* two readers built it at the same time */
        line_free(l);
        return;
    }
    m->lines = sv_grow(m->lines, m->n, &m->cap, sizeof(struct line *));
    memmove(&m->lines[at + 1], &m->lines[at], (m->n - at) * sizeof(struct line *));
    m->lines[at] = l;
    m->n++;
}

static void drop_line(struct sv_marks *m, size_t at)
{
    line_free(m->lines[at]);
    memmove(&m->lines[at], &m->lines[at + 1], (m->n - at - 1) * sizeof(struct line *));
    m->n--;
}

/* --- writing --------------------------------------------------------------------------------------------- */

static void note_change(struct sv_tx *tx, bool inserted, const struct sv_id *tenant, int64_t created,
                        const struct sv_id *id)
{
    struct sv_mark_change *c = sv_arena_alloc(tx->arena, sizeof(*c));
    *c = (struct sv_mark_change){.inserted = inserted, .tenant = *tenant, .id = *id, .created = created};
    *tx->effects->marks_end = c;
    tx->effects->marks_end = &c->next;
}

void sv_marks_inserted(struct sv_tx *tx, const struct sv_id *tenant, int64_t created, const struct sv_id *id)
{
    note_change(tx, true, tenant, created, id);
}

void sv_marks_deleted(struct sv_tx *tx, const struct sv_id *tenant, int64_t created, const struct sv_id *id)
{
    note_change(tx, false, tenant, created, id);
}

static void apply_to(struct sv_marks *m, const struct sv_id *tenant, const struct sv_mark_change *c)
{
    bool there;
    size_t at = line_place(m, tenant, &there);
    struct key k = {.created = c->created, .id = c->id};
    if (!there)
        return;
    if (!c->inserted)
        line_delete(m->lines[at], &k);
    else if (!line_insert(m->lines[at], &k))
        drop_line(m, at);
}

void sv_marks_before_commit(struct sv_marks *m)
{
    atomic_fetch_add(&m->version, 1);
}

void sv_marks_after_commit(struct sv_marks *m, const struct sv_mark_change *changes)
{
    static const struct sv_id all = {.s = ""};
    pthread_mutex_lock(&m->mutex);
    for (const struct sv_mark_change *c = changes; c; c = c->next) {
        apply_to(m, &c->tenant, c);
        apply_to(m, &all, c);
    }
    atomic_fetch_add(&m->version, 1);
    pthread_mutex_unlock(&m->mutex);
}

/* --- reading ------------------------------------------------------------------------------------------------ */

uint64_t sv_marks_version(struct sv_marks *m)
{
    return atomic_load(&m->version);
}

/* Under the mutex: do the marks describe what this transaction sees? */
static bool valid(const struct sv_marks *m, const struct sv_tx *tx)
{
    return tx->marks_version % 2 == 0 && atomic_load(&m->version) == tx->marks_version;
}

static bool open_snapshot(struct sv_tx *tx)
{
    if (sqlite3_txn_state(tx->conn->db, "main") != SQLITE_TXN_NONE)
        return true;
    bool row;
    SV_STMT st = sv_stmt(tx, &sv_sql_engine, SQL_OPEN_SNAPSHOT);
    return sv_step(tx, st, &row, NULL) == SV_OK;
}

static struct line *build(struct sv_tx *tx, const struct sv_id *tenant)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_engine, sv_id_empty(tenant) ? SQL_MARKS_ALL : SQL_MARKS_TENANT);
    bool row;
    if (!sv_id_empty(tenant))
        sv_bind(st, "d", tenant);
    struct line *l = sv_alloc(sizeof(*l));
    l->tenant = *tenant;
    l->last.created = INT64_MIN;
    while (sv_step(tx, st, &row, NULL) == SV_OK) {
        if (!row)
            return l;
        l->last = (struct key){.created = sv_col_int(st, 0), .id = sv_col_id(st, 1)};
        l->count++;
        mark_end(l);
    }
    line_free(l);
    return NULL;
}

/* False when there is no line that belongs to the snapshot, or no mark before the row. */
static bool find(struct sv_tx *tx, const struct sv_id *tenant, uint64_t offset, bool *ret_missing, struct mark *ret)
{
    struct sv_marks *m = tx->db->marks;
    bool there, found = false;
    pthread_mutex_lock(&m->mutex);
    bool usable = valid(m, tx);
    size_t at = line_place(m, tenant, &there);
    if (usable && there) {
        const struct line *l = m->lines[at];
        size_t lo = 0, hi = l->n;
        while (lo < hi) { /* the first mark with more rows than the offset */
            size_t mid = lo + (hi - lo) / 2;
            if (l->marks[mid].upto <= offset)
                lo = mid + 1;
            else
                hi = mid;
        }
        found = lo > 0;
        if (found)
            *ret = l->marks[lo - 1];
    }
    pthread_mutex_unlock(&m->mutex);
    *ret_missing = usable && !there;
    return found;
}

static void build_and_add(struct sv_tx *tx, const struct sv_id *tenant)
{
    struct sv_marks *m = tx->db->marks;
    struct line *l = build(tx, tenant);
    if (!l)
        return;
    pthread_mutex_lock(&m->mutex);
    if (valid(m, tx))
        add_line(m, l);
    else
        line_free(l);
    pthread_mutex_unlock(&m->mutex);
}

bool sv_marks_seek(struct sv_tx *tx, const struct sv_id *tenant, uint64_t offset, int64_t *ret_created,
                   struct sv_id *ret_id, uint64_t *ret_skip)
{
    struct mark mark;
    bool missing;
    /* A write closure sees its own uncommitted rows, which no mark knows. */
    if (tx->writable || offset < GAP || !open_snapshot(tx))
        return false;
    bool found = find(tx, tenant, offset, &missing, &mark);
    if (missing) {
        build_and_add(tx, tenant);
        found = find(tx, tenant, offset, &missing, &mark);
    }
    if (!found)
        return false;
    *ret_created = mark.key.created;
    *ret_id = mark.key.id;
    *ret_skip = offset - mark.upto;
    return true;
}
