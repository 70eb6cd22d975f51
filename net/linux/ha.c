#include "net/linux/ha.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- files --- */

/* With `instance` ROUTER_INSTANCES: of both. */
char *ha_file(const struct sv_id *router, const char *name, unsigned instance)
{
    if (instance < ROUTER_INSTANCES)
        return sv_asprintf(HA_DIR "/%s/%s.%u", router->s, name, instance);
    return sv_asprintf(HA_DIR "/%s/%s", router->s, name);
}

static char *ha_dir(const struct sv_id *router)
{
    return sv_asprintf(HA_DIR "/%s", router->s);
}

bool ha_there(const struct sv_id *router)
{
    SV_AUTOFREE char *dir = ha_dir(router);
    return access(dir, F_OK) == 0;
}

enum sv_err ha_programs(struct sv_error *err)
{
    static const char *const programs[][2] = {{"keepalived", "keepalived"},
                                              {"conntrackd", "conntrackd"},
                                              {"nft", "nftables"},
                                              {"nsenter", "util-linux"},
                                              {"flock", "util-linux"}};
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        SV_AUTOFREE char *path = tool_find(programs[i][0]);
        if (path)
            continue;
        SV_AUTOFREE char *why =
            sv_asprintf("routers of two instances need the program %s (package %s)", programs[i][0], programs[i][1]);
        return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, why);
    }
    return SV_OK;
}

static enum sv_err make_dir(const char *path, struct sv_error *err)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST ? SV_OK : net_errno(err, "create", path);
}

static enum sv_err write_file(const struct router *r, const char *name, const struct sv_buf *text, struct sv_error *err)
{
    bool changed;
    SV_AUTOFREE char *path = ha_file(&r->want->id, name, ROUTER_INSTANCES);
    return file_write(path, text->p, text->n, &changed, err);
}

/* So that no path of the server's is in the script. */
static enum sv_err link_balancers(const struct router *r, struct sv_error *err)
{
    char is[4096];
    SV_AUTOFREE char *to = router_balance_dir(r);
    SV_AUTOFREE char *path = ha_file(&r->want->id, "balance", r->instance);
    const ssize_t n = readlink(path, is, sizeof(is));
    if (n > 0 && (size_t)n == strlen(to) && memcmp(is, to, (size_t)n) == 0)
        return SV_OK;
    enum sv_err rc = file_remove(path, err);
    if (!rc && symlink(to, path) != 0)
        rc = net_errno(err, "create", path);
    return rc;
}

enum sv_err ha_prepare(const struct router *r, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf silent = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf speak = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf turn = {0};
    SV_AUTOFREE char *dir = ha_dir(&r->want->id);
    ha_silent_text(r->outer, &silent);
    ha_speak_text(&speak);
    ha_turn_text(&r->want->id, r->outer, &turn);
    enum sv_err rc = make_dir(HA_DIR, err);
    if (!rc)
        rc = make_dir(dir, err);
    if (!rc)
        rc = write_file(r, "silent.nft", &silent, err);
    if (!rc)
        rc = write_file(r, "speak.nft", &speak, err);
    if (!rc)
        rc = write_file(r, "turn", &turn, err);
    for (unsigned i = 0; !rc && i < ROUTER_INSTANCES; i++)
        rc = link_balancers(&r[i], err);
    return rc;
}

/* --- roles --- */

static void has_token(void *arg)
{
    bool *found = arg;
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
        struct sockaddr_in in;
        if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET)
            continue;
        memcpy(&in, a->ifa_addr, sizeof(in));
        *found = *found || ntohl(in.sin_addr.s_addr) == HA_TOKEN;
    }
    freeifaddrs(all);
}

static enum sv_err look_role(const struct router *r, struct ha_roles *ret, struct sv_error *err)
{
    struct device port = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf tables = {0};
    SV_AUTOFD int fd = netns_open(r->names.netns_path);
    enum sv_err rc = device_look(r->names.port, &port, err);
    ret->there[r->instance] = fd >= 0 && port.index;
    if (rc || !ret->there[r->instance])
        return rc;
    rc = nft_look(fd, "list tables", &tables, err);
    if (!rc)
        rc = netns_call(fd, has_token, &ret->leads[r->instance], err);
    ret->speaks[r->instance] = !tables.p || !strstr(tables.p, "table netdev standby\n");
    return rc;
}

