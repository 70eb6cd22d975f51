#include "server/options.h"
#include "server/console.h"
#include "server/cors.h"
#include "server/proxies.h"
#include "starvirt/conf.h"
#include "starvirt/limits.h"
#include "starvirt/path.h"
#include "starvirt/text.h"

#include <stddef.h>

enum opt_type {
    OPT_STR,
    OPT_LIST,
    OPT_PATH,  /* kept from the root: what it is given to has another working directory, or gets one */
    OPT_PATHS, /* several, between commas */
    OPT_INT,
    OPT_BOOL,
    OPT_ENUM,
    OPT_MODE
};

struct opt {
    const char *name;
    enum opt_type type;
    size_t offset;
    const char *fallback; /* NULL = unset */
    int64_t min, max;     /* INT; MODE: min is the mode */
    const char *const *values;
    bool hidden, cli_only;
    const char *arg, *doc;
};

#define AT(m)       offsetof(struct sv_options, m)
#define VALUES(...) ((const char *const[]){__VA_ARGS__, NULL})

static const struct opt opts[] = {
    {.name = "listen",
     .type = OPT_STR,
     .offset = AT(listen),
     .fallback = "127.0.0.1:18081",
     .arg = "ADDRESS:PORT",
     .doc = "where to serve; port 0 picks one and prints it; sockets handed over (LISTEN_FDS) win"},
    {.name = "data",
     .type = OPT_PATH,
     .offset = AT(data),
     .fallback = "/var/lib/starvirt",
     .arg = "DIR",
     .doc = "database, images, admin.token"},
    {.name = "connect",
     .type = OPT_LIST,
     .offset = AT(connect),
     .fallback = "qemu:///system",
     .arg = "URI",
     .doc = "a hypervisor: any libvirt URI or sim://...; may be given many times"},
    {.name = "network",
     .type = OPT_ENUM,
     .offset = AT(network),
     .fallback = "none",
     .values = VALUES("none", "sim", "linux", "ovn"),
     .arg = "ENGINE",
     .doc = "the network engine; sim keeps books in DIR/net/sim and moves no packet"},
    {.name = "net.outer",
     .type = OPT_STR,
     .offset = AT(net_outer),
     .arg = "NAME",
     .doc = "the outer network: a bridge of this machine, with ovn its name in ovn-bridge-mappings; without one, "
            "mappings are kept and lead nowhere"},
    {.name = "ovn.nb",
     .type = OPT_STR,
     .offset = AT(ovn_nb),
     .arg = "ADDRESS",
     .doc = "OVN's northbound database: unix:/PATH or tcp:ADDRESS:PORT, several between commas"},
    {.name = "ovn.gateways",
     .type = OPT_STR,
     .offset = AT(ovn_gateways),
     .arg = "NAMES",
     .doc = "system-ids of the hosts that have the outer network, between commas; the first that lives is taken"},
    {.name = "ovn.datapath",
     .type = OPT_ENUM,
     .offset = AT(ovn_datapath),
     .fallback = "system",
     .values = VALUES("system", "netdev"),
     .arg = "TYPE",
     .doc = "datapath_type of the hosts' br-int; netdev needs guests whose frames are whole"},
    {.name = "ovn.mtu",
     .type = OPT_INT,
     .offset = AT(ovn_mtu),
     .fallback = "1442",
     .min = 576,
     .max = 9000,
     .arg = "BYTES",
     .doc = "what guests may send at once: that of the hosts' network less 58 for Geneve"},
    {.name = "config",
     .type = OPT_PATH,
     .offset = AT(config),
     .cli_only = true,
     .arg = "FILE",
     .doc = "read options from FILE: name = value lines; the command line wins"},
    {.name = "log.level",
     .type = OPT_ENUM,
     .offset = AT(log_level),
     .fallback = "info",
     .values = VALUES("debug", "info", "warn", "error"),
     .arg = "LEVEL",
     .doc = "the least level that is logged to stderr"},
    {.name = "tls-cert",
     .type = OPT_PATH,
     .offset = AT(tls_cert),
     .arg = "FILE",
     .doc = "serve HTTPS with this certificate chain (PEM)"},
    {.name = "tls-key", .type = OPT_PATH, .offset = AT(tls_key), .arg = "FILE", .doc = "its private key (PEM)"},
    {.name = "vpc.supernet",
     .type = OPT_STR,
     .offset = AT(supernet),
     .fallback = "10.128.0.0/9",
     .arg = "CIDR",
     .doc = "VPCs are cut from it"},
    {.name = "vpc.prefix",
     .type = OPT_INT,
     .offset = AT(vpc_prefix),
     .fallback = "24",
     .min = 16,
     .max = 29,
     .arg = "BITS",
     .doc = "size of a VPC"},
    {.name = "hv.domain_type",
     .type = OPT_ENUM,
     .offset = AT(domain_type),
     .fallback = "auto",
     .values = VALUES("auto", "kvm", "qemu"),
     .arg = "TYPE",
     .doc = "auto trusts /dev/kvm only after a guest started with it"},
    {.name = "hv.image_dir",
     .type = OPT_PATH,
     .offset = AT(image_dir),
     .arg = "DIR",
     .doc = "disks and templates; default DIR/images of --data"},
    {.name = "hv.call_limit",
     .type = OPT_INT,
     .offset = AT(hv_call_limit),
     .fallback = "30",
     .min = 1,
     .max = 3600,
     .arg = "SECONDS",
     .doc = "deadline of a single hypervisor call"},
    {.name = "hv.threads",
     .type = OPT_INT,
     .offset = AT(hv_threads),
     .fallback = "8",
     .min = 1,
     .max = 256,
     .arg = "N",
     .doc = "hypervisor calls under way at a time, for each host"},
    {.name = "hv.vcpu_overcommit",
     .type = OPT_INT,
     .offset = AT(vcpu_overcommit),
     .fallback = "8",
     .min = 1,
     .max = 1000,
     .arg = "N",
     .doc = "vCPUs placed for each physical CPU"},
    {.name = "jobs.slots_per_host",
     .type = OPT_INT,
     .offset = AT(slots_per_host),
     .fallback = "8",
     .min = 1,
     .max = 256,
     .arg = "N",
     .doc = "jobs running at a time on one host; a quarter more of tenants that have none running there"},
    {.name = "jobs.requeue",
     .type = OPT_BOOL,
     .offset = AT(requeue),
     .fallback = "true",
     .doc = "after a restart, go on with open jobs; false: queued ones are lost (4), running ones undone (6)"},
    {.name = "jobs.keep_days",
     .type = OPT_INT,
     .offset = AT(keep_days),
     .fallback = "90",
     .min = 0,
     .max = 36500,
     .arg = "DAYS",
     .doc = "ended jobs and their logs go after this; 0 keeps them"},
    {.name = "backup.dir",
     .type = OPT_PATH,
     .offset = AT(backup_dir),
     .arg = "DIR",
     .doc = "backups, where no storage for them was added; default DIR/backups of --data"},
    {.name = "backup.keep",
     .type = OPT_INT,
     .offset = AT(backup_keep),
     .fallback = "0",
     .min = 0,
     .max = 10000,
     .arg = "N",
     .doc = "backups kept of a VM: a new one lets the oldest go; 0 keeps all"},
    {.name = "import.dirs",
     .type = OPT_PATHS,
     .offset = AT(import_dirs),
     .arg = "DIR,DIR",
     .doc = "templates may be imported by path only from below these; default: anywhere, for admins"},
    {.name = "reserve",
     .type = OPT_INT,
     .offset = AT(reserve),
     .fallback = "-1",
     .min = -1,
     .max = 1 << 30,
     .arg = "MIB",
     .doc = "uploads, copies and backups leave so much of each file system free; -1: a twentieth, 1 to 10 GiB, of a "
            "small one a quarter"},
    {.name = "accept-old-database",
     .type = OPT_BOOL,
     .offset = AT(accept_old),
     .fallback = "false",
     .doc = "for one start: go on with a database that is older than the one that was here last, or another"},
    {.name = "new-cloud",
     .type = OPT_BOOL,
     .offset = AT(new_cloud),
     .fallback = "false",
     .doc = "for one start: begin a new cloud in a directory that held one, where its database is gone"},
    {.name = "check-replies",
     .type = OPT_BOOL,
     .offset = AT(check_replies),
     .fallback = "false",
     .hidden = true,
     .doc = "hold each reply against its rows (tests)"},
    {.name = "metrics.public",
     .type = OPT_BOOL,
     .offset = AT(metrics_public),
     .fallback = "false",
     .doc = "/metrics for everybody; false: administrators' tokens"},
    {.name = "metrics.listen",
     .type = OPT_STR,
     .offset = AT(metrics_listen),
     .arg = "ADDRESS:PORT",
     .doc = "where /metrics is served without a token, and nothing else but health; off unless given"},
    {.name = "trusted.proxies",
     .type = OPT_STR,
     .offset = AT(trusted_proxies),
     .arg = "LIST",
     .doc = "proxies whose word on the client (X-Forwarded-For, Forwarded) counts: 10.0.0.1,10.1.0.0/16,fd00::/8"},
    {.name = "cors.origins",
     .type = OPT_STR,
     .offset = AT(cors_origins),
     .arg = "LIST",
     .doc =
         "whose pages may call the API from browsers: https://a.example,https://b.example:8443, or *; default: none"},
    {.name = "console.url",
     .type = OPT_STR,
     .offset = AT(console_url),
     .arg = "URL",
     .doc = "where browsers reach this server, such as https://cloud.example.org; default: as the client did"},
    {.name = "console.token",
     .type = OPT_INT,
     .offset = AT(console_token),
     .fallback = "60",
     .min = 1,
     .max = 3600,
     .arg = "SECONDS",
     .doc = "how long the address of a console waits to be opened"},
    {.name = "console.silence",
     .type = OPT_INT,
     .offset = AT(console_silence),
     .fallback = "60",
     .min = 1,
     .max = 3600,
     .hidden = true,
     .arg = "SECONDS",
     .doc = "a browser not heard for that long is gone"},
    {.name = "threads",
     .type = OPT_INT,
     .offset = AT(threads),
     .fallback = "2",
     .min = 1,
     .max = 64,
     .arg = "N",
     .doc = "I/O threads"},
    {.name = "connections",
     .type = OPT_INT,
     .offset = AT(connections),
     .fallback = "4096", /* SV_MAX_CONNECTIONS */
     .min = 64,
     .max = SV_MAX_CONNECTIONS,
     .hidden = true,
     .arg = "N",
     .doc = "testing: connections at a time; what tenants share is scaled down to it"},
    {.name = "workers",
     .type = OPT_INT,
     .offset = AT(workers),
     .fallback = "16",
     .min = 1,
     .max = 256,
     .arg = "N",
     .doc = "threads that write uploads, and as many that open screens"},
    {.name = "crash-point",
     .type = OPT_STR,
     .offset = AT(crash_point),
     .hidden = true,
     .arg = "POINT",
     .doc = "testing: die there"},
    {.name = "dump-routes",
     .type = OPT_MODE,
     .min = SV_MODE_DUMP_ROUTES,
     .cli_only = true,
     .doc = "print every operation as a JSON line and exit"},
    {.name = "dump-kinds",
     .type = OPT_MODE,
     .min = SV_MODE_DUMP_KINDS,
     .cli_only = true,
     .hidden = true,
     .doc = "testing: print every kind of job as a JSON line and exit"},
    {.name = "version",
     .type = OPT_MODE,
     .min = SV_MODE_VERSION,
     .cli_only = true,
     .doc = "print the version and exit"},
    {.name = "help", .type = OPT_MODE, .min = SV_MODE_HELP, .cli_only = true, .doc = "print this and exit"},
};
enum { OPT_COUNT = sizeof(opts) / sizeof(opts[0]) };

