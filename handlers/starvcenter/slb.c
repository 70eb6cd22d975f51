/* Load balancers (StarVCenter 2.12). */
#include "handlers/starvcenter/rows.h"
#include "starvirt/core_balance.h"

/* --- words of the document ---------------------------------------------------------------------------- */

static const char *const protos[] = {
    [SV_SLB_TCP] = "tcp", [SV_SLB_UDP] = "udp", [SV_SLB_HTTP] = "http", [SV_SLB_HTTPS] = "https", NULL};
static const char *const policies[] = {[SV_SLB_RR] = "rr", [SV_SLB_WRR] = "wrr", [SV_SLB_WLC] = "wlc", NULL};
static const char *const networks[] = {"inner", "outter", NULL}; /* by "outside"; spelled as printed */

/* Which of the words; -1: none was said. */
static int index_of(const char *const *words, const char *word)
{
    for (int i = 0; word && words[i]; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return -1;
}

static int said_bool(struct sv_opt_bool v)
{
    return v.set ? (int)v.v : -1;
}

static int64_t said(struct sv_opt_int v)
{
    return v.set ? v.v : -1;
}

/* --- what add and modify share -------------------------------------------------------------------------- */

struct settings_in {
    const char *name, *desc, *ip, *policy, *check_path;
    struct sv_opt_bool own;
    struct sv_opt_int port, retries, every, timeout, idle, connections;
};

static struct sv_slb_settings settings_of(const struct settings_in *in)
{
    return (struct sv_slb_settings){.name = in->name,
                                    .descr = in->desc,
                                    .ip = in->ip,
                                    .own = said_bool(in->own),
                                    .port = said(in->port),
                                    .policy = index_of(policies, in->policy),
                                    .retries = said(in->retries),
                                    .check_every = said(in->every),
                                    .check_timeout = said(in->timeout),
                                    .idle_timeout = said(in->idle),
                                    .max_connections = said(in->connections),
                                    .check_path = in->check_path};
}

#define RANGE(lo, hi) .flags = SV_P_MIN | SV_P_MAX, .min = (lo), .max = (hi)
#define IP_ROW(key, st, m, ...)                                                                                        \
    {                                                                                                                  \
        .name = (key), .type = SV_T_IP, .offset = SV_OFF_STR(st, m), __VA_ARGS__                                       \
    }
#define PEM_ROW(key, st, m, ...)                                                                                       \
    {                                                                                                                  \
        .name = (key), .type = SV_T_PEM, .offset = SV_OFF_STR(st, m), __VA_ARGS__                                      \
    }

#define SLB_DESC(st, m)                                                                                                \
    STR("slb.desc", st, m.desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, .field = SV_F_SLB_DESC,                     \
        DOC("描述", "description"))
#define SLB_OWN(st, m)                                                                                                 \
    BOOL("slb.directip.self", st, m.own, .field = SV_F_SLB_OWN,                                                        \
         DOC("前端IP是否独享,默认 true,只有外网类型才有",                                                              \
             "whether nothing else may use the address; true unless given; outer addresses only"))
#define SLB_HEALTH(st, m)                                                                                              \
    ENUM("slb.policy.type", st, m.policy, .values = policies, .field = SV_F_SLB_POLICY,                                \
         DOC("负载策略算法(rr:轮循;wrr:加权轮循;wlc:加权最小连接),默认 rr",                                            \
             "policy: rr (unless given), wrr by weight, wlc by weight and connections")),                              \
        INT("slb.health.retrytime", st, m.retries, RANGE(SV_MIN_SLB_RETRIES, SV_MAX_SLB_RETRIES),                      \
            .field = SV_F_SLB_RETRIES,                                                                                 \
            DOC("健康检查重试次数,默认 3", "failed checks in a row until a node counts as down, 3")),                  \
        INT("slb.health.check.interval", st, m.every, RANGE(1, SV_MAX_SLB_EVERY), .unit = "s",                         \
            .field = SV_F_SLB_EVERY, DOC("健康检查间隔时间,默认 5", "time between checks, 5")),                        \
        INT("slb.health.check.timeout", st, m.timeout, RANGE(1, SV_MAX_SLB_TIMEOUT), .unit = "s",                      \
            .field = SV_F_SLB_TIMEOUT, DOC("健康检查超时时间,默认 5", "time that a check may take, 5")),               \
        INT("slb.health.emptylink.timeout", st, m.idle, RANGE(1, SV_MAX_SLB_IDLE), .unit = "s",                        \
            .field = SV_F_SLB_IDLE,                                                                                    \
            DOC("空闲连接超时时间,默认 60", "time after which a connection without traffic ends, 60"))
#define SLB_CONNECTIONS(st, m)                                                                                         \
    INT("slb.maxoccurs", st, m.connections, RANGE(SV_MIN_SLB_CONNECTIONS, SV_MAX_SLB_CONNECTIONS),                     \
        .field = SV_F_SLB_CONNECTIONS, DOC("连接最大并发数,默认 1000", "connections at a time, 1000"))
#define SLB_CHECK_PATH(st, m)                                                                                          \
    STR("slb.health.check.path", st, m.check_path, .flags = SV_P_OUR_MAX, .max = SV_MAX_SLB_PATH,                      \
        .field = SV_F_SLB_CHECK,                                                                                       \
        DOC("健康检查路径(协议为 http、https 才有,默认与应用URL路径相同)",                                             \
            "path that checks ask for; http and https only; the URL's unless given"))
#define CERTIFICATE(st, cert, key, more)                                                                               \
    PEM_ROW("slb.https.cert.text", st, cert, .flags = (more), .field = SV_F_SLB_CERT,                                  \
            DOC("https证书正文(PEM,可含证书链)", "certificate and its chain, PEM")),                                   \
        PEM_ROW("slb.https.cert.key", st, key, .flags = SV_P_SECRET | (more), .field = SV_F_SLB_KEY,                   \
                DOC("https证书私钥(PEM)", "private key, PEM"))

/* --- add ---------------------------------------------------------------------------------------------- */

struct add_in {
    const char *id, *tenant, *proto, *network, *router, *url_path, *cert, *key;
    struct sv_opt_int real_port;
    struct settings_in set;
    struct sv_objs nodes;
};
static const struct sv_param add_params[] = {
    STR("slb.id", struct add_in, id, NAME_LEN, DOC("不使用:编号由系统生成", "not used: ids are made here")),
    STR("slb.name", struct add_in, set.name, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_SLB_NAME, DOC("名称", "name")),
    SLB_DESC(struct add_in, set),
    ID("slb.appid", struct add_in, tenant, REQUIRED, .field = SV_F_TENANT, DOC("所属应用(租户)编号", "tenant")),
    ENUM("slb.protocal.type", struct add_in, proto, REQUIRED, .values = protos, .field = SV_F_SLB_PROTO,
         DOC("协议类型,不区分大小写", "protocol, in either case")),
    ENUM("slb.network.type", struct add_in, network, REQUIRED, SV_VALUES("outter", "inner"),
         DOC("前端网络类型(外部网络:outter,内部网络:inner)", "outter: an outer address; inner: one of a VPC")),
    IP_ROW("slb.directip", struct add_in, set.ip, REQUIRED, .field = SV_F_SLB_IP,
           DOC("前端IP", "address that clients use: of an outer pool, or of a VPC of the router and free there")),
    SLB_OWN(struct add_in, set),
    INT("slb.directport", struct add_in, set.port, .flags = SV_P_REQUIRED | SV_P_MIN | SV_P_MAX, .min = SV_MIN_SLB_PORT,
        .max = SV_MAX_PORT, .field = SV_F_SLB_PORT, DOC("前端端口", "port that clients use")),
    INT("slb.realport", struct add_in, real_port, RANGE(1, SV_MAX_PORT), .field = SV_F_SLB_REAL_PORT,
        DOC("后端端口,默认同前端端口", "port that nodes usually have; the other one unless given")),
    ID("slb.vmid", struct add_in, router, REQUIRED, .field = SV_F_ROUTER,
       DOC("云路由虚拟机编号", "vm.id of the tenant's router")),
    STR("slb.http.urlpath", struct add_in, url_path, .flags = SV_P_OUR_MAX, .max = SV_MAX_SLB_PATH,
        .field = SV_F_SLB_URL,
        DOC("采用http负载时的应用URL路径,默认为 /", "http and https: requests below this path; / unless given")),
    SLB_HEALTH(struct add_in, set),
    SLB_CHECK_PATH(struct add_in, set),
    SLB_CONNECTIONS(struct add_in, set),
    CERTIFICATE(struct add_in, cert, key, 0),
    {.name = "realnode",
     .type = SV_T_OBJS,
     .flags = SV_P_OUR_MAX,
     .max = SV_MAX_SLB_NODES,
     .offset = SV_OFF_OBJS(struct add_in, nodes),
     SV_SUB(sv_node_params, struct sv_node_in),
     .field = SV_F_SLB_NODES,
     DOC("后端节点", "its nodes")},
};

static enum sv_err add(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct add_in *in = input;
    const struct sv_slb_new b = {.tenant = in->tenant,
                                 .router = in->router,
                                 .proto = (enum sv_slb_proto)index_of(protos, in->proto),
                                 .outside = index_of(networks, in->network) == 1,
                                 .real_port = said(in->real_port),
                                 .url_path = in->url_path,
                                 .cert = in->cert,
                                 .key = in->key,
                                 .set = settings_of(&in->set),
                                 .nodes = sv_nodes_of(c->arena, &in->nodes),
                                 .node_count = in->nodes.n};
    struct sv_id id;
    enum sv_err rc = sv_slb_add(c->cloud, c->tx, &c->actor, &b, &id, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "slb.id", &id);
    sv_reply_end_obj(out);
    return SV_OK;
}

/* --- changes ------------------------------------------------------------------------------------------- */

struct modify_in {
    const char *id;
    struct settings_in set;
};
#define SLB_ID(st, m) ID("slb.id", st, m, REQUIRED, .field = SV_F_SLB, DOC("SLB编号", "id of the load balancer"))
static const struct sv_param modify_params[] = {
    SLB_ID(struct modify_in, id),
    STR("slb.name", struct modify_in, set.name, NAME_LEN, .field = SV_F_SLB_NAME, DOC("名称", "name")),
    SLB_DESC(struct modify_in, set),
    IP_ROW("slb.directip", struct modify_in, set.ip, .field = SV_F_SLB_IP,
           DOC("前端IP", "address that clients use, of the same kind of network")),
    SLB_OWN(struct modify_in, set),
    INT("slb.directport", struct modify_in, set.port, RANGE(SV_MIN_SLB_PORT, SV_MAX_PORT), .field = SV_F_SLB_PORT,
        DOC("前端端口", "port that clients use")),
    SLB_HEALTH(struct modify_in, set),
    SLB_CHECK_PATH(struct modify_in, set),
    SLB_CONNECTIONS(struct modify_in, set),
};

static enum sv_err modify(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct modify_in *in = input;
    const struct sv_slb_settings set = settings_of(&in->set);

    (void)out;
    return sv_slb_modify(c->cloud, c->tx, &c->actor, in->id, &set, c->err);
}

static const struct sv_param id_params[] = {SLB_ID(struct sv_id_in, id)};

static enum sv_err start(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_slb_switch(c->cloud, c->tx, &c->actor, in->id, true, c->err);
}

static enum sv_err stop(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_slb_switch(c->cloud, c->tx, &c->actor, in->id, false, c->err);
}

static const struct sv_param remove_params[] = {
    PATH_ID("slbid", struct sv_id_in, id, SV_F_SLB, "SLB编号", "id of the load balancer"),
};

static enum sv_err remove_slb(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_slb_remove(c->cloud, c->tx, &c->actor, in->id, c->err);
}

struct cert_in {
    const char *id, *cert, *key;
};
static const struct sv_param cert_params[] = {
    SLB_ID(struct cert_in, id),
    CERTIFICATE(struct cert_in, cert, key, SV_P_REQUIRED),
};

static enum sv_err configure_cert(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct cert_in *in = input;

    (void)out;
    return sv_slb_certify(c->cloud, c->tx, &c->actor, in->id, in->cert, in->key, c->err);
}

/* --- search --------------------------------------------------------------------------------------------- */

struct search_in {
    const char *id, *name, *tenant, *proto, *network, *ip, *order;
    struct sv_opt_bool on;
    struct sv_opt_int port;
    struct sv_page_in page;
};
static const struct sv_param search_params[] = {
    ID("slb.id", struct search_in, id, .field = SV_F_SLB, DOC("SLB编号", "id of the load balancer")),
    STR("slb.name", struct search_in, name, NAME_LEN, .field = SV_F_SLB_NAME, DOC("SLB名称", "part of the name")),
    ID("slb.appid", struct search_in, tenant, .field = SV_F_TENANT, DOC("应用(租户)编号", "tenant")),
    BOOL("slb.enable", struct search_in, on, DOC("是否启用", "whether it is on")),
    ENUM("slb.protocal.type", struct search_in, proto, .values = protos, DOC("协议类型", "protocol")),
    ENUM("slb.network.type", struct search_in, network, SV_VALUES("outter", "inner"),
         DOC("前端网络类型(外部网络:outter,内部网络:inner)", "outter: an outer address; inner: one of a VPC")),
    IP_ROW("slb.directip", struct search_in, ip, .field = SV_F_SLB_IP, DOC("前端IP", "address that clients use")),
    INT("slb.directport", struct search_in, port, RANGE(SV_MIN_SLB_PORT, SV_MAX_PORT), .field = SV_F_SLB_PORT,
        DOC("前端端口", "port that clients use")),
    ORDER_ROW(struct search_in, order),
    PAGE_ROWS(struct search_in),
};

static void put_slb(void *arg, const struct sv_slb *b)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    sv_put_id(r, "slb.id", &b->id);
    sv_put_str(r, "slb.name", b->name);
    sv_put_str(r, "slb.desc", b->descr);
    sv_put_time(r, "slb.createtime", b->created);
    sv_put_id(r, "slb.appid", &b->tenant);
    sv_put_id(r, "slb.vmid", &b->router);
    sv_put_str(r, "slb.protocal.type", protos[b->proto]);
    sv_put_str(r, "slb.network.type", networks[sv_slb_outside(b)]);
    sv_put_ip(r, "slb.directip", b->ip);
    sv_put_bool(r, "slb.directip.self", b->own);
    sv_put_int(r, "slb.directport", b->port);
    sv_put_int(r, "slb.realport", b->real_port);
    sv_put_bool(r, "slb.enable", b->enabled);
    sv_put_str(r, "slb.http.urlpath", b->url_path);
    sv_put_bool(r, "slb.https.cert.enable", sv_slb_certified(b));
    sv_put_str(r, "slb.policy.type", policies[b->policy]);
    sv_put_int(r, "slb.health.retrytime", b->retries);
    sv_put_int(r, "slb.health.check.interval", b->check_every);
    sv_put_int(r, "slb.health.check.timeout", b->check_timeout);
    sv_put_int(r, "slb.health.emptylink.timeout", b->idle_timeout);
    sv_put_str(r, "slb.health.check.path", b->check_path);
    sv_put_int(r, "slb.maxoccurs", b->max_connections);
    sv_put_time(r, "slb.https.cert.endtime", b->cert_ends);
    sv_reply_end_obj(r);
}

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct search_in *in = input;
    const struct sv_page page = sv_page_of(&in->page);
    struct sv_slb_filter f = {.name = in->name,
                              .enabled = said_bool(in->on),
                              .proto = index_of(protos, in->proto),
                              .outside = index_of(networks, in->network),
                              .port = in->port.set ? (unsigned)in->port.v : 0,
                              .by_name = sv_is_by_name(in->order)};
    enum sv_err rc;

    if (in->ip)
        sv_ip4_parse(in->ip, &f.ip);
    sv_reply_list(out);
    rc = sv_slb_search(c->tx, &c->actor, in->tenant, in->id, &f, &page, put_slb, out, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

static const struct sv_route routes[] = {
    {.section = "2.12.1",
     .method = "POST",
     .path = "cloudslb/search",
     .runs = SV_RUN_READ,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct search_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("slb.id"), SV_TEXT("slb.name"), SV_TEXT("slb.desc"), SV_TEXT("slb.createtime"),
               SV_TEXT("slb.appid"), SV_TEXT("slb.vmid"), SV_TEXT("slb.protocal.type"), SV_TEXT("slb.network.type"),
               SV_TEXT("slb.directip"), SV_TEXT("slb.directip.self"), SV_TEXT("slb.directport"),
               SV_TEXT("slb.realport"), SV_TEXT("slb.enable"), SV_TEXT("slb.http.urlpath"),
               SV_TEXT("slb.https.cert.enable"), SV_TEXT("slb.policy.type"), SV_TEXT("slb.health.retrytime"),
               SV_TEXT("slb.health.check.interval"), SV_TEXT("slb.health.check.timeout"),
               SV_TEXT("slb.health.emptylink.timeout"), SV_TEXT("slb.health.check.path"), SV_TEXT("slb.maxoccurs"),
               SV_TEXT("slb.https.cert.endtime", .flags = SV_O_OURS)),
     .handler = search,
     DOC("查询SLB实例", "list load balancers")},
    {.section = "2.12.2",
     .method = "POST",
     .path = "cloudslb/add",
     .runs = SV_RUN_TELL,
     SV_PARAMS(add_params),
     .in_size = sizeof(struct add_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("slb.id")),
     .handler = add,
     DOC("新增SLB实例", "create a load balancer, with nodes if need be")},
    {.section = "2.12.3",
     .method = "PUT",
     .path = "cloudslb/modify",
     .runs = SV_RUN_TELL,
     SV_PARAMS(modify_params),
     .in_size = sizeof(struct modify_in),
     .handler = modify,
     DOC("修改SLB实例", "change a load balancer; what is not given stays")},
    {.section = "2.12.4",
     .method = "DELETE",
     .path = "cloudslb/{slbid}",
     .runs = SV_RUN_TELL,
     SV_PARAMS(remove_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = remove_slb,
     DOC("删除SLB实例", "delete a load balancer with its nodes")},
    {.section = "2.12.5",
     .method = "POST",
     .path = "cloudslb/start",
     .runs = SV_RUN_TELL,
     SV_PARAMS(id_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = start,
     DOC("启用SLB实例", "switch a load balancer on")},
    {.section = "2.12.6",
     .method = "POST",
     .path = "cloudslb/stop",
     .runs = SV_RUN_TELL,
     SV_PARAMS(id_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = stop,
     DOC("停用SLB实例", "switch a load balancer off")},
    {.section = "2.12.7",
     .method = "PUT",
     .path = "cloudslb/https/cert/conf",
     .runs = SV_RUN_TELL,
     SV_PARAMS(cert_params),
     .in_size = sizeof(struct cert_in),
     .handler = configure_cert,
     DOC("配置https证书", "give a load balancer of https another certificate")},
};
const struct sv_route_table sv_table_slb = {routes, ROUTE_COUNT(routes)};