/* The one that is there, that speaks, that leads: the first of these that tells them apart. */
static unsigned active_of(const struct ha_roles *h)
{
    const bool *const tells[] = {h->there, h->speaks, h->leads};
    for (size_t i = 0; i < sizeof(tells) / sizeof(tells[0]); i++)
        if (tells[i][0] != tells[i][1])
            return tells[i][1];
    return 0;
}

enum sv_err ha_look_roles(const struct router *r, struct ha_roles *ret, struct sv_error *err)
{
    struct ha_roles h = {.active = 0};
    enum sv_err rc = SV_OK;
    for (unsigned i = 0; !rc && i < ROUTER_INSTANCES; i++)
        rc = look_role(&r[i], &h, err);
    h.active = active_of(&h);
    if (!rc)
        *ret = h;
    return rc;
}

/* --- changing them --- */

enum sv_err ha_silence(const struct router *r, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    SV_AUTOFD int fd = netns_open(r->names.netns_path);
    if (fd < 0)
        return net_errno(err, "open", r->names.netns_path);
    ha_silent_text(r->outer, &text);
    return nft_run(fd, text.p, text.n, err);
}

enum sv_err ha_turn(const struct router *r, unsigned to, struct sv_error *err)
{
    struct ha_roles now = {.active = 0};
    SV_AUTOFREE char *turn = ha_file(&r->want->id, "turn", ROUTER_INSTANCES);
    const char *const argv[] = {"/bin/sh", turn, to ? "1" : "0", "-", "-", "FORCE", NULL};
    SV_AUTOFD int fd = netns_open(r[to].names.netns_path);
    enum sv_err rc = fd < 0 ? net_errno(err, "open", r[to].names.netns_path) : tool_run(&r->work, argv, NULL, fd, err);
    if (!rc)
        rc = ha_look_roles(r, &now, err);
    if (!rc && !now.speaks[to])
        rc = sv_fail(err, SV_E_NETWORK, SV_F_NONE, "the router's instance does not take over");
    return rc;
}

