#include "net/linux/ha.h"

#include "net/balance.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- names --- */

void router_transit_name(const struct sv_id *router, char buf[16])
{
    name_of("svx", router, buf, 16);
}

void router_leg_name(const struct sv_id *vpc, char buf[16])
{
    name_of("svy", vpc, buf, 16);
}

void router_names_of(const struct linux_net *net, const struct sv_id *router, unsigned instance,
                     struct router_names *ret)
{
    name_of(instance ? "svs-" : "svr-", router, ret->netns, sizeof(ret->netns));
    name_of(instance ? "/run/netns/svs-" : "/run/netns/svr-", router, ret->netns_path, sizeof(ret->netns_path));
    router_transit_name(router, ret->transit);
    name_of(instance ? "svw" : "svz", router, ret->port, sizeof(ret->port));
    name_of(instance ? "svq" : "svo", router, ret->outer_port, sizeof(ret->outer_port));
    ret->dir = sv_asprintf("%s/%s", net->router_dir, router->s);
}

void router_names_free(struct router_names *n)
{
    sv_freep(&n->dir);
}

void routers_free(struct routers *r)
{
    for (unsigned i = 0; i < ROUTER_INSTANCES; i++)
        router_names_free(&r->v[i].names);
}

void routers_init(struct routers *all, const struct sv_net *net, const struct sv_net_router *want,
                  const struct sv_deadline *d)
{
    for (unsigned i = 0; i < ROUTER_INSTANCES; i++) {
        struct router *r = &all->v[i];
        *r = (struct router){.want = want, .instance = i};
        work_init(&r->work, net, d);
        router_names_of(r->work.net, &want->id, i, &r->names);
        r->outer = want->outer_ip && r->work.net->outer;
    }
}

enum sv_err router_check(const struct sv_net_router *want, struct sv_error *err)
{
    bool ok = sv_id_valid(want->id.s) && (!want->outer_ip || (want->outer_prefix >= 1 && want->outer_prefix <= 32));
    for (size_t i = 0; ok && i < want->leg_count; i++)
        ok = want->legs[i].slot < SV_NET_MAX_LEGS && sv_id_valid(want->legs[i].vpc.s);
    if (!ok)
        return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, "not a router");
    return SV_OK;
}

/* --- applying --- */

static void want_texts(const struct router *r, struct sv_buf *rules, struct sv_buf *all)
{
    router_rules_text(r->want, r->outer, rules);
    sv_buf_add(all, rules->p, rules->n);
    router_addresses_text(r->want, r->instance, r->outer, all);
    router_routes_text(r->want, r->outer, all);
}

static enum sv_err is_applied(const struct router *r, const struct record *was, const struct sv_buf *wanted, bool *ret,
                              struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf now = {0};
    if (was->found.n == 0 || !same_text(&was->wanted, wanted))
        return SV_OK;
    enum sv_err rc = found_now(r, &now, err);
    if (!rc && same_text(&now, &was->found))
        rc = router_link_whole(r, ret, err);
    return rc;
}

enum sv_err router_applied(const struct router *r, bool *ret, struct sv_error *err)
{
    SV_CLEANUP(record_free) struct record was = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf rules = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf wanted = {0};
    want_texts(r, &rules, &wanted);
    *ret = false;
    const enum sv_err rc = record_read(r, &was, err);
    return rc ? rc : is_applied(r, &was, &wanted, ret, err);
}

static void announce_all(void *arg)
{
    const struct router *r = arg;
    announce(OUTER_DEV, r->want->outer_ips, r->want->outer_ip_count);
    announce(OUTER_DEV, &r->want->outer_ip, 1);
}

/* --- connections of what is no more --- */

struct forget {
    const char *was, *is;
    bool ok;
};

/* Marks that the earlier text set and this one does not. */
static void forget_there(void *arg)
{
    static const char word[] = "ct mark set ";
    struct forget *f = arg;
    f->ok = true;
    for (const char *at = f->was; f->ok && at && (at = strstr(at, word)) != NULL; at++) {
        char whole[sizeof(word) + 12]; /* with the number and a blank behind it */
        int64_t mark;
        sv_copy(whole, sizeof(whole), at);
        char *end = strchr(whole + sizeof(word) - 1, ' ');
        if (!end)
            continue;
        end[1] = '\0';
        if (strstr(f->is, whole))
            continue;
        *end = '\0';
        if (sv_parse_int(whole + sizeof(word) - 1, &mark) && mark > 0 && mark <= UINT32_MAX)
            f->ok = conntrack_forget((uint32_t)mark);
    }
}

