/* Thresholds, as administrators see and set them. */
#include "core/alarm/internal.h"

enum sv_err sv_alarm_thresholds(struct sv_cloud *c, const struct sv_actor *who,
                                void (*row)(void *arg, const struct sv_alarm_threshold *t), void *arg,
                                struct sv_error *err)
{
    const enum sv_err rc = sv_admin_only(who, err);

    for (int t = 0; !rc && t < SV_ALARM_TYPES; t++) {
        const struct sv_alarm_threshold now = sv_alarm_threshold_of(c->alarms, (enum sv_alarm_type)t);

        if (now.value > 0)
            row(arg, &now);
    }
    return rc;
}

static enum sv_err find_type(const char *symbol, enum sv_alarm_type *ret, struct sv_error *err)
{
    char all[SV_ERR_ARG_MAX] = "";

    for (int t = 0; t < SV_ALARM_TYPES; t++) {
        const struct sv_alarm_kind *k = sv_alarm_kind((enum sv_alarm_type)t);
        const size_t n = strlen(all);

        if (k->value == 0)
            continue;
        *ret = (enum sv_alarm_type)t;
        if (strcmp(k->symbol, symbol) == 0)
            return SV_OK;
        if (n)
            sv_copy(all + n, sizeof(all) - n, ",");
        sv_copy(all + strlen(all), sizeof(all) - strlen(all), k->symbol);
    }
    return sv_fail(err, SV_E_PARAM_ENUM, SV_F_ALARM_TYPE, all);
}

static enum sv_err check(int64_t value, int64_t minutes, struct sv_error *err)
{
    enum sv_err rc = sv_check_count(value, 1, 100, SV_F_ALARM_VALUE, err);

    return rc || minutes == 0 ? rc : sv_check_count(minutes, 1, SV_MAX_ALARM_MINUTES, SV_F_ALARM_MINUTES, err);
}

struct in_force {
    struct sv_alarms *s;
    struct sv_alarm_threshold t;
};

static void apply(void *arg)
{
    const struct in_force *f = arg;

    sv_alarm_threshold_apply(f->s, &f->t);
}

enum sv_err sv_alarm_threshold_set(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *type,
                                   int64_t value, int64_t minutes, const char *level, struct sv_error *err)
{
    struct in_force *f = sv_arena_alloc(sv_tx_arena(tx), sizeof(*f));
    int l = -1;
    enum sv_alarm_type t = SV_ALARM_VM_CPU;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = find_type(type, &t, err);
    if (!rc)
        rc = check(value, minutes, err);
    if (!rc)
        rc = sv_alarm_level_of(level, &l, err);
    if (rc)
        return rc;
    *f = (struct in_force){c->alarms, sv_alarm_threshold_of(c->alarms, t)};
    f->t.value = (int)value;
    if (minutes)
        f->t.minutes = (unsigned)minutes;
    if (l >= 0)
        f->t.level = (enum sv_alarm_level)l;
    rc = sv_alarm_threshold_put(tx, &f->t, err);
    if (!rc)
        sv_tx_on_commit(tx, apply, f);
    return rc;
}
