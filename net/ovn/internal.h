/* The OVN engine, inside. What is wanted of a unit is a plan: rows of OVN's northbound database, and which row holds
 * which (plan.c, pure text). Applying it (apply.c) is one question, what is there of the unit, and one transaction,
 * none where all is as it should be. Everything goes through the database's own protocol (RFC 7047), link.c.
 *
 * Rows carry in external_ids: "starvirt", whose they are (the server's own id, DIR/net-ovn); "starvirt-kind" and
 * "starvirt-id", of which unit; "starvirt-row", which of its rows. Rows without are somebody else's and not touched.
 *
 *     VPC      logical switch, a port and DHCP options a NIC, guards that hold for all its ports
 *     NIC      port group of its own with its rules; its port is in the port groups of its security groups
 *     group    port group with the group's rules
 *     router   logical router, its ports and the switches' ones, NAT, load balancers, gates
 *
 * A unit may need a row of another one that is not there yet (a rule, the NIC's port): it makes it, and the other unit
 * finds it as its own. */
#ifndef STARVIRT_NET_OVN_INTERNAL_H
#define STARVIRT_NET_OVN_INTERNAL_H

#include <json-c/json.h>

#include "starvirt/mem.h"
#include "starvirt/net.h"
#include "starvirt/text.h"

#define OVN_BRIDGE "br-int"
enum { OVN_CALL_MS = 10000 }; /* one call of the engine at most */

struct ovn_net {
    struct sv_net head;
    char *owner;         /* in external_ids of all that is ours */
    char *remotes;       /* "unix:/path,tcp:10.0.0.1:6641": all of one database */
    char *south;         /* the same of the southbound one; NULL = not given */
    char *outer;         /* network_name of the outer switch's localnet port; NULL = there is none */
    char *gateways;      /* chassis that have it, between commas, the first one before the others; NULL = none */
    int64_t mtu;         /* of guests [bytes] */
    bool netdev;         /* the hosts' datapath is OVS's own */
    char *place_dir;     /* DIR/net-router: a directory a router that has a place on this machine (place.c) */
    char *ovs, *ip;      /* ovs-vsctl, ip; NULL: this machine is no host of OVN's */
    struct sv_net *host; /* networks on physical interfaces; NULL: not here, and why: */
    char *host_why;
};

/* --- plan.c: rows, and the texts that find, compare and make them --- */

enum ovn_table {
    OVN_SWITCH,
    OVN_SWITCH_PORT,
    OVN_DHCP,
    OVN_PORT_GROUP,
    OVN_ACL,
    OVN_ROUTER,
    OVN_ROUTER_PORT,
    OVN_NAT,
    OVN_ROUTE,
    OVN_CHASSIS,
    OVN_BALANCER,
    OVN_TABLES
};
const char *ovn_table_name(enum ovn_table t);

struct ovn_unit {
    const char *kind; /* "vpc", "nic", "group", "router", "outer" */
    const char *id;
};

struct ovn_column {
    const char *name;
    const char *json; /* NULL: a reference to: */
    size_t row;
};
struct ovn_row {
    enum ovn_table table;
    struct ovn_unit unit;
    const char *key;   /* "starvirt-row": one row of the unit; for people, too */
    const char *name;  /* of a row of another unit: found by it. NULL = a row of this one */
    const char *rule;  /* ids of the rules that it is in force for, between commas; NULL = none */
    const char *nodes; /* ids of nodes, between commas; NULL = none */
    struct ovn_column *columns;
    size_t column_count, column_cap;
};
/* The set `column` of row `holder` has row `held` in it. */
struct ovn_hold {
    size_t holder;
    const char *column;
    size_t held;
};
/* Before anything is held: `held` leaves the sets `column` of all our rows of `table` and `kind`. */
struct ovn_leave {
    enum ovn_table table;
    const char *kind, *column;
    size_t held;
};

struct ovn_plan {
    struct sv_arena *arena;
    const char *owner;
    struct ovn_unit unit;
    unsigned tables; /* bits: where the unit may have rows */
    struct ovn_row *rows;
    size_t row_count, row_cap;
    struct ovn_hold *holds;
    size_t hold_count, hold_cap;
    struct ovn_leave *leaves;
    size_t leave_count, leave_cap;
};

