/* Security groups, and rules: of a group, of one NIC, of the boundary of a VPC. */
#ifndef STARVIRT_STORE_RULE_H
#define STARVIRT_STORE_RULE_H

#include "starvirt/store_vm.h"

/* --- rules. Kept in rows: never renumbered. --- */
enum sv_rule_kind {
    SV_RULE_GATE, /* of the boundary of the VPC that its NIC is in */
    SV_RULE_NIC,
    SV_RULE_GROUP,
};
enum sv_rule_proto { SV_RULE_ANY, SV_RULE_TCP, SV_RULE_UDP, SV_RULE_ICMP };

struct sv_rule {
    struct sv_id id, tenant;
    enum sv_rule_kind kind;
    struct sv_id nic, group; /* GATE, NIC; GROUP */
    bool in;                 /* to the guest, into the VPC; else out of it */
    enum sv_rule_proto proto;
    const char *srcs, *dsts, *ports; /* the one text of what they mean (core/network/ranges.c); "" any */
    const char *descr;
    int64_t created;
    /* On reading, by the searches; else empty, "". */
    const char *tenant_name, *vm_name, *group_name, *router_name;
    struct sv_id vpc, router; /* router: of a GATE, where the VPC has one */
};
typedef void sv_rule_fn(void *arg, const struct sv_rule *r);

enum sv_err sv_rule_insert(struct sv_tx *tx, const struct sv_rule *r, struct sv_error *err);
/* RULE_NOT_FOUND, also where it is of a group and none of such is asked for, or the other way round. */
enum sv_err sv_rule_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, bool of_group,
                        struct sv_arena *a, struct sv_rule *ret, struct sv_error *err);
enum sv_err sv_rule_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);

/* Where `r` belongs (its group, its NIC, its VPC's boundary): how many rules there are, and the one that says the
 * same (empty = none). */
struct sv_rule_place {
    int64_t count;
    struct sv_id same;
};
enum sv_err sv_rule_look_around(struct sv_tx *tx, const struct sv_rule *r, struct sv_rule_place *ret,
                                struct sv_error *err);
enum sv_err sv_rule_count_tenant(struct sv_tx *tx, const struct sv_id *tenant, int64_t *ret, struct sv_error *err);

/* In order of ids, for what an engine is given. */
enum sv_err sv_rule_list_nic(struct sv_tx *tx, const struct sv_id *nic, sv_rule_fn *row, void *arg,
                             struct sv_error *err);
enum sv_err sv_rule_list_group(struct sv_tx *tx, const struct sv_id *group, sv_rule_fn *row, void *arg,
                               struct sv_error *err);
/* Of the boundary of a VPC. */
enum sv_err sv_rule_list_gate(struct sv_tx *tx, const struct sv_id *vpc, sv_rule_fn *row, void *arg,
                              struct sv_error *err);

struct sv_rule_filter {
    struct sv_id id;
    int kind, proto, in;         /* -1 = any */
    const char *src, *dst, *vpc; /* substrings */
    const char *ports;           /* the same text; NULL = any */
    struct sv_id router;         /* of GATE; any instance of it */
};
/* GATE and NIC, in order of creation. */
enum sv_err sv_rule_search(struct sv_tx *tx, struct sv_scope scope, const struct sv_rule_filter *f,
                           const struct sv_page *p, sv_rule_fn *row, void *arg, uint64_t *ret_total,
                           struct sv_error *err);
/* Of these groups, one after the other (kind, vpc, router of the filter count for nothing). */
enum sv_err sv_rule_search_groups(struct sv_tx *tx, const struct sv_id *groups, size_t n,
                                  const struct sv_rule_filter *f, const struct sv_page *p, sv_rule_fn *row, void *arg,
                                  uint64_t *ret_total, struct sv_error *err);

/* --- rules that are not in force: those of units that the engine was told of in vain --- */
struct sv_rule_issue {
    struct sv_id unit, rule, vm; /* a group's rule: once for each VM that has a NIC in it */
    int64_t failures;            /* of the unit, in a row */
};
struct sv_rule_issue_filter {
    struct sv_id vm, group;
};
/* In order of units, rules, VMs. */
enum sv_err sv_rule_issues(struct sv_tx *tx, struct sv_scope scope, const struct sv_rule_issue_filter *f,
                           const struct sv_page *p, void (*row)(void *arg, const struct sv_rule_issue *i), void *arg,
                           uint64_t *ret_total, struct sv_error *err);

/* --- boundaries --- */
/* The VPCs of a router in order of ids, and whether the boundary lets pass only what rules allow. */
typedef void sv_gate_fn(void *arg, const struct sv_id *vpc, bool closed);
enum sv_err sv_gate_list(struct sv_tx *tx, const struct sv_id *router, sv_gate_fn *row, void *arg,
                         struct sv_error *err);
/* The router that a VPC has a leg on; empty = none. */
enum sv_err sv_gate_router(struct sv_tx *tx, const struct sv_id *vpc, struct sv_id *ret, struct sv_error *err);

/* --- security groups --- */
struct sv_secgroup {
    struct sv_id id, tenant;
    const char *name, *descr;
    int64_t created;
    const char *tenant_name; /* on reading */
};
struct sv_secgroup_filter {
    struct sv_id id;
    const char *name; /* substring */
};
enum sv_err sv_secgroup_insert(struct sv_tx *tx, const struct sv_secgroup *g, struct sv_error *err);
/* GROUP_NOT_FOUND. */
enum sv_err sv_secgroup_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                            struct sv_secgroup *ret, struct sv_error *err);
/* Its rules go with it. GROUP_IN_USE with the number of its NICs. */
enum sv_err sv_secgroup_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);
enum sv_err sv_secgroup_count_tenant(struct sv_tx *tx, const struct sv_id *tenant, int64_t *ret, struct sv_error *err);
/* In order of creation. */
enum sv_err sv_secgroup_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_secgroup_filter *f,
                             const struct sv_page *p, void (*row)(void *arg, const struct sv_secgroup *g), void *arg,
                             uint64_t *ret_total, struct sv_error *err);

/* --- which NICs are in which groups --- */
/* *ret_changed false: it was in it (was not in it) already. */
enum sv_err sv_secgroup_bind(struct sv_tx *tx, const struct sv_id *group, const struct sv_id *nic, bool *ret_changed,
                             struct sv_error *err);
enum sv_err sv_secgroup_unbind(struct sv_tx *tx, const struct sv_id *group, const struct sv_id *nic, bool *ret_changed,
                               struct sv_error *err);
/* Ids of the groups of a NIC, of all NICs of a VM (each once); in order. */
enum sv_err sv_secgroup_list_nic(struct sv_tx *tx, const struct sv_id *nic, struct sv_ids *ret, struct sv_error *err);
enum sv_err sv_secgroup_list_vm(struct sv_tx *tx, const struct sv_id *vm, struct sv_ids *ret, struct sv_error *err);
/* `ip` 0: any. In order of ids. */
enum sv_err sv_secgroup_nics(struct sv_tx *tx, const struct sv_id *group, uint32_t ip, const struct sv_page *p,
                             void (*row)(void *arg, const struct sv_nic *n), void *arg, uint64_t *ret_total,
                             struct sv_error *err);
/* Rules and places in groups of a NIC that goes; *ret_gate: the boundary of its VPC had some of them. */
enum sv_err sv_rule_drop_nic(struct sv_tx *tx, const struct sv_id *nic, bool *ret_gate, struct sv_error *err);

#endif
