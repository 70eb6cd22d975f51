/* Lines of job logs. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_job.h"

enum { ADD, LIST };

static const char *const sql[] = {
    [ADD] = "INSERT INTO joblog(job_id, serial, time, level, note, args) VALUES(?1,"
            " (SELECT coalesce(max(serial), 0) + 1 FROM joblog WHERE job_id = ?1), ?2, ?3, ?4, ?5)",
    [LIST] = "SELECT serial, time, level, note, args FROM joblog WHERE job_id = ?1 AND serial > ?2 ORDER BY serial",
};
SV_SQL_TABLE(sv_sql_joblog, "joblog", sql);

/* Arguments share a column, parted by U+001F, which no argument holds. */
const char *sv_args_join(struct sv_tx *tx, const char *const args[SV_ERR_ARGS])
{
    return sv_arena_printf(tx->arena, "%s\x1f%s\x1f%s", args[0] ? args[0] : "", args[1] ? args[1] : "",
                           args[2] ? args[2] : "");
}

void sv_args_split(struct sv_tx *tx, const char *joined, const char *args[SV_ERR_ARGS])
{
    for (unsigned i = 0; i < SV_ERR_ARGS; i++) {
        const size_t n = strcspn(joined, "\x1f");

        args[i] = n ? sv_arena_strndup(tx->arena, joined, n) : "";
        joined += n + (joined[n] != '\0');
    }
}

enum sv_err sv_joblog_add(struct sv_tx *tx, const struct sv_id *job, int level, enum sv_note note,
                          const char *const args[SV_ERR_ARGS], struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_joblog, ADD);

    assert(tx->writable);
    sv_bind(st, "diItt", job, tx->now, level, sv_note_symbol(note), sv_args_join(tx, args));
    sv_tx_job_changed(tx, job);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_joblog_list(struct sv_tx *tx, const struct sv_id *job, int64_t after_serial,
                           void (*row)(void *arg, const struct sv_job_line *l), void *arg, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_joblog, LIST);
    bool more;
    enum sv_err rc;

    sv_bind(st, "di", job, after_serial);
    while (!(rc = sv_step(tx, st, &more, err)) && more) {
        struct sv_job_line l = {.serial = sv_col_int(st, 0),
                                .time = sv_col_int(st, 1),
                                .level = (int)sv_col_int(st, 2),
                                .note = sv_note_by_symbol(sv_col_text(st, 3))};

        sv_args_split(tx, sv_col_text(st, 4), l.args);
        if (l.note == SV_NOTE_COUNT) { /* written by a newer program */
            l.note = SV_N_FREE_TEXT;
            l.args[0] = sv_arena_strdup(tx->arena, sv_col_text(st, 3));
        }
        row(arg, &l);
    }
    return rc;
}
