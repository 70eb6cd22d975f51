/* Alarms, their thresholds, and what web hooks have yet to be told of them (StarVCenter 2.15). */
#ifndef STARVIRT_STORE_ALARM_H
#define STARVIRT_STORE_ALARM_H

#include "starvirt/store.h"

/* Kept in rows, as the next three: never renumbered. Their rows: core/alarm/types.c. */
enum sv_alarm_type {
    SV_ALARM_HOST_LOST,
    SV_ALARM_VM_CRASHED,
    SV_ALARM_VM_CPU,
    SV_ALARM_VM_MEMORY,
    SV_ALARM_VM_DISK,
    SV_ALARM_HOST_CPU,
    SV_ALARM_HOST_MEMORY,
    SV_ALARM_STORAGE_FULL,
    SV_ALARM_CERTIFICATE,
    SV_ALARM_RULES,
    SV_ALARM_BACKUP,
    SV_ALARM_UNDO,
    SV_ALARM_TYPES
};
enum sv_alarm_level { SV_ALARM_HIGH, SV_ALARM_MEDIUM, SV_ALARM_LOW, SV_ALARM_LEVELS };
enum sv_alarm_way { SV_ALARM_OPEN, SV_ALARM_AUTO, SV_ALARM_MANUAL, SV_ALARM_WAYS };
enum sv_alarm_object {
    SV_ALARM_OF_HOST,
    SV_ALARM_OF_VM,
    SV_ALARM_OF_STORAGE,
    SV_ALARM_OF_SLB,
    SV_ALARM_OF_VPC,
    SV_ALARM_OF_ROUTER,
    SV_ALARM_OF_GROUP,
    SV_ALARM_OF_NIC,
    SV_ALARM_OF_DISK,
    SV_ALARM_OF_TEMPLATE,
    SV_ALARM_OF_SERVER, /* no row: this program */
    SV_ALARM_OBJECTS
};

struct sv_alarm {
    struct sv_id id, object, tenant; /* tenant empty: the administrators' alone */
    enum sv_alarm_type type;
    enum sv_alarm_level level;
    enum sv_alarm_object object_type;
    const char *object_name; /* as it was then */
    const char *args[SV_ERR_ARGS];
    int64_t created, relieved; /* relieved 0: open */
    enum sv_alarm_way way;
    bool over; /* what it is about has ended. One relieved by hand stays the only one until then */
};
typedef void sv_alarm_fn(void *arg, const struct sv_alarm *a);

/* What the id is of, its name and whose; texts live in the transaction's arena. */
enum sv_err sv_alarm_subject(struct sv_tx *tx, const struct sv_id *object, struct sv_alarm *ret, bool *ret_found,
                             struct sv_error *err);
/* *ret_new false, and nothing changed: what it is about goes on already. */
enum sv_err sv_alarm_insert(struct sv_tx *tx, const struct sv_alarm *a, bool *ret_new, struct sv_error *err);
/* The one that is not over; texts live in the transaction's arena, as for the next. */
enum sv_err sv_alarm_going_on(struct sv_tx *tx, enum sv_alarm_type type, const struct sv_id *object,
                              struct sv_alarm *ret, bool *ret_found, struct sv_error *err);
/* ALARM_NOT_FOUND. */
enum sv_err sv_alarm_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_alarm *ret,
                         struct sv_error *err);
/* relieved, way and over of the row. */
enum sv_err sv_alarm_update(struct sv_tx *tx, const struct sv_alarm *a, struct sv_error *err);

struct sv_alarm_filter {
    struct sv_id object;
    int level, object_type, way; /* -1: any */
    int64_t from, to;            /* [ms UTC] raised within, both included; 0: any */
};
/* The newest first. */
enum sv_err sv_alarm_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_alarm_filter *f,
                          const struct sv_page *p, sv_alarm_fn *row, void *arg, uint64_t *ret_total,
                          struct sv_error *err);
/* Open ones, how many of each type and level. */
enum sv_err sv_alarm_count_open(struct sv_tx *tx,
                                void (*row)(void *arg, enum sv_alarm_type type, enum sv_alarm_level level, int64_t n),
                                void *arg, struct sv_error *err);

