/* Inside db/: statements and transactions. Only files of this room include it. */
#ifndef DB_INTERNAL_H
#define DB_INTERNAL_H

#include <sqlite3.h>

#include "starvirt/db.h"
#include "starvirt/id.h"
#include "starvirt/mem.h"
#include "starvirt/store.h"

/* --- statement tables: each store file has one, its enum gives the index ----------------------------- */

struct sv_sql_table {
    const char *name;       /* of the store */
    const char *const *sql; /* indexed by the store's enum */
    unsigned count;
    unsigned first; /* index of its first statement among all; set by sv_stmt_tables_init() */
};
#define SV_SQL_TABLE(var, label, array)                                                                                \
    struct sv_sql_table var = {.name = (label), .sql = (array), .count = sizeof(array) / sizeof((array)[0])}

/* Every store's table, NULL-terminated (db/stmt.c holds the list). */
extern struct sv_sql_table sv_sql_tenant, sv_sql_token, sv_sql_idem, sv_sql_vm, sv_sql_disk, sv_sql_nic, sv_sql_vpc,
    sv_sql_model, sv_sql_template, sv_sql_host, sv_sql_host_network, sv_sql_storage, sv_sql_job, sv_sql_joblog,
    sv_sql_lock, sv_sql_event, sv_sql_leftover, sv_sql_range, sv_sql_snapshot, sv_sql_backup, sv_sql_secret,
    sv_sql_pending, sv_sql_unit, sv_sql_pool, sv_sql_outer_ip, sv_sql_rule, sv_sql_secgroup, sv_sql_slb,
    sv_sql_slb_node, sv_sql_router, sv_sql_nat, sv_sql_place, sv_sql_affinity, sv_sql_fsck, sv_sql_engine, sv_sql_alarm,
    sv_sql_alarm_delivery;

/* Whether a row of `secret` belongs to somebody; for its store and for fsck. */
#define SV_SQL_OWNED                                                                                                   \
    "owner_id IN (SELECT id FROM vm) OR owner_id IN (SELECT id FROM storage) OR owner_id IN (SELECT id FROM slb)"      \
    " OR owner_id IN (SELECT id FROM job WHERE result IN (2, 3)) OR owner_id IN (SELECT job_id FROM pending_undo)"
extern struct sv_sql_table *const sv_sql_tables[];
void sv_stmt_tables_init(void); /* once */

/* --- a connection: one thread at a time, all statements prepared lazily and kept --------------------- */

struct sv_conn {
    sqlite3 *db;
    sqlite3_stmt **stmt; /* one slot a statement of all tables */
    bool read_only;
    int last;            /* extended result code of the last step */
    int copy_rc;         /* of the last checkpoint by this connection: each change is told once */
    enum sv_err trouble; /* an outage's error that the closure saw, whatever became of it */
    int wal_pages;       /* length of the write-ahead log after the last commit here */
};
enum sv_err sv_conn_open(const char *path, bool read_only, struct sv_conn *ret, struct sv_error *err);
void sv_conn_moved(struct sv_conn *conn); /* after the struct was copied to its place */
void sv_conn_close(struct sv_conn *conn);

/* --- a transaction, as stores see it ------------------------------------------------------------------ */

struct sv_marks;
struct sv_effects;
struct sv_tx {
    struct sv_conn *conn;
    struct sv_db *db;
    struct sv_arena *arena;
    int64_t now;                /* [ms UTC] */
    uint64_t number;            /* of this run of a write closure; 0 when reading */
    bool writable;              /* stores assert it before changing anything */
    struct sv_effects *effects; /* of the batch; NULL when reading */
    uint64_t marks_version;     /* when reading: the marks that belong to the snapshot */
};

/* --- using a statement -------------------------------------------------------------------------------- */

/* The cached statement, reset and unbound; NULL when the file cannot be read, which the next step of it tells. Aborts
 * when it does not prepare otherwise (a unit test prepares all). */
sqlite3_stmt *sv_stmt(struct sv_tx *tx, const struct sv_sql_table *table, unsigned index);
/* For SV_CLEANUP: resets, so that no cursor stays open behind a return. */
void sv_stmt_done(sqlite3_stmt **st);
#define SV_STMT SV_CLEANUP(sv_stmt_done) sqlite3_stmt *

/* Binds from ?1 on by a format: t text (NULL -> ""), T text (NULL -> NULL), i int64, I int, d struct sv_id * ("" ->
 * ""), D struct sv_id * ("" -> NULL), b blob (pointer, int length), n (no argument) NULL. Texts must live until the
 * step. */
void sv_bind(sqlite3_stmt *st, const char *fmt, ...);

/* One step. Row: true in *ret_row. */
enum sv_err sv_step(struct sv_tx *tx, sqlite3_stmt *st, bool *ret_row, struct sv_error *err);
/* A statement without result rows; *ret_changes (may be NULL) = rows changed. Leaves it ready to be bound again.
 * A UNIQUE or FK violation answers as SV_E_DB: the caller asks sv_is_conflict() and answers what it means. */
enum sv_err sv_exec(struct sv_tx *tx, sqlite3_stmt *st, int *ret_changes, struct sv_error *err);
/* The number in the first column of a statement about one id, which always has a row. */
enum sv_err sv_number_of(struct sv_tx *tx, const struct sv_sql_table *table, unsigned index, const struct sv_id *id,
                         int64_t *ret, struct sv_error *err);
bool sv_is_conflict(struct sv_tx *tx); /* was the last error a constraint violation? */