static enum sv_err forget(int netns_fd, const struct sv_buf *was, const struct sv_buf *is, struct sv_error *err)
{
    struct forget f = {.was = was->p, .is = is->p};
    enum sv_err rc = netns_call(netns_fd, forget_there, &f, err);
    return rc || f.ok ? rc : net_errno(err, "forget connections of", "network namespace");
}

/* Rules before addresses: nothing passes that they do not let pass. Both are the whole, so a half of an earlier call
 * is as good as nothing. */
static enum sv_err put_in_force(struct router *r, const struct sv_buf *rules, const struct record *was,
                                struct sv_error *err)
{
    SV_AUTOFD int fd = netns_open(r->names.netns_path);
    if (fd < 0)
        return net_errno(err, "open", r->names.netns_path);
    enum sv_err rc = nft_run(fd, rules->p, rules->n, err);
    if (!rc)
        rc = forget(fd, &was->wanted, rules, err);
    if (!rc)
        rc = router_link_address(r, err);
    if (!rc && r->outer)
        rc = netns_call(fd, announce_all, r, err);
    return rc;
}

static enum sv_err plug_legs(const struct router *r, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    for (size_t i = 0; !rc && i < r->want->leg_count; i++)
        rc = uplink_plug(&r->work, &r->want->legs[i].vpc, &r->want->id, err);
    for (size_t i = 0; !rc && i < r->want->leg_count; i++)
        rc = uplink_listen(&r->work, &r->want->legs[i], &r->want->id, err);
    return rc;
}

/* --- balancers --- */

char *router_balance_dir(const struct router *r)
{
    return sv_asprintf("%s/balance%s", r->names.dir, r->instance ? ".1" : "");
}

/* Without an outer network there is no outer address to listen at. */
static struct sv_net_balancer *balancers_here(const struct router *r, size_t *ret_n)
{
    struct sv_net_balancer *v = sv_alloc((r->want->balancer_count + 1) * sizeof(*v));
    *ret_n = 0;
    for (size_t i = 0; i < r->want->balancer_count; i++)
        if (r->outer || !r->want->balancers[i].outer)
            v[(*ret_n)++] = r->want->balancers[i];
    return v;
}

static enum sv_err apply_balancers(const struct router *r, struct sv_error *err)
{
    size_t n;
    SV_AUTOFREE char *dir = router_balance_dir(r);
    SV_AUTOFREE struct sv_net_balancer *v = balancers_here(r, &n);
    SV_AUTOFD int fd = netns_open(r->names.netns_path);
    return balance_apply(&r->work.deadline, fd, dir, v, n, err);
}

static enum sv_err remove_balancers(const struct router *r, struct sv_error *err)
{
    SV_AUTOFREE char *dir = router_balance_dir(r);
    SV_AUTOFD int fd = netns_open(r->names.netns_path);
    return balance_remove(&r->work.deadline, fd, dir, err);
}

/* --- the whole --- */

static enum sv_err apply_texts(struct router *r, struct sv_error *err)
{
    bool applied = false;
    SV_CLEANUP(record_free) struct record was = {0};
    SV_CLEANUP(record_free) struct record rec = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf rules = {0};
    want_texts(r, &rules, &rec.wanted);
    enum sv_err rc = record_read(r, &was, err);
    if (!rc)
        rc = is_applied(r, &was, &rec.wanted, &applied, err);
    if (!rc && !applied)
        rc = put_in_force(r, &rules, &was, err);
    if (!rc && !applied)
        rc = found_now(r, &rec.found, err);
    if (!rc && !applied)
        rc = record_write(r, &rec, err);
    return rc;
}

static enum sv_err remove_one(const struct router *r, struct sv_error *err)
{
    enum sv_err rc = remove_balancers(r, err);
    if (!rc)
        rc = router_link_remove(r, err);
    return rc ? rc : record_remove(r, err);
}

