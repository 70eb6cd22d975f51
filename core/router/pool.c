/* Pools of outer addresses. */
#include <stdio.h>

#include "core/run/run.h"
#include "starvirt/core_address.h"

enum { MAX_POOL = 65536 }; /* lists of free addresses show each */

struct net {
    uint32_t base;
    unsigned prefix;
};

static uint32_t last_of(struct net n)
{
    return n.base | (uint32_t)((1ULL << (32 - n.prefix)) - 1);
}

static bool overlap(struct net n, struct net other)
{
    return n.base <= last_of(other) && other.base <= last_of(n);
}

/* --- what was said ----------------------------------------------------------------------------------- */

static enum sv_err read_ip(const char *text, enum sv_field field, uint32_t *ret, struct sv_error *err)
{
    if (!text)
        return sv_fail(err, SV_E_PARAM_MISSING, field);
    return sv_ip4_parse(text, ret) ? SV_OK : sv_fail(err, SV_E_PARAM_FORMAT, field, "a.b.c.d");
}

/* Room for network, broadcast, gateway and an address at least. */
static enum sv_err read_mask(const char *text, unsigned *ret, struct sv_error *err)
{
    uint32_t mask = 0;
    enum sv_err rc = read_ip(text, SV_F_POOL_NETMASK, &mask, err);

    if (rc)
        return rc;
    for (unsigned prefix = 1; prefix <= 30; prefix++) {
        if (mask == ~(uint32_t)((1ULL << (32 - prefix)) - 1)) {
            *ret = prefix;
            return SV_OK;
        }
    }
    return sv_fail(err, SV_E_PARAM_FORMAT, SV_F_POOL_NETMASK, "128.0.0.0, 192.0.0.0, ..., 255.255.255.252");
}

static enum sv_err read_texts(const struct sv_pool_new *in, struct sv_pool *p, struct sv_error *err)
{
    enum sv_err rc = sv_check_name(in->name, SV_F_POOL_NAME, err);

    if (!rc)
        rc = sv_check_descr(in->descr, SV_F_NONE, err);
    if (!rc)
        rc = read_ip(in->first, SV_F_POOL_FIRST, &p->first, err);
    if (!rc)
        rc = read_ip(in->last, SV_F_POOL_LAST, &p->last, err);
    if (!rc)
        rc = read_ip(in->gateway, SV_F_POOL_GATEWAY, &p->gateway, err);
    return rc ? rc : read_mask(in->netmask, &p->prefix, err);
}

/* --- rules ------------------------------------------------------------------------------------------- */

static enum sv_err check_range(const struct sv_pool *p, struct sv_error *err)
{
    char text[48];

    if (p->first > p->last)
        return sv_fail(err, SV_E_PARAM_CONFLICT, SV_F_POOL_LAST, "before the first address");
    if (sv_pool_size(p) <= MAX_POOL)
        return SV_OK;
    snprintf(text, sizeof(text), "more than %d addresses", MAX_POOL);
    return sv_fail(err, SV_E_PARAM_CONFLICT, SV_F_POOL_LAST, text);
}

/* Handed out is what the outer network routes to somebody: not its own address, its broadcast, its gateway. */
static enum sv_err check_inside(const struct sv_pool *p, struct net n, struct sv_error *err)
{
    if (p->gateway == n.base || p->gateway == last_of(n))
        return sv_fail(err, SV_E_PARAM_CONFLICT, SV_F_POOL_GATEWAY, "the address of the network, or its broadcast");
    if (p->gateway >= p->first && p->gateway <= p->last)
        return sv_fail(err, SV_E_PARAM_CONFLICT, SV_F_POOL_GATEWAY, "one of the addresses of the pool");
    if (p->first < n.base || p->first > last_of(n))
        return sv_fail(err, SV_E_PARAM_CONFLICT, SV_F_POOL_FIRST, "not in the network of gateway and netmask");
    if (p->last > last_of(n))
        return sv_fail(err, SV_E_PARAM_CONFLICT, SV_F_POOL_LAST, "not in the network of gateway and netmask");
    if (p->first == n.base)
        return sv_fail(err, SV_E_PARAM_CONFLICT, SV_F_POOL_FIRST, "the address of the network, or its broadcast");
    if (p->last == last_of(n))
        return sv_fail(err, SV_E_PARAM_CONFLICT, SV_F_POOL_LAST, "the address of the network, or its broadcast");
    return SV_OK;
}