/* One of the four kinds of units. */
void ovn_plan_init(struct ovn_plan *p, const char *owner, const char *kind, const char *id);
void ovn_plan_free(struct ovn_plan *p);
/* A row of this unit; keys are kept, texts are copied. Its number is good for the plan. */
size_t ovn_row(struct ovn_plan *p, enum ovn_table table, const char *key);
/* A row of another unit, made with the columns that follow where it is not there, else left as it is. */
size_t ovn_row_of(struct ovn_plan *p, enum ovn_table table, struct ovn_unit unit, const char *key, const char *name);
void ovn_set(struct ovn_plan *p, size_t row, const char *column, const char *text);
void ovn_set_int(struct ovn_plan *p, size_t row, const char *column, int64_t v);
void ovn_set_bool(struct ovn_plan *p, size_t row, const char *column, bool v);
void ovn_set_map(struct ovn_plan *p, size_t row, const char *column, const char *const *pairs); /* NULL-terminated */
void ovn_set_row(struct ovn_plan *p, size_t row, const char *column, size_t to);
void ovn_hold(struct ovn_plan *p, size_t holder, const char *column, size_t held);
void ovn_leave(struct ovn_plan *p, enum ovn_table table, const char *kind, const char *column, size_t held);
#define OVN_MAP(...) ((const char *const[]){__VA_ARGS__, NULL})

/* What was found: UUIDs of rows as of the plan, "" = not there; and rows of the unit that are no more wanted. */
struct ovn_stale {
    enum ovn_table table;
    char uuid[SV_ID_LEN + 1];
};
struct ovn_found {
    char (*uuids)[SV_ID_LEN + 1];
    struct ovn_stale *stale;
    size_t stale_count, stale_cap;
};
void ovn_found_free(struct ovn_found *f);
/* Parameters of `transact`, whole JSON arrays. The answer to the first is read by ovn_found_read(). The second asks a
 * row for each row and set as it should be; NULL when something is missing or too much anyhow. The third makes it so
 * and ends with the number that the database then counts. */
char *ovn_find_text(const struct ovn_plan *p);
bool ovn_found_read(const struct ovn_plan *p, json_object *answer, struct ovn_found *ret);
char *ovn_same_text(const struct ovn_plan *p, const struct ovn_found *f);
char *ovn_make_text(const struct ovn_plan *p, const struct ovn_found *f);

/* Out of an answer: the rows of its i-th operation, NULL when it was no question; a row's UUID, or that of the one row
 * which a column of it names; a value of its external_ids. NULL: none. */
const char *ovn_uuid(json_object *row);
const char *ovn_reference(json_object *row, const char *column);
json_object *ovn_rows(json_object *answer, size_t i);
const char *ovn_external_id(json_object *row, const char *key);

/* --- link.c: a database's protocol over a socket --- */
enum ovn_database { OVN_NORTH, OVN_SOUTH };
struct ovn_link {
    int fd;
    enum ovn_database database;
    struct sv_deadline deadline;
    const char *remotes;
    json_tokener *reader;
    char piece[16384]; /* received, not read yet: */
    size_t begin, end;
    bool refused; /* the last transaction, by the database, which has changed nothing */
};
/* NETWORK with a clear word when none of the addresses answers in time. */
enum sv_err ovn_link_open(struct ovn_link *l, enum ovn_database database, const char *remotes,
                          const struct sv_deadline *d, struct sv_error *err);
void ovn_link_close(struct ovn_link *l); /* also one that was never opened: {.fd = -1} */
/* The array of results, one an operation (json_object_put()); NETWORK with the database's own word when one failed. */
enum sv_err ovn_transact(struct ovn_link *l, const char *params, json_object **ret, struct sv_error *err);
void ovn_json_put(json_object **o);
#define OVN_AUTOJSON SV_CLEANUP(ovn_json_put)
/* Can these be addresses? `why` gets what is wrong. */
bool ovn_remotes_valid(const char *remotes, struct sv_buf *why);

/* --- apply.c --- */
/* Makes it so, and waits until OVN works with it. */
enum sv_err ovn_apply(const struct ovn_net *net, const struct ovn_plan *p, const struct sv_deadline *d,
                      struct sv_error *err);
/* Is all of it as planned? */
enum sv_err ovn_whole(const struct ovn_net *net, const struct ovn_plan *p, bool *ret, struct sv_error *err);
/* Until northd has translated all up to the count *until of NB_Global's nb_cfg; 0 becomes what that is now. NETWORK
 * when it does not within three quarters of the link's time. */
enum sv_err ovn_wait_translated(struct ovn_link *l, int64_t *until, struct sv_error *err);
/* All rows of the unit go. */
enum sv_err ovn_remove(const struct ovn_net *net, const char *kind, const struct sv_id *id, const struct sv_deadline *d,
                       struct sv_error *err);

/* --- host.c: what the southbound database says of the hosts --- */
/* Until the host that has the NIC's port has done all up to that count, as its ovn-controller says; at once where no
 * host has it, or there is no address of the southbound database. NETWORK when that does not happen within `d`. */