/* One source of values: the defaults, the file, or the command line. */
struct source {
    struct sv_options *o;
    const char *base;     /* what paths in it are relative to; NULL: the working directory */
    bool seen[OPT_COUNT]; /* a list starts anew in each source, and grows within it */
};

static bool same_name(const char *row, const char *given, size_t n)
{
    size_t i = 0;
    for (; i < n && row[i]; i++) {
        char a = row[i], b = given[i];
        if (a != b && !(strchr("._-", a) && strchr("._-", b)))
            return false;
    }
    return i == n && row[i] == '\0';
}

static const struct opt *find(const char *name, size_t n)
{
    for (size_t i = 0; i < OPT_COUNT; i++)
        if (same_name(opts[i].name, name, n))
            return &opts[i];
    return NULL;
}

#define bad(why, ...) (sv_buf_printf((why), __VA_ARGS__), SV_E_CONFIG)

static bool parse_bool(const char *v, bool *ret)
{
    static const struct {
        const char *word;
        bool v;
    } words[] = {{"true", true}, {"false", false}, {"yes", true}, {"no", false},
                 {"on", true},   {"off", false},   {"1", true},   {"0", false}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(words[i].word, v) == 0) {
            *ret = words[i].v;
            return true;
        }
    return false;
}

static enum sv_err set_enum(const struct opt *row, const char *v, const char **slot, struct sv_buf *why)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf all = {0};
    for (const char *const *w = row->values; *w; w++) {
        if (strcmp(*w, v) == 0) {
            *slot = *w;
            return SV_OK;
        }
        sv_buf_printf(&all, "%s%s", all.n ? ", " : "", *w);
    }
    return bad(why, "%s: no such value '%s', allowed: %s", row->name, v, all.p);
}

