/* Raising and relieving, in the transaction of what causes it; what is shown of alarms. */
#include "core/alarm/internal.h"

/* Kept as the third argument: the texts show it. */
static const char *since_text(struct sv_tx *tx, int64_t since)
{
    return sv_arena_strdup(sv_tx_arena(tx), sv_dec(since ? since : sv_tx_now(tx)).s);
}

struct level_of {
    enum sv_alarm_type type;
    enum sv_alarm_level level;
};

static void take_level(void *arg, const struct sv_alarm_threshold *t)
{
    struct level_of *l = arg;

    if (t->type == l->type)
        l->level = t->level;
}

/* Everybody who watches hears of it: in the list of events, and at web hooks. */
static enum sv_err tell(struct sv_tx *tx, const struct sv_alarm *a, const char *event, struct sv_error *err)
{
    enum sv_err rc =
        sv_cloud_event(tx, event, sv_alarm_object_name(a->object_type, SV_LANG_EN), &a->object, &a->tenant,
                       sv_arena_printf(sv_tx_arena(tx), "%s %s", sv_alarm_kind(a->type)->symbol, a->id.s), err);

    return rc ? rc : sv_alarm_delivery_add(tx, &a->id, a->relieved != 0, err);
}

static enum sv_err find_subject(struct sv_tx *tx, const struct sv_alarm_new *n, struct sv_alarm *a, bool *ret_found,
                                struct sv_error *err)
{
    if (!n->server)
        return sv_alarm_subject(tx, &n->object, a, ret_found, err);
    a->object = n->object;
    a->object_type = SV_ALARM_OF_SERVER;
    a->object_name = "starvirtd";
    *ret_found = true;
    return SV_OK;
}

enum sv_err sv_alarm_raise(struct sv_tx *tx, const struct sv_alarm_new *n, struct sv_error *err)
{
    struct level_of level = {n->type, sv_alarm_kind(n->type)->level};
    struct sv_alarm a = {.id = sv_id_new(),
                         .type = n->type,
                         .args = {n->args[0], n->args[1], since_text(tx, n->since)},
                         .created = sv_tx_now(tx)};
    bool found = false;
    enum sv_err rc = find_subject(tx, n, &a, &found, err);

    if (rc || !found)
        return rc;
    rc = sv_alarm_threshold_list(tx, take_level, &level, err);
    a.level = level.level;
    if (!rc)
        rc = sv_alarm_insert(tx, &a, &found, err);
    return rc || !found ? rc : tell(tx, &a, "alarm.raised", err);
}

static enum sv_err close_it(struct sv_tx *tx, struct sv_alarm *a, enum sv_alarm_way way, struct sv_error *err)
{
    const bool was_open = a->relieved == 0;
    enum sv_err rc;

    if (was_open) {
        a->relieved = sv_tx_now(tx);
        a->way = way;
    }
    a->over |= way == SV_ALARM_AUTO;
    rc = sv_alarm_update(tx, a, err);
    return rc || !was_open ? rc : tell(tx, a, "alarm.relieved", err);
}

enum sv_err sv_alarm_relieve(struct sv_tx *tx, enum sv_alarm_type type, const struct sv_id *object,
                             struct sv_error *err)
{
    struct sv_alarm a;
    bool found = false;
    enum sv_err rc = sv_alarm_going_on(tx, type, object, &a, &found, err);

    return rc || !found ? rc : close_it(tx, &a, SV_ALARM_AUTO, err);
}

/* --- for people ----------------------------------------------------------------------------------------- */

enum sv_err sv_alarm_relieve_by_hand(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_error *err)
{
    struct sv_alarm a;
    struct sv_id key;
    enum sv_err rc = sv_check_id(id, SV_E_ALARM_NOT_FOUND, SV_F_ALARM, &key, err);

    if (!rc)
        rc = sv_alarm_get(tx, sv_scope_of(who), &key, &a, err);
    return rc || a.relieved ? rc : close_it(tx, &a, SV_ALARM_MANUAL, err);
}

/* All names but the last of `count`, between commas. */
static enum sv_err no_such(enum sv_field field, const char *(*name)(int i), int count, struct sv_error *err)
{
    char all[SV_ERR_ARG_MAX] = "";
    size_t n = 0;

    for (int i = 0; i < count && n + 1 < sizeof(all); i++) {
        sv_copy(all + n, sizeof(all) - n, n ? "," : "");
        n = strlen(all);
        sv_copy(all + n, sizeof(all) - n, name(i));
        n = strlen(all);
    }
    return sv_fail(err, SV_E_PARAM_ENUM, field, all);
}

static const char *object_name(int i)
{
    return sv_alarm_object_name((enum sv_alarm_object)i, SV_LANG_EN);
}
static const char *level_name(int i)
{
    return sv_alarm_level_name((enum sv_alarm_level)i);
}
static const char *way_name(int i)
{
    return sv_alarm_way_name((enum sv_alarm_way)i);
}

static enum sv_err one_of(const char *text, const char *(*name)(int i), int count, enum sv_field field, int *ret,
                          struct sv_error *err)
{
    if (!text || !text[0])
        return SV_OK;
    for (int i = 0; i < count; i++)
        if (strcmp(text, name(i)) == 0) {
            *ret = i;
            return SV_OK;
        }
    return no_such(field, name, count, err);
}

enum sv_err sv_alarm_level_of(const char *name, int *ret, struct sv_error *err)
{
    return one_of(name, level_name, SV_ALARM_LEVELS, SV_F_ALARM_LEVEL, ret, err);
}

static enum sv_err filter_of(const struct sv_alarm_search *s, struct sv_alarm_filter *ret, struct sv_error *err)
{
    enum sv_err rc;

    *ret = (struct sv_alarm_filter){.level = -1, .object_type = -1, .way = -1, .from = s->from, .to = s->to};
    if (s->object && s->object[0])
        ret->object = sv_id_from(s->object);
    if (s->object_type && s->object_type[0])
        ret->object_type = sv_alarm_object_by_name(s->object_type);
    rc = s->object_type && s->object_type[0] && ret->object_type < 0
             ? no_such(SV_F_ALARM_OBJECT_TYPE, object_name, SV_ALARM_OBJECTS, err)
             : sv_alarm_level_of(s->level, &ret->level, err);
    return rc ? rc : one_of(s->way, way_name, SV_ALARM_WAYS, SV_F_ALARM_WAY, &ret->way, err);
}

enum sv_err sv_alarm_search(struct sv_tx *tx, const struct sv_actor *who, const struct sv_alarm_search *s,
                            const struct sv_page *p, sv_alarm_fn *row, void *arg, uint64_t *ret_total,
                            struct sv_error *err)
{
    struct sv_alarm_filter f;
    enum sv_err rc = filter_of(s, &f, err);

    *ret_total = 0;
    if (rc || (s->object && s->object[0] && sv_id_empty(&f.object))) /* no id: nothing has it */
        return rc;
    return sv_alarm_list(tx, sv_scope_of(who), &f, p, row, arg, ret_total, err);
}