enum sv_err ovn_nic_followed(const struct ovn_net *net, const struct sv_id *nic, int64_t until,
                             const struct sv_deadline *d, struct sv_error *err);

/* --- look.c --- */
/* Units of a kind that have their first row. */
enum sv_err ovn_list(const struct ovn_net *net, const char *kind, void (*row)(void *arg, const struct sv_id *id),
                     void *arg, struct sv_error *err);
/* Rules of a unit that are there and that northd has translated. */
enum sv_err ovn_rules(const struct ovn_net *net, const char *kind, const struct sv_id *id, sv_net_rule_fn *row,
                      void *arg, struct sv_error *err);
/* Of a NIC, and of the groups that its port is in; its host has followed. */
enum sv_err ovn_nic_rules(const struct ovn_net *net, const struct sv_id *nic, sv_net_rule_fn *row, void *arg,
                          struct sv_error *err);
enum sv_err ovn_router_look(const struct ovn_net *net, const struct sv_id *router, struct sv_net_router_facts *ret,
                            struct sv_error *err);
enum sv_err ovn_router_nodes(const struct ovn_net *net, const struct sv_id *router, sv_net_node_fn *row, void *arg,
                             struct sv_error *err);

/* --- match.c: expressions of OVN's logical flows, and names --- */
/* " && ip4.src == {...}" for addresses, " && (tcp.dst == 80 || ...)" for protocol and ports; nothing for any. */
void ovn_match_rule(struct sv_buf *b, const struct sv_net_rule *r);
void ovn_match_ranges(struct sv_buf *b, const char *field, const struct sv_net_ranges *r);
/* "sv_nic_0190…": port groups are part of expressions and have no dashes. */
char *ovn_group_name(struct sv_arena *a, const char *kind, const struct sv_id *id);
char *ovn_switch_name(struct sv_arena *a, const struct sv_id *vpc);
char *ovn_ip(struct sv_arena *a, uint32_t ip);
char *ovn_cidr(struct sv_arena *a, uint32_t base, unsigned prefix);
/* A locally administered address made from an id: of a VPC's gateway, of a router outside. */
char *ovn_mac_of(struct sv_arena *a, const struct sv_id *id);
/* Likewise, of another part of the same. */
char *ovn_mac_for(struct sv_arena *a, const char *part, const struct sv_id *id);

/* --- vpc.c, filter.c, router.c: from what is wanted to plans, pure --- */
void ovn_plan_vpc(const struct ovn_net *net, const struct sv_net_vpc *vpc, const struct sv_net_nic *nics, size_t n,
                  struct ovn_plan *p);
void ovn_plan_filter(const struct ovn_net *net, const struct sv_net_filter *want, struct ovn_plan *p);
void ovn_plan_group(const struct ovn_net *net, const struct sv_net_group *want, struct ovn_plan *p);
void ovn_plan_router(const struct ovn_net *net, const struct sv_net_router *want, struct ovn_plan *p);
/* What of it OVN cannot do, or NULL: the rest is in the plan. */
const char *ovn_router_lacks(const struct ovn_net *net, const struct sv_net_router *want);
/* A VPC's switch, as a row of another unit's plan. */
size_t ovn_switch_of(struct ovn_plan *p, const struct sv_id *vpc);
size_t ovn_port_of(struct ovn_plan *p, const struct sv_id *vpc, const struct sv_id *nic, const unsigned char mac[6],
                   uint32_t ip);
size_t ovn_acl(struct ovn_plan *p, size_t holder, const char *key, bool in, int priority, const char *action,
               const char *match);
/* The rules of a port group, and in each direction that has one the rest's end. */
void ovn_group_acls(struct ovn_plan *p, size_t holder, const char *group, const struct sv_net_rules *rules);

/* Makes the switch follow connections, so that answers pass whatever is dropped; allows what is allowed anyhow. */
size_t ovn_track(struct ovn_plan *p, size_t sw, const char *key);
struct ovn_building;
/* gate.c: the boundary of a VPC. `side`: the switch's port to the router. */
void ovn_plan_gate(struct ovn_building *b, size_t sw, const struct sv_net_leg *leg, const struct sv_net_gate *gate,
                   const char *side);
/* What the rules of one direction do not let pass, as expressions " && …" of which any may hold; for each. */
void ovn_gate_drops(const struct sv_net_rules *rules, bool in, void (*drop)(void *arg, const char *match), void *arg);

/* Priorities of ACLs, highest first. */
enum { OVN_PRIO_GUARD = 3001, OVN_PRIO_GATE = 3000, OVN_PRIO_RULE = 2000, OVN_PRIO_REST = 1000, OVN_PRIO_TRACK = 1 };

#endif