static enum sv_err set_list(const struct opt *row, struct source *src, const char *v, struct sv_buf *why)
{
    struct sv_options *o = src->o;
    if (!src->seen[row - opts])
        o->connect_count = 0;
    if (o->connect_count == SV_MAX_CONNECT)
        return bad(why, "%s: at most %d", row->name, SV_MAX_CONNECT);
    o->connect[o->connect_count++] = sv_arena_strdup(o->texts, v);
    return SV_OK;
}

static enum sv_err set_path(const struct opt *row, struct source *src, const char *v, const char **slot,
                            struct sv_buf *why)
{
    const char *wrong;
    SV_AUTOFREE char *path = sv_path_absolute(v, src->base, &wrong);
    if (!path)
        return bad(why, "%s: '%s' %s", row->name, v, wrong);
    *slot = sv_arena_strdup(src->o->texts, path);
    return SV_OK;
}

/* Blanks around a comma are none of a name's. */
static enum sv_err set_paths(const struct opt *row, struct source *src, const char *v, const char **slot,
                             struct sv_buf *why)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf all = {0};
    for (const char *p = v + strspn(v, " ,"); *p; p += strspn(p, " ,")) {
        const char *end = p + strcspn(p, ","), *path, *last = end;
        while (last[-1] == ' ')
            last--;
        SV_AUTOFREE char *one = sv_asprintf("%.*s", (int)(last - p), p);
        if (set_path(row, src, one, &path, why))
            return SV_E_CONFIG;
        sv_buf_printf(&all, "%s%s", all.n ? "," : "", path);
        p = end;
    }
    if (all.n == 0)
        return bad(why, "%s: empty", row->name);
    *slot = sv_arena_strdup(src->o->texts, all.p);
    return SV_OK;
}

