/* What the northbound database has of ours. */
#include "net/ovn/internal.h"

enum { FOLLOW_MS = 2000 }; /* for northd, and for a host: what they have not done by then counts as not in force */

/* The i-th word of a transaction about rows of ours: kind and id may be NULL. */
struct question {
    struct sv_buf text;
    struct sv_json json;
};

static void question_begin(struct question *q)
{
    *q = (struct question){0};
    sv_json_init(&q->json, &q->text);
    sv_json_arr(&q->json, NULL);
    sv_json_str(&q->json, NULL, "OVN_Northbound");
}

static void pair(struct sv_json *j, const char *key, const char *value)
{
    sv_json_arr(j, NULL);
    sv_json_str(j, NULL, key);
    sv_json_str(j, NULL, value);
    sv_json_end_arr(j);
}

/* Rows that were made of one unit. */
#define OF_UNIT(net, kind, id) OVN_MAP("starvirt", (net)->owner, "starvirt-kind", (kind), "starvirt-id", (id))

/* Columns _uuid and external_ids of rows with these; `held`: and whose `ports` have that port. */
static void question_add(struct question *q, enum ovn_table table, const char *const *ids, const char *held)
{
    struct sv_json *j = &q->json;
    sv_json_obj(j, NULL);
    sv_json_str(j, "op", "select");
    sv_json_str(j, "table", ovn_table_name(table));
    sv_json_arr(j, "where");
    sv_json_arr(j, NULL);
    sv_json_str(j, NULL, "external_ids");
    sv_json_str(j, NULL, "includes");
    sv_json_arr(j, NULL);
    sv_json_str(j, NULL, "map");
    sv_json_arr(j, NULL);
    for (; ids[0]; ids += 2)
        pair(j, ids[0], ids[1]);
    sv_json_end_arr(j);
    sv_json_end_arr(j);
    sv_json_end_arr(j);
    if (held) {
        sv_json_arr(j, NULL);
        sv_json_str(j, NULL, "ports");
        sv_json_str(j, NULL, "includes");
        pair(j, "uuid", held);
        sv_json_end_arr(j);
    }
    sv_json_end_arr(j);
    sv_json_arr(j, "columns");
    sv_json_str(j, NULL, "_uuid");
    sv_json_str(j, NULL, "external_ids");
    sv_json_end_arr(j);
    sv_json_end_obj(j);
}

static enum sv_err ask(struct ovn_link *l, struct question *q, json_object **ret, struct sv_error *err)
{
    sv_json_end_arr(&q->json);
    const enum sv_err rc = ovn_transact(l, q->text.p, ret, err);
    sv_buf_free(&q->text);
    return rc;
}

static enum sv_err link_open(const struct ovn_net *net, struct ovn_link *l, struct sv_error *err)
{
    const struct sv_deadline limit = sv_deadline_within(NULL, OVN_CALL_MS);
    return ovn_link_open(l, OVN_NORTH, net->remotes, &limit, err);
}

/* One question, with which the link begins: the answer's only word. */
static enum sv_err ask_one(const struct ovn_net *net, struct ovn_link *l, enum ovn_table table, const char *const *ids,
                           json_object **ret, struct sv_error *err)
{
    struct question q;
    enum sv_err rc = link_open(net, l, err);
    if (rc)
        return rc;
    question_begin(&q);
    question_add(&q, table, ids, NULL);
    return ask(l, &q, ret, err);
}

static enum sv_err ask_once(const struct ovn_net *net, enum ovn_table table, const char *const *ids, json_object **ret,
                            struct sv_error *err)
{
    SV_CLEANUP(ovn_link_close) struct ovn_link l = {.fd = -1};
    return ask_one(net, &l, table, ids, ret, err);
}