/* The first goes on alone, with what the other one knew if that spoke. */
static enum sv_err leave_second(struct routers *all, struct sv_error *err)
{
    struct ha_roles roles;
    struct router *r = all->v;
    enum sv_err rc = ha_look_roles(r, &roles, err);
    if (!rc)
        rc = ha_keepalived_stop(r, err);
    r[0].silent = !rc && !roles.speaks[0];
    if (!rc)
        rc = router_link_ensure(&r[0], err);
    if (!rc)
        rc = apply_texts(&r[0], err);
    if (!rc && r[0].silent)
        rc = ha_turn(r, 0, err);
    r[0].silent = false;
    if (!rc)
        rc = remove_one(&r[1], err);
    return rc ? rc : ha_remove(r, err);
}

static enum sv_err apply_one(struct routers *all, struct sv_error *err)
{
    struct router *r = &all->v[0];
    enum sv_err rc = ha_there(&r->want->id) ? leave_second(all, err) : SV_OK;
    if (!rc)
        rc = router_link_ensure(r, err);
    if (!rc)
        rc = apply_texts(r, err);
    if (!rc)
        rc = plug_legs(r, err);
    return rc ? rc : apply_balancers(r, err);
}

/* The one that speaks first: what changes must not wait for the other. */
static enum sv_err apply_each(struct routers *all, unsigned active,
                              enum sv_err (*fn)(struct router *r, struct sv_error *err), struct sv_error *err)
{
    const enum sv_err rc = fn(&all->v[active], err);
    return rc ? rc : fn(&all->v[1 - active], err);
}

static enum sv_err ensure_link(struct router *r, struct sv_error *err)
{
    return router_link_ensure(r, err);
}

static enum sv_err ensure_balancers(struct router *r, struct sv_error *err)
{
    return apply_balancers(r, err);
}

static enum sv_err apply_two(struct routers *all, struct sv_error *err)
{
    struct ha_roles roles = {.active = 0};
    struct router *r = all->v;
    enum sv_err rc = ha_prepare(r, err);
    if (!rc)
        rc = ha_look_roles(r, &roles, err);
    const unsigned active = roles.active, other = 1 - active;
    r[active].silent = !roles.speaks[active];
    r[other].silent = true;
    if (!rc && roles.speaks[other])
        rc = ha_silence(&r[other], err);
    if (!rc)
        rc = apply_each(all, active, ensure_link, err);
    if (!rc)
        rc = ha_link_ensure(r, err);
    if (!rc)
        rc = apply_each(all, active, apply_texts, err);
    if (!rc && r[active].silent)
        rc = ha_turn(r, active, err);
    if (!rc)
        rc = plug_legs(&r[active], err);
    if (!rc)
        rc = apply_each(all, active, ensure_balancers, err);
    return rc ? rc : ha_daemons_ensure(r, active, err);
}

enum sv_err router_apply(struct sv_net *net, const struct sv_net_router *want, const struct sv_deadline *d,
                         struct sv_error *err)
{
    SV_CLEANUP(routers_free) struct routers all = {0};
    enum sv_err rc = router_check(want, err);
    if (rc)
        return rc;
    routers_init(&all, net, want, d);
    if (want->ha) /* before there is anything of it */
        rc = ha_programs(err);
    /* First of all and last to go: what exists of a router is found again by its directory. */
    if (!rc && mkdir(all.v[0].names.dir, 0700) != 0 && errno != EEXIST)
        rc = net_errno(err, "create", all.v[0].names.dir);
    if (rc)
        return rc;
    return want->ha ? apply_two(&all, err) : apply_one(&all, err);
}

enum sv_err router_remove(struct sv_net *net, const struct sv_id *id, const struct sv_deadline *d, struct sv_error *err)
{
    SV_CLEANUP(routers_free) struct routers all = {0};
    const struct sv_net_router gone = {.id = *id};
    enum sv_err rc = router_check(&gone, err);
    if (rc)
        return rc;
    routers_init(&all, net, &gone, d);
    if (ha_there(id))
        rc = ha_remove(all.v, err);
    for (unsigned i = ROUTER_INSTANCES; !rc && i-- > 0;)
        rc = remove_one(&all.v[i], err);
    if (!rc && rmdir(all.v[0].names.dir) != 0 && errno != ENOENT)
        rc = net_errno(err, "remove", all.v[0].names.dir);
    return rc;
}