static enum sv_err set_value(const struct opt *row, struct source *src, const char *v, struct sv_buf *why)
{
    void *slot = (char *)src->o + row->offset;
    int64_t n;
    switch (row->type) {
    case OPT_STR:
        if (*v == '\0')
            return bad(why, "%s: empty", row->name);
        *(const char **)slot = sv_arena_strdup(src->o->texts, v);
        return SV_OK;
    case OPT_LIST:
        return set_list(row, src, v, why);
    case OPT_PATH:
        return set_path(row, src, v, slot, why);
    case OPT_PATHS:
        return set_paths(row, src, v, slot, why);
    case OPT_ENUM:
        return set_enum(row, v, slot, why);
    case OPT_BOOL:
        return parse_bool(v, slot) ? SV_OK : bad(why, "%s: '%s' is neither true nor false", row->name, v);
    case OPT_INT:
        if (!sv_parse_int(v, &n) || n < row->min || n > row->max)
            return bad(why, "%s: '%s' is not a number from %lld to %lld", row->name, v, (long long)row->min,
                       (long long)row->max);
        *(int64_t *)slot = n;
        return SV_OK;
    case OPT_MODE:
        src->o->mode = (enum sv_mode)row->min;
        return SV_OK;
    }
    return SV_OK;
}

/* What is no UTF-8 would be another text in rows, XML and logs, paths included. */
static enum sv_err check_text(const char *name, const char *v, struct sv_buf *why)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf shown = {0};
    if (sv_utf8_valid(v, strlen(v)))
        return SV_OK;
    sv_utf8_show(&shown, v);
    return bad(why, "%s: not UTF-8: %s", name, shown.p);
}