/* --- looking through what goes on --- */
struct sv_alarm_key {
    enum sv_alarm_type type;
    struct sv_id object;
};
/* Looks at the next `limit` that go on behind *at, in the order of keys, and gives those that rows say are over: the
 * object is gone, runs, is connected, is in force, has no undo left. *at moves on, to the beginning after the last. */
enum sv_err sv_alarm_look(struct sv_tx *tx, struct sv_alarm_key *at, unsigned limit,
                          void (*row)(void *arg, const struct sv_alarm_key *over), void *arg, struct sv_error *err);
/* All that go on, of the types from `first` to `last`. */
enum sv_err sv_alarm_list_going_on(struct sv_tx *tx, enum sv_alarm_type first, enum sv_alarm_type last,
                                   void (*row)(void *arg, const struct sv_alarm_key *k), void *arg,
                                   struct sv_error *err);
/* What rows say should be raised and is not: units of networks in vain since before `before` (args: the error's symbol
 * and first argument), and undos that are pending (args: a job). At most `limit` of each. The object's type and name
 * are not filled in. */
enum sv_err sv_alarm_list_due(struct sv_tx *tx, int64_t before, unsigned limit, sv_alarm_fn *row, void *arg,
                              struct sv_error *err);
/* Those that are over, relieved before that time, and told to all hooks, go; some at a time. */
enum sv_err sv_alarm_expire(struct sv_tx *tx, int64_t older_than, struct sv_error *err);
/* When the one was relieved that `n` others that are over were relieved after; 0: there are fewer. */
enum sv_err sv_alarm_oldest_of(struct sv_tx *tx, int64_t n, int64_t *ret, struct sv_error *err);

/* --- thresholds: types without a row have their default --- */
struct sv_alarm_threshold {
    enum sv_alarm_type type;
    int value;        /* [%] */
    unsigned minutes; /* all of them over it */
    enum sv_alarm_level level;
};
enum sv_err sv_alarm_threshold_put(struct sv_tx *tx, const struct sv_alarm_threshold *t, struct sv_error *err);
enum sv_err sv_alarm_threshold_list(struct sv_tx *tx, void (*row)(void *arg, const struct sv_alarm_threshold *t),
                                    void *arg, struct sv_error *err);

/* --- deliveries: what a web hook has yet to be told, in order --- */
struct sv_alarm_delivery {
    int64_t seq;
    struct sv_alarm alarm; /* as it is now */
    bool relieved;         /* it is about the end of the alarm */
    unsigned tries;        /* in vain */
    int64_t due;           /* [ms UTC] of the next one */
};
/* Are others the hooks there are? */
enum sv_err sv_alarm_hooks_differ(struct sv_tx *tx, const char *const *urls, unsigned n, bool *ret,
                                  struct sv_error *err);
/* From now on these; what others had yet to be told is forgotten. */
enum sv_err sv_alarm_hooks_set(struct sv_tx *tx, const char *const *urls, unsigned n, struct sv_error *err);
/* One for each hook. */
enum sv_err sv_alarm_delivery_add(struct sv_tx *tx, const struct sv_id *alarm, bool relieved, struct sv_error *err);
/* Called on the writer thread after a commit that added some; must not block. */
void sv_db_on_alarms(struct sv_db *db, void (*fn)(void *arg), void *arg);
/* The hook's first one; texts live in the transaction's arena. */
enum sv_err sv_alarm_delivery_next(struct sv_tx *tx, const char *hook, struct sv_alarm_delivery *ret, bool *ret_found,
                                   struct sv_error *err);
enum sv_err sv_alarm_delivery_drop(struct sv_tx *tx, int64_t seq, struct sv_error *err);
enum sv_err sv_alarm_delivery_later(struct sv_tx *tx, int64_t seq, int64_t due, struct sv_error *err);
/* How many wait, for each hook that has any. */
enum sv_err sv_alarm_delivery_count(struct sv_tx *tx, void (*row)(void *arg, const char *hook, int64_t n), void *arg,
                                    struct sv_error *err);

#endif
