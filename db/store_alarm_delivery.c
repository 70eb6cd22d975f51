/* What web hooks have yet to be told of alarms. */
#include <assert.h>

#include "db/internal.h"
#include "starvirt/store_alarm.h"

enum { ADD, NEXT, DROP, LATER, COUNT, HOOKS, DROP_HOOKS, ADD_HOOK, DROP_OTHERS };

static const char *const sql[] = {
    [ADD] = ("INSERT INTO alarm_delivery(alarm_id, hook, relieved, tries, due) SELECT ?1, url, ?2, 0, 0 FROM"
             " alarm_hook ORDER BY url"),
    [NEXT] = "SELECT alarm_id, seq, relieved, tries, due FROM alarm_delivery WHERE hook = ?1 ORDER BY seq LIMIT 1",
    [DROP] = "DELETE FROM alarm_delivery WHERE seq = ?1",
    [LATER] = "UPDATE alarm_delivery SET tries = tries + 1, due = ?2 WHERE seq = ?1",
    [COUNT] = "SELECT hook, count(*) FROM alarm_delivery GROUP BY hook",
    [HOOKS] = "SELECT url FROM alarm_hook",
    [DROP_HOOKS] = "DELETE FROM alarm_hook",
    [ADD_HOOK] = "INSERT OR IGNORE INTO alarm_hook(url) VALUES(?1)",
    [DROP_OTHERS] = "DELETE FROM alarm_delivery WHERE hook NOT IN (SELECT url FROM alarm_hook)",
};
SV_SQL_TABLE(sv_sql_alarm_delivery, "alarm_delivery", sql);

enum sv_err sv_alarm_delivery_add(struct sv_tx *tx, const struct sv_id *alarm, bool relieved, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm_delivery, ADD);

    assert(tx->writable);
    sv_bind(st, "dI", alarm, (int)relieved);
    sv_tx_alarms_to_tell(tx);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_alarm_delivery_next(struct sv_tx *tx, const char *hook, struct sv_alarm_delivery *ret, bool *ret_found,
                                   struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm_delivery, NEXT);
    struct sv_id alarm;
    bool row;
    enum sv_err rc;

    sv_bind(st, "t", hook);
    rc = sv_step(tx, st, &row, err);
    if (rc)
        return rc;
    *ret_found = row;
    if (!row)
        return SV_OK;
    alarm = sv_col_id(st, 0);
    *ret = (struct sv_alarm_delivery){.seq = sv_col_int(st, 1),
                                      .relieved = sv_col_int(st, 2) != 0,
                                      .tries = (unsigned)sv_col_int(st, 3),
                                      .due = sv_col_int(st, 4)};
    return sv_alarm_get(tx, sv_scope_system(), &alarm, &ret->alarm, err);
}

enum sv_err sv_alarm_delivery_drop(struct sv_tx *tx, int64_t seq, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm_delivery, DROP);

    assert(tx->writable);
    sv_bind(st, "i", seq);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_alarm_delivery_later(struct sv_tx *tx, int64_t seq, int64_t due, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm_delivery, LATER);

    assert(tx->writable);
    sv_bind(st, "ii", seq, due);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_alarm_delivery_count(struct sv_tx *tx, void (*row)(void *arg, const char *hook, int64_t n), void *arg,
                                    struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm_delivery, COUNT);
    bool more;
    enum sv_err rc;

    while (!(rc = sv_step(tx, st, &more, err)) && more)
        row(arg, sv_col_text(st, 0), sv_col_int(st, 1));
    return rc;
}

enum sv_err sv_alarm_hooks_differ(struct sv_tx *tx, const char *const *urls, unsigned n, bool *ret,
                                  struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm_delivery, HOOKS);
    unsigned same = 0, all = 0;
    bool more;
    enum sv_err rc;

    for (; !(rc = sv_step(tx, st, &more, err)) && more; all++)
        for (unsigned i = 0; i < n; i++)
            same += strcmp(urls[i], sv_col_text(st, 0)) == 0;
    *ret = all != n || same != n;
    return rc;
}

static enum sv_err run(struct sv_tx *tx, unsigned index, const char *text, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_alarm_delivery, index);

    if (text)
        sv_bind(st, "t", text);
    return sv_exec(tx, st, NULL, err);
}

enum sv_err sv_alarm_hooks_set(struct sv_tx *tx, const char *const *urls, unsigned n, struct sv_error *err)
{
    enum sv_err rc;

    assert(tx->writable);
    rc = run(tx, DROP_HOOKS, NULL, err);
    for (unsigned i = 0; !rc && i < n; i++)
        rc = run(tx, ADD_HOOK, urls[i], err);
    return rc ? rc : run(tx, DROP_OTHERS, NULL, err);
}
