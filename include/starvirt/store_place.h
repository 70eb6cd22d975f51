/* What placement looks at: hosts as they are in this transaction, groups of VMs that belong together or apart. */
#ifndef STARVIRT_STORE_PLACE_H
#define STARVIRT_STORE_PLACE_H

#include "starvirt/store.h"

struct sv_host_room {
    struct sv_id id;
    const char *labels; /* "key=value", by comma, sorted; until the callback returns */
    bool connected, maintenance;
    bool storage;          /* it reaches one for disks of VMs */
    int64_t vcpus, memory; /* free of what may be placed; less than 0 where it shrank below what it holds */
};
/* All there are, in no order. */
enum sv_err sv_host_rooms(struct sv_tx *tx, void (*row)(void *arg, const struct sv_host_room *h), void *arg,
                          struct sv_error *err);

/* VMs of a tenant that belong on one host, or on different ones; strict: or nowhere. */
struct sv_affinity {
    struct sv_id id, tenant;
    const char *name, *descr;
    bool apart, strict;
    int64_t created;
    const char *vms; /* on reading: ids of its VMs, by comma */
};
enum sv_err sv_affinity_insert(struct sv_tx *tx, const struct sv_affinity *g, struct sv_error *err);
/* AFFINITY_NOT_FOUND. */
enum sv_err sv_affinity_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                            struct sv_affinity *ret, struct sv_error *err);
enum sv_err sv_affinity_count_tenant(struct sv_tx *tx, const struct sv_id *tenant, int64_t *ret, struct sv_error *err);
/* AFFINITY_IN_USE with the number of its VMs. */
enum sv_err sv_affinity_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);
/* `name`: a part of it, NULL = any. */
enum sv_err sv_affinity_list(struct sv_tx *tx, struct sv_scope scope, const char *name, const struct sv_page *p,
                             void (*row)(void *arg, const struct sv_affinity *g), void *arg, uint64_t *ret_total,
                             struct sv_error *err);
enum sv_err sv_affinity_join(struct sv_tx *tx, const struct sv_id *group, const struct sv_id *vm, struct sv_error *err);
enum sv_err sv_affinity_leave(struct sv_tx *tx, const struct sv_id *vm, struct sv_error *err); /* all of them */
/* Where its VMs are, and how many. */
enum sv_err sv_affinity_hosts(struct sv_tx *tx, const struct sv_id *group,
                              void (*row)(void *arg, const struct sv_id *host, int64_t vms), void *arg,
                              struct sv_error *err);
/* Ids of the groups of a VM, by comma. */
enum sv_err sv_affinity_of_vm(struct sv_tx *tx, const struct sv_id *vm, struct sv_arena *a, const char **ret,
                              struct sv_error *err);

#endif