static enum sv_err overlaps(struct net other, const char *what, struct sv_error *err)
{
    char ip[SV_IP4_LEN], text[64];

    sv_ip4_format(other.base, ip);
    snprintf(text, sizeof(text), "%s%s/%u", what, ip, other.prefix);
    return sv_fail(err, SV_E_POOL_OVERLAP, SV_F_POOL_FIRST, text);
}

/* The whole outer network, not the pool alone: a router has a way to each of its hosts. */
static enum sv_err check_apart(const struct sv_cloud *c, struct net n, struct sv_error *err)
{
    /* this host, loopback, link-local (metadata, transit networks of routers), multicast and what is reserved */
    static const struct net nobodys[] = {{0x00000000U, 8}, {0x7F000000U, 8}, {0xA9FE0000U, 16}, {0xE0000000U, 3}};
    const struct net supernet = {.base = c->supernet, .prefix = c->supernet_prefix};

    for (size_t i = 0; i < sizeof(nobodys) / sizeof(nobodys[0]); i++)
        if (overlap(n, nobodys[i]))
            return overlaps(nobodys[i], "", err);
    return overlap(n, supernet) ? overlaps(supernet, "vpc.supernet ", err) : SV_OK;
}

/* --- operations --------------------------------------------------------------------------------------- */

static enum sv_err event(struct sv_tx *tx, const struct sv_actor *who, const char *type, const struct sv_pool *p,
                         struct sv_error *err)
{
    char first[SV_IP4_LEN], last[SV_IP4_LEN], text[2 * SV_IP4_LEN];

    sv_ip4_format(p->first, first);
    sv_ip4_format(p->last, last);
    snprintf(text, sizeof(text), "%s-%s", first, last);
    return sv_cloud_event(tx, type, "pool", &p->id, &who->tenant, text, err);
}

enum sv_err sv_pool_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const struct sv_pool_new *in,
                        struct sv_id *ret, struct sv_error *err)
{
    struct sv_pool p = {
        .id = sv_id_new(), .type = in->type, .descr = in->descr ? in->descr : "", .created = sv_tx_now(tx)};
    struct net n;
    enum sv_err rc = sv_admin_only(who, err);

    p.name = in->name ? in->name : sv_arena_printf(sv_tx_arena(tx), "pool-%s", p.id.s + SV_ID_LEN - 8);
    if (!rc)
        rc = read_texts(in, &p, err);
    if (rc)
        return rc;
    n = (struct net){.base = p.gateway & ~(uint32_t)((1ULL << (32 - p.prefix)) - 1), .prefix = p.prefix};
    rc = check_range(&p, err);
    if (!rc)
        rc = check_inside(&p, n, err);
    if (!rc)
        rc = check_apart(c, n, err);
    if (!rc)
        rc = sv_pool_insert(tx, &p, err);
    if (!rc)
        rc = event(tx, who, "pool.add", &p, err);
    if (!rc)
        *ret = p.id;
    return rc;
}

enum sv_err sv_pool_search(struct sv_tx *tx, const struct sv_actor *who, enum sv_pool_type types,
                           const struct sv_page *p, void (*row)(void *arg, const struct sv_pool *pool), void *arg,
                           uint64_t *ret_total, struct sv_error *err)
{
    const enum sv_err rc = sv_admin_only(who, err);

    return rc ? rc : sv_pool_list(tx, types, p, row, arg, ret_total, err);
}

enum sv_err sv_pool_remove(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_error *err)
{
    struct sv_pool p = {.first = 0};
    struct sv_id pid;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = sv_check_id(id, SV_E_POOL_NOT_FOUND, SV_F_POOL, &pid, err);
    if (!rc)
        rc = sv_pool_get(tx, &pid, sv_tx_arena(tx), &p, err);
    if (!rc)
        rc = sv_pool_delete(tx, &pid, err);
    return rc ? rc : event(tx, who, "pool.delete", &p, err);
}