uint64_t ha_failovers(const struct sv_id *router)
{
    struct stat st;
    SV_AUTOFREE char *path = ha_file(router, "turns", ROUTER_INSTANCES);
    return stat(path, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

/* --- ha0 --- */

static void look_pair(void *arg)
{
    struct device *d = arg;
    *d = (struct device){0};
    device_look(PAIR_DEV, d, NULL);
}

static void be_liberal(void *arg)
{
    bool *done = arg;
    *done = sysctl_write("netfilter/nf_conntrack_tcp_be_liberal", "1");
}

/* What is there of it in one namespace; in which connections need not be in their windows. */
static enum sv_err look_end(const struct router *r, struct device *ret, struct sv_error *err)
{
    bool done = false;
    SV_AUTOFD int fd = netns_open(r->names.netns_path);
    if (fd < 0)
        return net_errno(err, "open", r->names.netns_path);
    enum sv_err rc = netns_call(fd, look_pair, ret, err);
    if (!rc)
        rc = netns_call(fd, be_liberal, &done, err);
    return rc || done ? rc : net_errno(err, "write", "nf_conntrack_tcp_be_liberal");
}

static enum sv_err delete_end(const struct router *r, struct sv_error *err)
{
    struct device d = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    SV_AUTOFD int fd = netns_open(r->names.netns_path);
    enum sv_err rc = fd < 0 ? SV_OK : netns_call(fd, look_pair, &d, err);
    if (rc || !d.index)
        return rc;
    sv_buf_puts(&b, "link del dev " PAIR_DEV "\n");
    rc = ip_batch(&r->work, r->names.netns, &b, err);
    /* It goes by itself with the other's namespace, some time after that. */
    if (rc == SV_E_NETWORK && netns_call(fd, look_pair, &d, NULL) == SV_OK && !d.index)
        rc = SV_OK;
    return rc;
}

/* One whose other end is elsewhere is of a lost namespace. keepalived never knows an interface again that was made
 * anew. */
enum sv_err ha_link_ensure(const struct router *r, struct sv_error *err)
{
    struct device end[ROUTER_INSTANCES] = {{0}};
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    enum sv_err rc = SV_OK;
    for (unsigned i = 0; !rc && i < ROUTER_INSTANCES; i++)
        rc = look_end(&r[i], &end[i], err);
    if (rc || (end[0].index && end[1].index))
        return rc;
    rc = ha_keepalived_stop(r, err);
    for (unsigned i = 0; !rc && i < ROUTER_INSTANCES; i++)
        rc = delete_end(&r[i], err);
    sv_buf_printf(&b, "link add name " PAIR_DEV " netns %s type veth peer name " PAIR_DEV " netns %s\n",
                  r[0].names.netns, r[1].names.netns);
    return rc ? rc : ip_batch(&r->work, NULL, &b, err);
}

enum sv_err ha_drop_token(const struct router *r, struct sv_error *err)
{
    bool there = false;
    char token[SV_IP4_LEN];
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    SV_AUTOFD int fd = netns_open(r->names.netns_path);
    enum sv_err rc = fd < 0 ? SV_OK : netns_call(fd, has_token, &there, err);
    sv_ip4_format(HA_TOKEN, token);
    if (there)
        sv_buf_printf(&b, "addr del %s/32 dev " PAIR_DEV "\n", token);
    return rc ? rc : ip_batch(&r->work, r->names.netns, &b, err);
}

/* --- gone --- */

static enum sv_err forget(const char *path, struct sv_error *err)
{
    SV_AUTOFREE char *half = sv_asprintf("%s.new", path);
    const enum sv_err rc = file_remove(path, err);
    return rc ? rc : file_remove(half, err);
}

static enum sv_err forget_files(const struct sv_id *router, struct sv_error *err)
{
    static const char *const of_each[] = {"keepalived.pid",  "keepalived.vrrp", "keepalived.try",
                                          "keepalived.conf", "state",           "conntrackd.lock",
                                          "conntrackd.sock", "conntrackd.conf", "balance"};
    static const char *const of_both[] = {"turn", "turns", "lock", "silent.nft", "speak.nft"};
    enum sv_err rc = SV_OK;
    for (size_t i = 0; !rc && i < ROUTER_INSTANCES * sizeof(of_each) / sizeof(of_each[0]); i++) {
        SV_AUTOFREE char *path = ha_file(router, of_each[i / ROUTER_INSTANCES], i % ROUTER_INSTANCES);
        rc = forget(path, err);
    }
    for (size_t i = 0; !rc && i < sizeof(of_both) / sizeof(of_both[0]); i++) {
        SV_AUTOFREE char *path = ha_file(router, of_both[i], ROUTER_INSTANCES);
        rc = forget(path, err);
    }
    return rc;
}

enum sv_err ha_remove(const struct router *r, struct sv_error *err)
{
    SV_AUTOFREE char *dir = ha_dir(&r->want->id);
    SV_AUTOFREE char *turn = ha_file(&r->want->id, "turn", ROUTER_INSTANCES);
    /* First, so that what keepalived says last makes no file. */
    enum sv_err rc = file_remove(turn, err);
    if (!rc)
        rc = ha_keepalived_stop(r, err);
    if (!rc)
        rc = ha_conntrackd_stop(r, err);
    for (unsigned i = 0; !rc && i < ROUTER_INSTANCES; i++)
        rc = delete_end(&r[i], err);
    if (!rc)
        rc = forget_files(&r->want->id, err);
    if (!rc && rmdir(dir) != 0 && errno != ENOENT)
        rc = net_errno(err, "remove", dir);
    if (!rc)
        rmdir(HA_DIR); /* with the last one */
    return rc;
}