static enum sv_err set(const struct opt *row, struct source *src, const char *v, struct sv_buf *why)
{
    enum sv_err r = set_value(row, src, v, why);
    src->seen[row - opts] = true;
    return r;
}

/* The option that was meant, or NULL. */
static const char *nearest(const char *name)
{
    const char *found = NULL;
    unsigned best = 3;
    for (size_t i = 0; i < OPT_COUNT; i++) {
        const unsigned d = opts[i].hidden ? 99 : sv_edit_distance(name, opts[i].name);
        if (d < best && d < strlen(name)) {
            best = d;
            found = opts[i].name;
        }
    }
    return found;
}

static enum sv_err unknown(const char *name, struct sv_buf *why)
{
    const char *meant = nearest(name);
    sv_buf_printf(why, "unknown option '%s'", name);
    if (meant)
        sv_buf_printf(why, "; did you mean '%s'?", meant);
    sv_buf_puts(why, meant ? "" : "; see starvirtd --help");
    return SV_E_CONFIG;
}

/* The option of a dialect that is served on a listener of its own; NULL: there is none of this name. */
static struct sv_own_listener *find_own(struct sv_options *o, const char *name, size_t n)
{
    for (unsigned i = 0; i < o->own_count; i++)
        if (same_name(o->own[i].option, name, n))
            return &o->own[i];
    return NULL;
}

static enum sv_err set_own(struct sv_options *o, struct sv_own_listener *own, const char *v, struct sv_buf *why)
{
    if (*v == '\0')
        return bad(why, "%s: empty", own->option);
    own->listen = sv_arena_strdup(o->texts, v);
    return SV_OK;
}

static enum sv_err from_file(void *arg, const char *name, const char *value, struct sv_buf *why)
{
    struct source *src = arg;
    const struct opt *row = find(name, strlen(name));
    struct sv_own_listener *own = row ? NULL : find_own(src->o, name, strlen(name));
    if (check_text("a name", name, why) != SV_OK || check_text(name, value, why) != SV_OK)
        return SV_E_CONFIG;
    if (own)
        return set_own(src->o, own, value, why);
    if (row && row->cli_only)
        return bad(why, "%s: only on the command line", name);
    if (!row)
        return unknown(name, why);
    if (src->seen[row - opts] && row->type != OPT_LIST)
        return bad(why, "%s: given twice", row->name);
    return set(row, src, value, why);
}

