#include "net/linux/router.h"

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

void router_netns_path(const struct sv_id *router, char buf[40])
{
    name_of("/run/netns/svr-", router, buf, 40);
}

void router_names_of(const struct linux_net *net, const struct sv_id *router, struct router_names *ret)
{
    name_of("svr-", router, ret->netns, sizeof(ret->netns));
    router_netns_path(router, ret->netns_path);
    router_transit_name(router, ret->transit);
    name_of("svz", router, ret->port, sizeof(ret->port));
    name_of("svo", router, ret->outer_port, sizeof(ret->outer_port));
    ret->dir = sv_asprintf("%s/%s", net->router_dir, router->s);
}

void router_names_free(struct router_names *n)
{
    sv_freep(&n->dir);
}

static void router_free(struct router *r)
{
    router_names_free(&r->names);
}

static void router_init(struct router *r, const struct sv_net *net, const struct sv_net_router *want,
                        const struct sv_deadline *d)
{
    r->want = want;
    work_init(&r->work, net, d);
    router_names_of(r->work.net, &want->id, &r->names);
    r->outer = want->outer_ip && r->work.net->outer;
}

static enum sv_err check_router(const struct sv_net_router *want, struct sv_error *err)
{
    bool ok = sv_id_valid(want->id.s) && (!want->outer_ip || (want->outer_prefix >= 1 && want->outer_prefix <= 32));
    for (size_t i = 0; ok && i < want->leg_count; i++)
        ok = want->legs[i].slot < SV_NET_MAX_LEGS && sv_id_valid(want->legs[i].vpc.s);
    if (!ok)
        return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, "not a router");
    if (want->ha)
        return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, "routers of two instances");
    return SV_OK;
}

/* --- what was applied ---
 * DIR/net-router/<id>/wanted has the texts, `found` what the kernel showed of them right after: the kernel's way to
 * print is not ours, and a change by anybody shows. Neither is believed where the kernel says something else. */

struct record {
    struct sv_buf wanted, found;
};

static void record_free(struct record *r)
{
    sv_buf_free(&r->wanted);
    sv_buf_free(&r->found);
}

static char *record_path(const struct router *r, const char *name)
{
    return sv_asprintf("%s/%s", r->names.dir, name);
}

static enum sv_err record_read(const struct router *r, struct record *ret, struct sv_error *err)
{
    SV_AUTOFREE char *wanted = record_path(r, "wanted");
    SV_AUTOFREE char *found = record_path(r, "found");
    enum sv_err rc = file_read(wanted, &ret->wanted, err);
    return rc ? rc : file_read(found, &ret->found, err);
}

/* `found` goes first and comes last: without it nothing counts as applied. */
static enum sv_err record_write(const struct router *r, const struct record *rec, struct sv_error *err)
{
    bool changed;
    SV_AUTOFREE char *wanted = record_path(r, "wanted");
    SV_AUTOFREE char *found = record_path(r, "found");
    enum sv_err rc = file_remove(found, err);
    if (!rc)
        rc = file_write(wanted, rec->wanted.p, rec->wanted.n, &changed, err);
    return rc ? rc : file_write(found, rec->found.p, rec->found.n, &changed, err);
}

static enum sv_err record_remove(const struct router *r, struct sv_error *err)
{
    static const char *const names[] = {"found", "found.new", "wanted", "wanted.new"};
    enum sv_err rc = SV_OK;
    for (size_t i = 0; !rc && i < sizeof(names) / sizeof(names[0]); i++) {
        SV_AUTOFREE char *path = record_path(r, names[i]);
        rc = file_remove(path, err);
    }
    return rc;
}

/* What the kernel shows now; empty where there is nothing to ask. */
static enum sv_err found_now(const struct router *r, struct sv_buf *ret, struct sv_error *err)
{
    SV_AUTOFD int fd = netns_open(r->names.netns_path);
    if (fd < 0)
        return SV_OK;
    enum sv_err rc = nft_look(fd, "list ruleset", ret, err);
    return rc ? rc : router_link_look(r, ret, err);
}

/* --- applying --- */