/* Columns. */
const char *sv_col_text(sqlite3_stmt *st, int col); /* never NULL; SQLite's memory until the next step */
int64_t sv_col_int(sqlite3_stmt *st, int col);
struct sv_id sv_col_id(sqlite3_stmt *st, int col);

/* SV_E_DB from the connection's last error, or an outage's error. */
enum sv_err sv_db_failed(struct sv_tx *tx, struct sv_error *err);

/* --- rank marks (db/marks.c): deep pages of the VM list cost the page --------------------------------- */

/* Both are called by store_vm.c inside write closures; they take effect with the commit. */
void sv_marks_inserted(struct sv_tx *tx, const struct sv_id *tenant, int64_t created, const struct sv_id *id);
void sv_marks_deleted(struct sv_tx *tx, const struct sv_id *tenant, int64_t created, const struct sv_id *id);
/* Where to begin for row `offset` of a tenant (empty = all): go on from (created, id) exclusive and skip
 * `*ret_skip` rows. False: begin at the start and skip `offset`. Builds the marks when they are not there. */
bool sv_marks_seek(struct sv_tx *tx, const struct sv_id *tenant, uint64_t offset, int64_t *ret_created,
                   struct sv_id *ret_id, uint64_t *ret_skip);

/* --- changes (store_job.c and store_event.c tell, db/effects.c collects and calls sv_db_on_change) ------ */
void sv_tx_job_changed(struct sv_tx *tx, const struct sv_id *job);
void sv_tx_events_added(struct sv_tx *tx);
/* ... and store_token.c, store_tenant.c for sv_db_on_tokens() */
void sv_tx_tokens_gone(struct sv_tx *tx);
/* ... and store_alarm_delivery.c for sv_db_on_alarms() */
void sv_tx_alarms_to_tell(struct sv_tx *tx);

/* --- pages ------------------------------------------------------------------------------------------------ */

/* Is the row that `at` others go before? */
static inline bool sv_on_page(const struct sv_page *p, uint64_t at)
{
    return at >= p->offset && (!p->limit || at - p->offset < p->limit);
}
/* As LIMIT takes it. */
static inline int64_t sv_page_limit(const struct sv_page *p)
{
    return p->limit ? (int64_t)p->limit : -1;
}

/* --- substrings (db/match.c) ------------------------------------------------------------------------------ */

struct sv_match {
    const char *text; /* lower case */
    size_t n;         /* 0: everything matches */
};
struct sv_match sv_match_of(struct sv_tx *tx, const char *text /* NULL ok */);
bool sv_match_col(const struct sv_match *m, sqlite3_stmt *st, int col);
bool sv_match_text(const struct sv_match *m, const char *text);
/* A search by name whose rows are stepped through: all that match are counted, those of the page are shown. */
struct sv_found {
    const struct sv_page *page;
    struct sv_match name;
    uint64_t total;
};
struct sv_found sv_found_of(struct sv_tx *tx, const struct sv_page *p, const char *name /* NULL ok */);
bool sv_found_shows(struct sv_found *f, const char *name);

/* --- free ranges (db/store_range.c): subnets of the address space, addresses of a VPC ------------------- */
/* The lowest multiple of `size` with `size` free numbers from there on, all within [from, to]. */
enum sv_err sv_range_find(struct sv_tx *tx, const struct sv_id *space, int64_t from, int64_t to, int64_t size,
                          int64_t *ret, bool *ret_found, struct sv_error *err);
/* Exactly [base, last]; *ret_taken false, and nothing changed, unless all of it is free. */
enum sv_err sv_range_take(struct sv_tx *tx, const struct sv_id *space, int64_t base, int64_t last, bool *ret_taken,
                          struct sv_error *err);
/* Makes [base, last], of which nothing is free yet, free. */
enum sv_err sv_range_give(struct sv_tx *tx, const struct sv_id *space, int64_t base, int64_t last,
                          struct sv_error *err);
enum sv_err sv_range_drop(struct sv_tx *tx, const struct sv_id *space, struct sv_error *err); /* all of a space */

/* Inside a write closure, for work that would hold up all others in one go: once this much of it is committed,
 * runs fn(tx, number) in a closure of its own behind the writes that wait by then; not when the database closes. */
void sv_tx_go_on(struct sv_tx *tx, enum sv_err (*fn)(struct sv_tx *tx, int64_t number, struct sv_error *err),
                 int64_t number);
/* Deletes by a statement of ?1 (older than) and ?2 (at most so many), some at a time, so that nobody waits for
 * all of them; `again` is the caller, for the rest. */
enum { SV_EXPIRE_AT_ONCE = 1000 };
enum sv_err sv_expire(struct sv_tx *tx, const struct sv_sql_table *table, unsigned index, int64_t older_than,
                      enum sv_err (*again)(struct sv_tx *tx, int64_t older_than, struct sv_error *err),
                      struct sv_error *err);

/* --- arguments of notes and errors in one column (db/store_joblog.c) ---------------------------------- */
const char *sv_args_join(struct sv_tx *tx, const char *const args[SV_ERR_ARGS]);
void sv_args_split(struct sv_tx *tx, const char *joined, const char *args[SV_ERR_ARGS]);

/* --- migrations --------------------------------------------------------------------------------------- */
extern const char *const sv_schema[]; /* one script a version, append-only; NULL-terminated (db/schema.c) */
enum sv_err sv_migrate(struct sv_conn *conn, struct sv_error *err);

#endif