/* Takes argv[*i] (and its value from argv[*i + 1] where it stands apart). */
static enum sv_err from_argv(struct source *src, int argc, char *const *argv, int *i, struct sv_buf *why)
{
    const char *a = argv[*i];
    if (strncmp(a, "--", 2) != 0 || a[2] == '\0')
        return bad(why, "unexpected argument '%s'", a);
    a += 2;
    const char *eq = strchr(a, '=');
    const size_t n = eq ? (size_t)(eq - a) : strlen(a);
    const struct opt *row = find(a, n);
    struct sv_own_listener *own = row ? NULL : find_own(src->o, a, n);
    bool next = !eq && *i + 1 < argc, flag;
    if (own && (eq || next))
        return set_own(src->o, own, eq ? eq + 1 : argv[++*i], why);
    if (own)
        return bad(why, "%s needs a value", own->option);
    if (!row) {
        SV_AUTOFREE char *name = sv_asprintf("%.*s", (int)n, a);
        return unknown(name, why);
    }
    if (row->type == OPT_MODE)
        return eq ? bad(why, "%s takes no value", row->name) : set(row, src, "", why);
    if (row->type == OPT_BOOL && !eq && !(next && parse_bool(argv[*i + 1], &flag)))
        return set(row, src, "true", why);
    if (!eq && !next)
        return bad(why, "%s needs a value", row->name);
    return set(row, src, eq ? eq + 1 : argv[++*i], why);
}

static enum sv_err read_argv(struct source *src, int argc, char *const *argv, struct sv_buf *why)
{
    enum sv_err r = SV_OK;
    char name[32];
    for (int i = 1; i < argc && r == SV_OK; i++) {
        snprintf(name, sizeof(name), "argument %d", i);
        r = check_text(name, argv[i], why);
    }
    for (int i = 1; i < argc && r == SV_OK; i++)
        r = from_argv(src, argc, argv, &i, why);
    return r;
}

static enum sv_err set_defaults(struct sv_options *o, struct sv_buf *why)
{
    struct source src = {.o = o};
    enum sv_err r = SV_OK;
    for (size_t i = 0; i < OPT_COUNT && r == SV_OK; i++)
        if (opts[i].fallback)
            r = set(&opts[i], &src, opts[i].fallback, why);
    return r;
}

static enum sv_err parse_supernet(struct sv_options *o, struct sv_buf *why)
{
    char text[SV_IP4_LEN];
    int64_t prefix;
    const char *slash = strchr(o->supernet, '/');
    size_t n = slash ? (size_t)(slash - o->supernet) : 0;
    if (!slash || n >= sizeof(text))
        return bad(why, "vpc.supernet: '%s' is not an IPv4 network such as 10.128.0.0/9", o->supernet);
    memcpy(text, o->supernet, n);
    text[n] = '\0';
    if (!sv_ip4_parse(text, &o->supernet_base) || !sv_parse_int(slash + 1, &prefix) || prefix < 1 || prefix > 28)
        return bad(why, "vpc.supernet: '%s' is not an IPv4 network such as 10.128.0.0/9", o->supernet);
    if (o->supernet_base & (UINT32_MAX >> prefix))
        return bad(why, "vpc.supernet: '%s' has bits set beyond its prefix", o->supernet);
    o->supernet_prefix = (unsigned)prefix;
    return SV_OK;
}

static enum sv_err parse_lists(struct sv_options *o, struct sv_buf *why)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf what = {0};
    if (o->trusted_proxies && !sv_proxies_parse(o->texts, o->trusted_proxies, &o->proxies, &what))
        return bad(why, "trusted.proxies: %s", what.p);
    if (o->cors_origins && !sv_cors_parse(o->texts, o->cors_origins, &o->cors, &what))
        return bad(why, "cors.origins: %s", what.p);
    return SV_OK;
}

