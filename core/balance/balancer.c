/* Load balancers as rows (StarVCenter 2.12). What is not in force yet is the keeper's business: each change touches the
 * router that the balancer works in. */
#include "core/balance/balance.h"
#include "starvirt/certificate.h"
#include "starvirt/limits.h"
#include "starvirt/store_router.h"
#include "starvirt/store_secret.h"

/* --- rules -------------------------------------------------------------------------------------------- */

/* A path goes into the configuration of other programs: nothing in it can end a word there, or mean anything but
 * itself (threat 15). */
static enum sv_err check_path(const char *path, bool query, enum sv_field field, struct sv_error *err)
{
    static const char allowed[] = "A-Z a-z 0-9 - . _ ~ ! & ( ) * + , ; = : @ / %";
    static const char marks[] = "-._~!&()*+,;=:@/%";

    if (path[0] != '/')
        return sv_fail(err, SV_E_PARAM_FORMAT, field, "/path");
    if (strlen(path) > SV_MAX_SLB_PATH)
        return sv_fail(err, SV_E_PARAM_LENGTH, field, sv_dec(SV_MAX_SLB_PATH).s);
    for (const char *p = path; *p; p++) {
        const bool plain = (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9');

        if (!plain && !strchr(marks, *p) && !(query && *p == '?'))
            return sv_fail(err, SV_E_PARAM_CHARS, field, allowed);
    }
    return SV_OK;
}

/* One of the document's numbers: what was said, or what was there. */
static enum sv_err take_number(int64_t said, int64_t min, int64_t max, enum sv_field field, unsigned *to,
                               struct sv_error *err)
{
    enum sv_err rc = said < 0 ? SV_OK : sv_check_count(said, min, max, field, err);

    if (!rc && said >= 0)
        *to = (unsigned)said;
    return rc;
}

static enum sv_err take_numbers(struct sv_slb *b, const struct sv_slb_settings *set, struct sv_error *err)
{
    enum sv_err rc = take_number(set->port, SV_MIN_SLB_PORT, SV_MAX_PORT, SV_F_SLB_PORT, &b->port, err);

    if (!rc)
        rc = take_number(set->retries, SV_MIN_SLB_RETRIES, SV_MAX_SLB_RETRIES, SV_F_SLB_RETRIES, &b->retries, err);
    if (!rc)
        rc = take_number(set->check_every, 1, SV_MAX_SLB_EVERY, SV_F_SLB_EVERY, &b->check_every, err);
    if (!rc)
        rc = take_number(set->check_timeout, 1, SV_MAX_SLB_TIMEOUT, SV_F_SLB_TIMEOUT, &b->check_timeout, err);
    if (!rc)
        rc = take_number(set->idle_timeout, 1, SV_MAX_SLB_IDLE, SV_F_SLB_IDLE, &b->idle_timeout, err);
    if (!rc)
        rc = take_number(set->max_connections, SV_MIN_SLB_CONNECTIONS, SV_MAX_SLB_CONNECTIONS, SV_F_SLB_CONNECTIONS,
                         &b->max_connections, err);
    return rc;
}

/* Only http and https have paths. */
static enum sv_err take_path(const struct sv_slb *b, const char *said, bool query, enum sv_field field, const char **to,
                             struct sv_error *err)
{
    enum sv_err rc;

    if (!said || !said[0])
        return SV_OK;
    if (!sv_slb_is_http(b))
        return sv_fail(err, SV_E_PARAM_CONFLICT, field, "only http and https have paths");
    rc = check_path(said, query, field, err);
    if (!rc)
        *to = said;
    return rc;
}

static enum sv_err take_address(struct sv_tx *tx, struct sv_slb *b, bool outside, const struct sv_slb_settings *set,
                                struct sv_error *err)
{
    if (set->own >= 0 && !outside)
        return sv_fail(err, SV_E_PARAM_CONFLICT, SV_F_SLB_OWN, "only an outer address can be one's own");
    if (set->own >= 0)
        b->own = set->own != 0;
    if (!set->ip)
        return SV_OK;
    if (!sv_ip4_parse(set->ip, &b->ip))
        return sv_fail(err, SV_E_PARAM_FORMAT, SV_F_SLB_IP, "IPv4 (a.b.c.d)");
    return outside ? SV_OK : sv_slb_find_vpc(tx, b, err);
}

/* What was said, over what is there; the rest of `b` must stand. */
static enum sv_err take_settings(struct sv_tx *tx, struct sv_slb *b, bool outside, const struct sv_slb_settings *set,
                                 struct sv_error *err)
{
    enum sv_err rc = sv_check_name(set->name, SV_F_SLB_NAME, err);