static void want_texts(const struct router *r, struct sv_buf *rules, struct sv_buf *all)
{
    router_rules_text(r->want, r->outer, rules);
    sv_buf_add(all, rules->p, rules->n);
    router_addresses_text(r->want, r->outer, all);
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

static char *balance_dir(const struct router *r)
{
    return sv_asprintf("%s/balance", r->names.dir);
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
    SV_AUTOFREE char *dir = balance_dir(r);
    SV_AUTOFREE struct sv_net_balancer *v = balancers_here(r, &n);
    SV_AUTOFD int fd = netns_open(r->names.netns_path);
    return balance_apply(&r->work.deadline, fd, dir, v, n, err);
}

static enum sv_err remove_balancers(const struct router *r, struct sv_error *err)
{
    SV_AUTOFREE char *dir = balance_dir(r);
    SV_AUTOFD int fd = netns_open(r->names.netns_path);
    return balance_remove(&r->work.deadline, fd, dir, err);
}

static enum sv_err apply(struct router *r, struct sv_error *err)
{
    bool applied = false;
    SV_CLEANUP(record_free) struct record was = {0};
    SV_CLEANUP(record_free) struct record rec = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf rules = {0};
    want_texts(r, &rules, &rec.wanted);
    enum sv_err rc = router_link_ensure(r, err);
    if (!rc)
        rc = record_read(r, &was, err);
    if (!rc)
        rc = is_applied(r, &was, &rec.wanted, &applied, err);
    if (!rc && !applied)
        rc = put_in_force(r, &rules, &was, err);
    if (!rc && !applied)
        rc = found_now(r, &rec.found, err);
    if (!rc && !applied)
        rc = record_write(r, &rec, err);
    if (!rc)
        rc = plug_legs(r, err);
    return rc ? rc : apply_balancers(r, err);
}

enum sv_err router_apply(struct sv_net *net, const struct sv_net_router *want, const struct sv_deadline *d,
                         struct sv_error *err)
{
    SV_CLEANUP(router_free) struct router r = {0};
    enum sv_err rc = check_router(want, err);
    if (rc)
        return rc;
    router_init(&r, net, want, d);
    /* First of all and last to go: what exists of a router is found again by its directory. */
    if (mkdir(r.names.dir, 0700) != 0 && errno != EEXIST)
        return net_errno(err, "create", r.names.dir);
    return apply(&r, err);
}

enum sv_err router_remove(struct sv_net *net, const struct sv_id *id, const struct sv_deadline *d, struct sv_error *err)
{
    SV_CLEANUP(router_free) struct router r = {0};
    const struct sv_net_router gone = {.id = *id};
    enum sv_err rc = check_router(&gone, err);
    if (rc)
        return rc;
    router_init(&r, net, &gone, d);
    rc = remove_balancers(&r, err);
    if (!rc)
        rc = router_link_remove(&r, err);
    if (!rc)
        rc = record_remove(&r, err);
    if (!rc && rmdir(r.names.dir) != 0 && errno != ENOENT)
        rc = net_errno(err, "remove", r.names.dir);
    return rc;
}

/* --- looking --- */

static enum sv_err look_balancers(const struct router *r, bool *ret, struct sv_error *err)
{
    SV_AUTOFREE char *dir = balance_dir(r);
    SV_AUTOFD int fd = netns_open(r->names.netns_path);
    const struct sv_deadline limit = sv_deadline_within(&r->work.deadline, NET_COMMAND_MS);
    return balance_whole(&limit, fd, dir, ret, err);
}

enum sv_err router_whole(struct sv_net *net, const struct sv_net_router *want, bool *ret, struct sv_error *err)
{
    SV_CLEANUP(router_free) struct router r = {0};
    SV_CLEANUP(record_free) struct record was = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf rules = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf wanted = {0};
    enum sv_err rc = check_router(want, err);
    if (rc)
        return rc;
    router_init(&r, net, want, NULL);
    want_texts(&r, &rules, &wanted);
    *ret = false;
    rc = record_read(&r, &was, err);
    if (!rc)
        rc = is_applied(&r, &was, &wanted, ret, err);
    return rc || !*ret ? rc : look_balancers(&r, ret, err);
}

enum sv_err router_look(struct sv_net *net, const struct sv_id *id, struct sv_net_router_facts *ret,
                        struct sv_error *err)
{
    SV_CLEANUP(router_free) struct router r = {0};
    SV_CLEANUP(record_free) struct record was = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf now = {0};
    bool whole = false, balances = false;
    struct sv_net_router about = {.id = *id};
    enum sv_err rc = check_router(&about, err);
    if (rc)
        return rc;
    router_init(&r, net, &about, NULL);
    rc = record_read(&r, &was, err);
    if (!rc)
        rc = found_now(&r, &now, err);
    r.outer = was.wanted.p && strstr(was.wanted.p, "\n" OUTER_DEV " ");
    if (!rc)
        rc = router_link_whole(&r, &whole, err);
    if (!rc && whole)
        rc = look_balancers(&r, &balances, err);
    if (!rc)
        *ret = (struct sv_net_router_facts){.there = whole && was.found.n && same_text(&now, &was.found) && balances,
                                            .instances_up = whole ? 1 : 0};
    return rc;
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
    SV_CLEANUP(router_free) struct router r = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    const struct sv_net_router about = {.id = *id};
    enum sv_err rc = check_router(&about, err);
    if (rc)
        return rc;
    router_init(&r, net, &about, NULL);
    SV_AUTOFD int fd = netns_open(r.names.netns_path);
    if (fd >= 0)
        rc = nft_look(fd, "list ruleset", &out, err);
    if (!rc)
        rows_of(out.p, row, arg);
    return rc;
}

enum sv_err router_nodes(struct sv_net *net, const struct sv_id *id, sv_net_node_fn *row, void *arg,
                         struct sv_error *err)
{
    SV_CLEANUP(router_free) struct router r = {0};
    const struct sv_net_router about = {.id = *id};
    const struct sv_deadline limit = sv_deadline_within(NULL, NET_COMMAND_MS);
    enum sv_err rc = check_router(&about, err);
    if (rc)
        return rc;
    router_init(&r, net, &about, NULL);
    SV_AUTOFREE char *dir = balance_dir(&r);
    return balance_nodes(&limit, dir, row, arg, err);
}

enum sv_err router_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *id), void *arg,
                        struct sv_error *err)
{
    return ids_in(((const struct linux_net *)net)->router_dir, row, arg, err);
}
