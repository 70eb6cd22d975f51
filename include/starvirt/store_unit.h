/* Units of networks that an engine has yet to be told of, or was told in vain. A unit without a row is as its rows
 * want it. The row is written with the change that it is about, so that a crash loses neither without the other. */
#ifndef STARVIRT_STORE_UNIT_H
#define STARVIRT_STORE_UNIT_H

#include "starvirt/store.h"

enum sv_net_unit { SV_UNIT_VPC, SV_UNIT_ROUTER, SV_UNIT_GROUP, SV_UNIT_NIC, SV_UNIT_KINDS };

struct sv_unit {
    enum sv_net_unit kind;
    struct sv_id id, tenant; /* the tenant of its row, which may be gone; empty: nobody knows any more */
    int64_t wish;            /* counts the changes; they are in force when the engine took this one */
    unsigned failures;       /* in a row */
    int64_t due;             /* of one that failed: when it is told again */
    int64_t since;           /* the first change that is not in force */
    enum sv_err error;       /* the last failure; SV_OK: none */
    const char *error_args[SV_ERR_ARGS];
};
typedef void sv_unit_fn(void *arg, const struct sv_unit *u);

/* Also of a unit that was told in vain: it is due at once, what failed counts on. Before the row of the unit's object
 * is deleted, that the tenant can be found. */
enum sv_err sv_unit_due(struct sv_tx *tx, enum sv_net_unit kind, const struct sv_id *id, struct sv_id *ret_tenant,
                        struct sv_error *err);
/* Texts live in the transaction's arena. */
enum sv_err sv_unit_get(struct sv_tx *tx, enum sv_net_unit kind, const struct sv_id *id, struct sv_unit *ret,
                        bool *ret_found, struct sv_error *err);
/* It is as `wish` of it wanted: its row goes, or says of a newer wish only. */
enum sv_err sv_unit_told(struct sv_tx *tx, enum sv_net_unit kind, const struct sv_id *id, int64_t wish,
                         struct sv_error *err);
/* One more failure of u (kind, id, tenant), which is due again at u->due; it gets a row if it has none. */
enum sv_err sv_unit_failed(struct sv_tx *tx, const struct sv_unit *u, const struct sv_error *why, struct sv_error *err);
enum sv_err sv_unit_list(struct sv_tx *tx, sv_unit_fn *row, void *arg,
                         struct sv_error *err); /* all, in order of keys */
/* What failed last time: the issues of a tenant, or of all. */
enum sv_err sv_unit_list_failed(struct sv_tx *tx, struct sv_scope scope, sv_unit_fn *row, void *arg,
                                struct sv_error *err);
/* All of these are due now. */
enum sv_err sv_unit_hurry_failed(struct sv_tx *tx, struct sv_scope scope, struct sv_error *err);

/* All objects that are units of this kind, in order of ids. A VPC or a router that is being deleted is none. */
enum sv_err sv_unit_objects(struct sv_tx *tx, enum sv_net_unit kind,
                            void (*row)(void *arg, const struct sv_id *id, const struct sv_id *tenant), void *arg,
                            struct sv_error *err);

#endif