    if (!rc)
        rc = sv_check_descr(set->descr, SV_F_SLB_DESC, err);
    if (!rc)
        rc = take_numbers(b, set, err);
    if (!rc)
        rc = take_path(b, set->check_path, true, SV_F_SLB_CHECK, &b->check_path, err);
    if (!rc)
        rc = take_address(tx, b, outside, set, err);
    if (!rc && set->policy > (int)SV_SLB_WLC)
        rc = sv_fail(err, SV_E_PARAM_ENUM, SV_F_SLB_POLICY, "rr, wrr, wlc");
    b->name = set->name ? set->name : b->name;
    b->descr = set->descr ? set->descr : b->descr;
    b->policy = set->policy >= 0 ? (enum sv_slb_policy)set->policy : b->policy;
    return rc;
}

const char *sv_slb_proto_name(enum sv_slb_proto proto)
{
    static const char *const names[] = {
        [SV_SLB_TCP] = "TCP", [SV_SLB_UDP] = "UDP", [SV_SLB_HTTP] = "HTTP", [SV_SLB_HTTPS] = "HTTPS"};

    return names[proto];
}

/* --- certificates --------------------------------------------------------------------------------------- */

bool sv_slb_certified(const struct sv_slb *b)
{
    return b->proto == SV_SLB_HTTPS && b->cert_ends > sv_now_ms();
}

/* Key and chain as one sealed text; what they say of their end is the row's. */
static enum sv_err take_certificate(struct sv_cloud *c, struct sv_tx *tx, struct sv_slb *b, const char *cert,
                                    const char *key, struct sv_error *err)
{
    SV_CLEANUP(sv_certificate_free) struct sv_certificate got = {0};
    enum sv_err rc;

    if (!cert || !cert[0])
        return sv_fail(err, SV_E_PARAM_MISSING, SV_F_SLB_CERT);
    if (!key || !key[0])
        return sv_fail(err, SV_E_PARAM_MISSING, SV_F_SLB_KEY);
    rc = sv_certificate_check(cert, SV_F_SLB_CERT, key, SV_F_SLB_KEY, &got, err);
    if (!rc)
        rc = sv_secret_put(c->secrets, tx, &b->id, SV_SECRET_CERTIFICATE, got.pem, err);
    if (!rc)
        b->cert_ends = got.to_ms;
    return rc;
}

static enum sv_err take_first_certificate(struct sv_cloud *c, struct sv_tx *tx, struct sv_slb *b,
                                          const struct sv_slb_new *in, struct sv_error *err)
{
    if (b->proto == SV_SLB_HTTPS)
        return take_certificate(c, tx, b, in->cert, in->key, err);
    if (in->cert || in->key)
        return sv_fail(err, SV_E_PARAM_CONFLICT, in->cert ? SV_F_SLB_CERT : SV_F_SLB_KEY,
                       "only https has a certificate");
    return SV_OK;
}

/* --- a new one ------------------------------------------------------------------------------------------ */

static enum sv_err check_room(struct sv_tx *tx, const struct sv_id *tenant, struct sv_error *err)
{
    uint64_t n;
    enum sv_err rc = sv_slb_count_tenant(tx, tenant, &n, err);

    return rc || n < SV_MAX_SLBS ? rc : sv_fail(err, SV_E_SLB_LIMIT, SV_F_NONE, sv_dec(SV_MAX_SLBS).s);
}

static struct sv_slb blank(struct sv_tx *tx, const struct sv_slb_new *in)
{
    struct sv_slb b = {.id = sv_id_new(),
                       .descr = "",
                       .enabled = true,
                       .own = in->outside,
                       .proto = in->proto,
                       .policy = SV_SLB_RR,
                       .url_path = "",
                       .check_path = "",
                       .retries = SV_SLB_DEFAULT_RETRIES,
                       .check_every = SV_SLB_DEFAULT_EVERY,
                       .check_timeout = SV_SLB_DEFAULT_TIMEOUT,
                       .idle_timeout = SV_SLB_DEFAULT_IDLE,
                       .max_connections = SV_SLB_DEFAULT_CONNECTIONS,
                       .created = sv_tx_now(tx)};

