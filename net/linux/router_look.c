/* What there is of a router. */
#include "net/linux/ha.h"

#include <string.h>

#include "net/balance.h"

static enum sv_err look_balancers(const struct router *r, bool *ret, struct sv_error *err)
{
    SV_AUTOFREE char *dir = router_balance_dir(r);
    SV_AUTOFD int fd = netns_open(r->names.netns_path);
    const struct sv_deadline limit = sv_deadline_within(&r->work.deadline, NET_COMMAND_MS);
    return balance_whole(&limit, fd, dir, ret, err);
}

/* What is between two: one leads and speaks, the other neither. */
static bool pair_whole(const struct routers *all, const struct ha_roles *roles)
{
    const unsigned a = roles->active;
    return roles->speaks[a] && !roles->speaks[1 - a] && roles->leads[a] && ha_daemons_whole(all->v);
}

enum sv_err router_whole(struct sv_net *net, const struct sv_net_router *want, bool *ret, struct sv_error *err)
{
    struct ha_roles roles = {.active = 0};
    SV_CLEANUP(routers_free) struct routers all = {0};
    enum sv_err rc = router_check(want, err);
    if (rc)
        return rc;
    routers_init(&all, net, want, NULL);
    *ret = want->ha == ha_there(&want->id);
    for (unsigned i = 0; !rc && *ret && i < (want->ha ? 2U : 1U); i++) {
        rc = router_applied(&all.v[i], ret, err);
        if (!rc && *ret)
            rc = look_balancers(&all.v[i], ret, err);
    }
    if (!rc && *ret && want->ha) {
        rc = ha_look_roles(all.v, &roles, err);
        *ret = !rc && pair_whole(&all, &roles);
    }
    return rc;
}

static enum sv_err look_one(struct router *r, struct sv_net_router_facts *facts, bool *ret_two, struct sv_error *err)
{
    SV_CLEANUP(record_free) struct record was = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf now = {0};
    bool whole = false, balances = false;
    enum sv_err rc = record_read(r, &was, err);
    if (!rc)
        rc = found_now(r, &now, err);
    r->outer = was.wanted.p && strstr(was.wanted.p, "\n" OUTER_DEV " ");
    *ret_two = was.wanted.p && strstr(was.wanted.p, "\n" PAIR_DEV " ");
    if (!rc)
        rc = router_link_whole(r, &whole, err);
    if (!rc && whole)
        rc = look_balancers(r, &balances, err);
    facts->instances_up += whole;
    facts->there = facts->there && whole && was.found.n && same_text(&now, &was.found) && balances;
    return rc;
}

static enum sv_err look_second(struct routers *all, struct sv_net_router_facts *facts, struct sv_error *err)
{
    struct ha_roles roles;
    bool two;
    enum sv_err rc = look_one(&all->v[1], facts, &two, err);
    if (!rc)
        rc = ha_look_roles(all->v, &roles, err);
    if (rc)
        return rc;
    facts->active = roles.active;
    facts->failovers = ha_failovers(&all->v[0].want->id);
    facts->there = facts->there && two && pair_whole(all, &roles);
    return SV_OK;
}

enum sv_err router_look(struct sv_net *net, const struct sv_id *id, struct sv_net_router_facts *ret,
                        struct sv_error *err)
{
    SV_CLEANUP(routers_free) struct routers all = {0};
    struct sv_net_router_facts facts = {.there = true};
    bool two = false;
    const struct sv_net_router about = {.id = *id};
    enum sv_err rc = router_check(&about, err);
    if (rc)
        return rc;
    routers_init(&all, net, &about, NULL);
    rc = look_one(&all.v[0], &facts, &two, err);
    if (!rc && two)
        rc = look_second(&all, &facts, err);
    else if (ha_there(id)) /* it had two */
        facts.there = false;
    if (!rc)
        *ret = facts;
    return rc;
}

/* The one that routes. */
static const struct router *active_of(const struct routers *all)
{
    struct ha_roles roles;
    struct sv_error ignored;
    if (!ha_there(&all->v[0].want->id) || ha_look_roles(all->v, &roles, &ignored) != SV_OK)
        return &all->v[0];
    return &all->v[roles.active];
}

/* The ids of rules are the comments of the chains that boundaries have: those of packets on their way, not back. */
static void rows_of(const char *listing, sv_net_rule_fn *row, void *arg)
{
    static const char chain[] = "\tchain ", mark[] = "comment \"";
    bool boundary = false;
    struct sv_id id = {""}, last = {""};
    for (const char *at = listing; at && *at; at += strcspn(at, "\n"), at += *at == '\n') {
        size_t n = strcspn(at, "\n");
        if (strncmp(at, chain, sizeof(chain) - 1) == 0)
            boundary =
                strncmp(at + sizeof(chain) - 1, "in_", 3) == 0 || strncmp(at + sizeof(chain) - 1, "out_", 4) == 0;
        const char *hit = boundary ? memmem(at, n, mark, sizeof(mark) - 1) : NULL;
        if (!hit || (size_t)(at + n - hit) < sizeof(mark) - 1 + SV_ID_LEN)
            continue;
        sv_copy(id.s, sizeof(id.s), hit + sizeof(mark) - 1);
        if (sv_id_valid(id.s) && !sv_id_eq(&id, &last)) /* a line a value */
            row(arg, &id);
        last = id;
    }
}

enum sv_err router_rules(struct sv_net *net, const struct sv_id *id, sv_net_rule_fn *row, void *arg,
                         struct sv_error *err)
{
    SV_CLEANUP(routers_free) struct routers all = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    const struct sv_net_router about = {.id = *id};
    enum sv_err rc = router_check(&about, err);
    if (rc)
        return rc;
    routers_init(&all, net, &about, NULL);
    SV_AUTOFD int fd = netns_open(active_of(&all)->names.netns_path);
    if (fd >= 0)
        rc = nft_look(fd, "list ruleset", &out, err);
    if (!rc)
        rows_of(out.p, row, arg);
    return rc;
}

enum sv_err router_nodes(struct sv_net *net, const struct sv_id *id, sv_net_node_fn *row, void *arg,
                         struct sv_error *err)
{
    SV_CLEANUP(routers_free) struct routers all = {0};
    const struct sv_net_router about = {.id = *id};
    const struct sv_deadline limit = sv_deadline_within(NULL, NET_COMMAND_MS);
    enum sv_err rc = router_check(&about, err);
    if (rc)
        return rc;
    routers_init(&all, net, &about, NULL);
    SV_AUTOFREE char *dir = router_balance_dir(active_of(&all));
    return balance_nodes(&limit, dir, row, arg, err);
}

enum sv_err router_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *id), void *arg,
                        struct sv_error *err)
{
    return ids_in(((const struct linux_net *)net)->router_dir, row, arg, err);
}