static enum sv_err check(struct sv_options *o, struct sv_buf *why)
{
    if (parse_supernet(o, why) != SV_OK)
        return SV_E_CONFIG;
    if (o->vpc_prefix < (int64_t)o->supernet_prefix)
        return bad(why, "vpc.prefix: a /%lld does not fit into %s", (long long)o->vpc_prefix, o->supernet);
    if (!o->tls_cert != !o->tls_key)
        return bad(why, "tls-cert and tls-key go together");
    if (o->console_url && !sv_console_base_ok(o->console_url))
        return bad(why, "console.url: '%s' is not like https://cloud.example.org or http://host:port/path",
                   o->console_url);
    if (parse_lists(o, why) != SV_OK)
        return SV_E_CONFIG;
    if (o->metrics_listen && o->own_count < SV_MAX_OWN_LISTENERS)
        o->own[o->own_count++] = (struct sv_own_listener){.option = "metrics.listen", .listen = o->metrics_listen};
    return SV_OK;
}

static void add_own(struct sv_options *o, const struct sv_dialect *const *dialects)
{
    for (; *dialects; dialects++)
        if ((*dialects)->own_listener && o->own_count + 1 < SV_MAX_OWN_LISTENERS) /* one is for metrics */
            o->own[o->own_count++] = (struct sv_own_listener){.dialect = *dialects, .option = (*dialects)->name};
}

enum sv_err sv_options_parse(int argc, char *const *argv, const struct sv_dialect *const *dialects,
                             struct sv_options *ret, struct sv_buf *why)
{
    *ret = (struct sv_options){.texts = sv_arena_new()};
    add_own(ret, dialects);
    struct source file = {.o = ret}, line = {.o = ret}, again = {.o = ret};
    if (set_defaults(ret, why) != SV_OK || read_argv(&line, argc, argv, why) != SV_OK)
        return SV_E_CONFIG;
    if (ret->mode == SV_MODE_SERVE && ret->config) {
        SV_AUTOFREE char *base = sv_path_parent(ret->config);
        file.base = base;
        /* The command line was read for --config; it is laid over the file once more, to win. */
        if (sv_conf_read(ret->config, from_file, &file, why) != SV_OK || read_argv(&again, argc, argv, why) != SV_OK)
            return SV_E_CONFIG;
    }
    return ret->mode == SV_MODE_SERVE ? check(ret, why) : SV_OK;
}

void sv_options_free(struct sv_options *o)
{
    sv_arena_free(o->texts);
    *o = (struct sv_options){0};
}

static void help_row(FILE *out, const struct opt *row)
{
    char left[64];
    snprintf(left, sizeof(left), "--%s%s%s", row->name, row->arg ? " " : "", row->arg ? row->arg : "");
    fprintf(out, "  %-28s %s", left, row->doc);
    if (row->values) {
        fputs(" (", out);
        for (const char *const *w = row->values; *w; w++)
            fprintf(out, "%s%s", w == row->values ? "" : "|", *w);
        fputc(')', out);
    }
    if (row->fallback)
        fprintf(out, " [%s]", row->fallback);
    fputc('\n', out);
}

void sv_options_help(FILE *out, const struct sv_dialect *const *dialects)
{
    fputs("usage: starvirtd [--name value | --name=value]...\n\n"
          "Every option may also stand in the file of --config, as a line: name = value\n"
          "A relative path there is relative to the directory of the file.\n\n",
          out);
    for (size_t i = 0; i < OPT_COUNT; i++)
        if (!opts[i].hidden)
            help_row(out, &opts[i]);
    for (; *dialects; dialects++)
        if ((*dialects)->own_listener)
            help_row(out,
                     &(struct opt){.name = (*dialects)->name, .arg = "ADDRESS:PORT", .doc = (*dialects)->own_listener});
    fputs("\nGiven twice, the last one counts; connect adds up.\n"
          "SIGTERM ends it. Exit codes: 0 ended as asked, 1 cannot start or write, 2 an option is wrong\n",
          out);
}