    if (sv_slb_is_http(&b))
        b.url_path = b.check_path = "/";
    return b;
}

/* One that is on its way out takes nothing more on. */
static enum sv_err find_router(struct sv_tx *tx, struct sv_slb *b, const char *router, struct sv_error *err)
{
    struct sv_router r;
    struct sv_id instance;
    enum sv_err rc = sv_check_id(router, SV_E_ROUTER_NOT_FOUND, SV_F_ROUTER, &instance, err);

    if (!rc)
        rc = sv_router_get(tx, (struct sv_scope){.tenant = b->tenant}, &instance, sv_tx_arena(tx), &r, err);
    if (!rc && r.state == SV_ROUTER_DELETING)
        rc = sv_fail(err, SV_E_ROUTER_NOT_FOUND, SV_F_ROUTER);
    if (!rc)
        b->router = r.id;
    return rc;
}

/* What has to be said of a new one. */
static enum sv_err check_said(const struct sv_slb_new *in, struct sv_error *err)
{
    if (in->proto > SV_SLB_HTTPS)
        return sv_fail(err, SV_E_PARAM_ENUM, SV_F_SLB_PROTO, "tcp, udp, http, https");
    if (!in->set.name)
        return sv_fail(err, SV_E_PARAM_MISSING, SV_F_SLB_NAME);
    if (!in->set.ip)
        return sv_fail(err, SV_E_PARAM_MISSING, SV_F_SLB_IP);
    return in->set.port < 0 ? sv_fail(err, SV_E_PARAM_MISSING, SV_F_SLB_PORT) : SV_OK;
}

static enum sv_err fill(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const struct sv_slb_new *in,
                        struct sv_slb *b, struct sv_error *err)
{
    enum sv_err rc = sv_owner(tx, who, in->tenant, &b->tenant, err);

    if (!rc)
        rc = check_said(in, err);
    if (!rc)
        rc = find_router(tx, b, in->router, err);
    if (!rc)
        rc = take_path(b, in->url_path, false, SV_F_SLB_URL, &b->url_path, err);
    b->check_path = b->url_path;
    if (!rc)
        rc = take_settings(tx, b, in->outside, &in->set, err);
    b->real_port = b->port;
    if (!rc)
        rc = take_number(in->real_port, 1, SV_MAX_PORT, SV_F_SLB_REAL_PORT, &b->real_port, err);
    return rc ? rc : take_first_certificate(c, tx, b, in, err);
}

static enum sv_err add_nodes(struct sv_tx *tx, const struct sv_slb *b, const struct sv_slb_new *in,
                             struct sv_error *err)
{
    struct sv_id id;
    enum sv_err rc = SV_OK;

    if (in->node_count > SV_MAX_SLB_NODES)
        return sv_fail(err, SV_E_SLB_NODE_LIMIT, SV_F_SLB_NODES, sv_dec(SV_MAX_SLB_NODES).s);
    for (size_t i = 0; !rc && i < in->node_count; i++) {
        rc = sv_slb_put_node(tx, b, &in->nodes[i], &id, err);
        if (rc)
            err->element = (unsigned)i + 1;
    }
    return rc;
}

enum sv_err sv_slb_touch(struct sv_cloud *c, struct sv_tx *tx, const struct sv_slb *b, struct sv_error *err)
{
    return sv_unit_touch(c, tx, SV_UNIT_ROUTER, &b->router, err);
}

enum sv_err sv_slb_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const struct sv_slb_new *in,
                       struct sv_id *ret, struct sv_error *err)
{
    struct sv_slb b = blank(tx, in);
    enum sv_err rc = fill(c, tx, who, in, &b, err);

    if (!rc)
        rc = check_room(tx, &b.tenant, err);
    if (!rc)
        rc = sv_slb_listen(tx, &b, err);
    if (!rc)
        rc = sv_slb_insert(tx, &b, err);
    if (!rc)
        rc = add_nodes(tx, &b, in, err);
    if (!rc)
        rc = sv_slb_touch(c, tx, &b, err);
    if (!rc)
        rc = sv_cloud_event(tx, "slb.create", "slb", &b.id, &b.tenant, b.name, err);
    if (!rc)
        *ret = b.id;
    return rc;
}