/* "id,id,…"; what is none is passed over. */
static void each_of(const char *ids, void (*row)(void *arg, const struct sv_id *id), void *arg)
{
    SV_AUTOFREE char *all = sv_strdup(ids);
    char *save = NULL;
    for (const char *one = strtok_r(all, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
        const struct sv_id id = sv_id_from(one);
        if (!sv_id_empty(&id))
            row(arg, &id);
    }
}

/* Calls `row` with the ids that the rows of the i-th answer have under `key`. */
static void each_id(json_object *answer, size_t i, const char *key, void (*row)(void *arg, const struct sv_id *id),
                    void *arg)
{
    json_object *rows = ovn_rows(answer, i);
    for (size_t k = 0; rows && k < json_object_array_length(rows); k++) {
        const char *ids = ovn_external_id(json_object_array_get_idx(rows, k), key);
        if (ids)
            each_of(ids, row, arg);
    }
}

/* --- units --- */

/* The table of a kind's first row, and its key. */
static enum ovn_table first_table(const char *kind, const char **ret_key)
{
    const bool vpc = strcmp(kind, "vpc") == 0, router = strcmp(kind, "router") == 0;
    *ret_key = vpc ? "switch" : router ? "router" : "group";
    return vpc ? OVN_SWITCH : router ? OVN_ROUTER : OVN_PORT_GROUP;
}

enum sv_err ovn_list(const struct ovn_net *net, const char *kind, void (*row)(void *arg, const struct sv_id *id),
                     void *arg, struct sv_error *err)
{
    OVN_AUTOJSON json_object *answer = NULL;
    const char *key;
    const enum ovn_table table = first_table(kind, &key);
    const enum sv_err rc =
        ask_once(net, table, OVN_MAP("starvirt", net->owner, "starvirt-kind", kind, "starvirt-row", key), &answer, err);
    if (!rc)
        each_id(answer, 0, "starvirt-id", row, arg);
    return rc;
}

/* --- rules --- */

/* What was read is translated; with a link whose work is done. */
static enum sv_err translated(struct ovn_link *l, int64_t *ret_count, struct sv_error *err)
{
    *ret_count = 0;
    l->deadline = sv_deadline_within(&l->deadline, FOLLOW_MS);
    return ovn_wait_translated(l, ret_count, err);
}

/* And the NIC's host works with it. */
static enum sv_err followed(const struct ovn_net *net, struct ovn_link *l, const struct sv_id *nic,
                            struct sv_error *err)
{
    const struct sv_deadline limit = sv_deadline_within(NULL, FOLLOW_MS);
    int64_t count;
    const enum sv_err rc = translated(l, &count, err);
    return rc ? rc : ovn_nic_followed(net, nic, count, &limit, err);
}

enum sv_err ovn_rules(const struct ovn_net *net, const char *kind, const struct sv_id *id, sv_net_rule_fn *row,
                      void *arg, struct sv_error *err)
{
    SV_CLEANUP(ovn_link_close) struct ovn_link l = {.fd = -1};
    OVN_AUTOJSON json_object *answer = NULL;
    int64_t count;
    enum sv_err rc = ask_one(net, &l, OVN_ACL, OF_UNIT(net, kind, id->s), &answer, err);
    if (!rc)
        rc = translated(&l, &count, err);
    if (!rc)
        each_id(answer, 0, "starvirt-rule", row, arg);
    return rc;
}

/* UUID of a NIC's port, "" = it has none. */
static enum sv_err find_port(const struct ovn_net *net, struct ovn_link *l, const struct sv_id *nic,
                             char ret[SV_ID_LEN + 1], struct sv_error *err)
{
    OVN_AUTOJSON json_object *answer = NULL;
    SV_AUTOFREE char *key = sv_asprintf("nic:%s", nic->s);
    struct question q;
    question_begin(&q);
    question_add(&q, OVN_SWITCH_PORT, OVN_MAP("starvirt", net->owner, "starvirt-row", key), NULL);
    enum sv_err rc = ask(l, &q, &answer, err);
    json_object *rows = rc ? NULL : ovn_rows(answer, 0);
    json_object *row = rows && json_object_array_length(rows) ? json_object_array_get_idx(rows, 0) : NULL;
    const char *uuid = row ? ovn_uuid(row) : NULL;
    sv_copy(ret, SV_ID_LEN + 1, uuid ? uuid : "");
    return rc;
}

/* One more question about the rules of each group: begun by the caller. */
struct groups {
    const struct ovn_net *net;
    struct question *q;
    size_t n;
};

static void ask_group(void *arg, const struct sv_id *group)
{
    struct groups *g = arg;
    question_add(g->q, OVN_ACL, OF_UNIT(g->net, "group", group->s), NULL);
    g->n++;
}

enum sv_err ovn_nic_rules(const struct ovn_net *net, const struct sv_id *nic, sv_net_rule_fn *row, void *arg,
                          struct sv_error *err)
{
    SV_CLEANUP(ovn_link_close) struct ovn_link l = {.fd = -1};
    OVN_AUTOJSON json_object *groups = NULL;
    OVN_AUTOJSON json_object *rules = NULL;
    char port[SV_ID_LEN + 1];
    struct question q;
    enum sv_err rc = link_open(net, &l, err);
    if (!rc)
        rc = find_port(net, &l, nic, port, err);
    if (rc || !port[0])
        return rc;
    question_begin(&q);
    question_add(&q, OVN_PORT_GROUP, OVN_MAP("starvirt", net->owner, "starvirt-kind", "group"), port);
    rc = ask(&l, &q, &groups, err);
    if (rc)
        return rc;
    struct groups g = {.net = net, .q = &q, .n = 1};
    question_begin(&q);
    question_add(&q, OVN_ACL, OF_UNIT(net, "nic", nic->s), NULL);
    each_id(groups, 0, "starvirt-id", ask_group, &g);
    rc = ask(&l, &q, &rules, err);
    if (!rc)
        rc = followed(net, &l, nic, err);
    for (size_t i = 0; !rc && i < g.n; i++)
        each_id(rules, i, "starvirt-rule", row, arg);
    return rc;
}

/* --- routers --- */

static void is_there(void *arg, const struct sv_id *id)
{
    (void)id;
    *(bool *)arg = true;
}

/* Which of its hosts routes is the southbound database's to know. */
enum sv_err ovn_router_look(const struct ovn_net *net, const struct sv_id *router, struct sv_net_router_facts *ret,
                            struct sv_error *err)
{
    OVN_AUTOJSON json_object *answer = NULL;
    bool there = false;
    const enum sv_err rc = ask_once(net, OVN_ROUTER, OF_UNIT(net, "router", router->s), &answer, err);
    if (!rc)
        each_id(answer, 0, "starvirt-id", is_there, &there);
    if (!rc)
        *ret = (struct sv_net_router_facts){.there = there, .instances_up = there};
    return rc;
}

struct node_caller {
    struct sv_id balancer;
    sv_net_node_fn *row;
    void *arg;
};

/* OVN itself says nothing of nodes in the northbound database. */
static void call_node(void *arg, const struct sv_id *node)
{
    const struct node_caller *c = arg;
    const struct sv_net_node_fact fact = {.balancer = c->balancer, .node = *node};
    c->row(c->arg, &fact);
}

enum sv_err ovn_router_nodes(const struct ovn_net *net, const struct sv_id *router, sv_net_node_fn *row, void *arg,
                             struct sv_error *err)
{
    OVN_AUTOJSON json_object *answer = NULL;
    const enum sv_err rc = ask_once(net, OVN_BALANCER, OF_UNIT(net, "router", router->s), &answer, err);
    json_object *rows = rc ? NULL : ovn_rows(answer, 0);
    for (size_t i = 0; rows && i < json_object_array_length(rows); i++) {
        json_object *one = json_object_array_get_idx(rows, i);
        const char *key = ovn_external_id(one, "starvirt-row"), *nodes = ovn_external_id(one, "starvirt-nodes");
        struct node_caller c = {
            .balancer = sv_id_from(key && strncmp(key, "balancer:", 9) == 0 ? key + 9 : ""), .row = row, .arg = arg};
        if (nodes)
            each_of(nodes, call_node, &c);
    }
    return rc;
}