/* --- one that is there ----------------------------------------------------------------------------------- */

enum sv_err sv_slb_find(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_slb *ret,
                        struct sv_error *err)
{
    struct sv_id bid;
    enum sv_err rc = sv_check_id(id, SV_E_SLB_NOT_FOUND, SV_F_SLB, &bid, err);

    return rc ? rc : sv_slb_get(tx, sv_scope_of(who), &bid, sv_tx_arena(tx), ret, err);
}

/* The address it had is given back once its row names another, so that one that stays is never let go. */
static enum sv_err move(struct sv_cloud *c, struct sv_tx *tx, const struct sv_slb *from, const struct sv_slb *to,
                        struct sv_error *err)
{
    enum sv_err rc = sv_slb_listen(tx, to, err);

    if (!rc)
        rc = sv_slb_update(tx, to, err);
    if (!rc && from->ip != to->ip)
        rc = sv_slb_hush(tx, from, err);
    return rc ? rc : sv_slb_touch(c, tx, to, err);
}

enum sv_err sv_slb_modify(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                          const struct sv_slb_settings *set, struct sv_error *err)
{
    struct sv_slb b, changed;
    enum sv_err rc = sv_slb_find(tx, who, id, &b, err);

    if (rc)
        return rc;
    changed = b;
    rc = take_settings(tx, &changed, sv_slb_outside(&b), set, err);
    return rc ? rc : move(c, tx, &b, &changed, err);
}

enum sv_err sv_slb_switch(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id, bool on,
                          struct sv_error *err)
{
    struct sv_slb b;
    enum sv_err rc = sv_slb_find(tx, who, id, &b, err);

    if (rc || b.enabled == on)
        return rc;
    b.enabled = on;
    rc = sv_slb_update(tx, &b, err);
    if (!rc)
        rc = sv_slb_touch(c, tx, &b, err);
    return rc ? rc : sv_cloud_event(tx, on ? "slb.start" : "slb.stop", "slb", &b.id, &b.tenant, b.name, err);
}

enum sv_err sv_slb_certify(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                           const char *cert, const char *key, struct sv_error *err)
{
    struct sv_slb b;
    enum sv_err rc = sv_slb_find(tx, who, id, &b, err);

    if (!rc && b.proto != SV_SLB_HTTPS)
        rc = sv_fail(err, SV_E_SLB_NO_CERTIFICATE, SV_F_SLB, sv_slb_proto_name(b.proto));
    if (!rc)
        rc = take_certificate(c, tx, &b, cert, key, err);
    if (!rc)
        rc = sv_slb_update(tx, &b, err);
    return rc ? rc : sv_slb_touch(c, tx, &b, err);
}

enum sv_err sv_slb_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                          struct sv_error *err)
{
    struct sv_slb b;
    enum sv_err rc = sv_slb_find(tx, who, id, &b, err);

    if (!rc)
        rc = sv_sealed_drop(tx, &b.id, SV_SECRET_CERTIFICATE, err);
    if (!rc)
        rc = sv_slb_delete(tx, &b.id, err);
    if (!rc)
        rc = sv_slb_hush(tx, &b, err);
    if (!rc)
        rc = sv_slb_touch(c, tx, &b, err);
    return rc ? rc : sv_cloud_event(tx, "slb.delete", "slb", &b.id, &b.tenant, b.name, err);
}

/* --- search ----------------------------------------------------------------------------------------------- */

enum sv_err sv_slb_search(struct sv_tx *tx, const struct sv_actor *who, const char *tenant, const char *id,
                          const struct sv_slb_filter *f, const struct sv_page *p, sv_slb_fn *row, void *arg,
                          uint64_t *ret_total, struct sv_error *err)
{
    struct sv_scope scope = sv_scope_of(who);
    struct sv_slb_filter exact = *f;
    enum sv_err rc = tenant ? sv_owner(tx, who, tenant, &scope.tenant, err) : SV_OK;

    if (rc)
        return rc;
    if (id && !sv_id_valid(id)) { /* nobody's */
        *ret_total = 0;
        return SV_OK;
    }
    exact.id = sv_id_from(id);
    return sv_slb_list(tx, scope, &exact, p, row, arg, ret_total, err);
}
