#include "server/options.h"
#include "server/console.h"
#include "starvirt/conf.h"
#include "starvirt/text.h"

#include <stddef.h>

enum opt_type { OPT_STR, OPT_LIST, OPT_INT, OPT_BOOL, OPT_ENUM, OPT_MODE };

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
     .type = OPT_STR,
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
     .values = VALUES("none", "linux", "ovn"),
     .arg = "ENGINE",
     .doc = "the network engine"},
    {.name = "config",
     .type = OPT_STR,
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
     .type = OPT_STR,
     .offset = AT(tls_cert),
     .arg = "FILE",
     .doc = "serve HTTPS with this certificate chain (PEM)"},
    {.name = "tls-key", .type = OPT_STR, .offset = AT(tls_key), .arg = "FILE", .doc = "its private key (PEM)"},
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
     .type = OPT_STR,
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
     .doc = "jobs running at a time on one host"},
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
     .type = OPT_STR,
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
     .type = OPT_STR,
     .offset = AT(import_dirs),
     .arg = "DIR,DIR",
     .doc = "templates may be imported by path only from below these; default: anywhere, for admins"},
    {.name = "metrics.public",
     .type = OPT_BOOL,
     .offset = AT(metrics_public),
     .fallback = "false",
     .doc = "/metrics for everybody; false: loopback peers and admin tokens"},
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
    {.name = "workers",
     .type = OPT_INT,
     .offset = AT(workers),
     .fallback = "16",
     .min = 1,
     .max = 256,
     .arg = "N",
     .doc = "threads for requests that block"},
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

__attribute__((format(printf, 2, 3))) static enum sv_err bad(struct sv_error *err, const char *fmt, ...)
{
    char text[SV_ERR_ARG_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return sv_fail(err, SV_E_CONFIG, SV_F_NONE, text);
}

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

static enum sv_err set_enum(const struct opt *row, const char *v, const char **slot, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf all = {0};
    for (const char *const *w = row->values; *w; w++) {
        if (strcmp(*w, v) == 0) {
            *slot = *w;
            return SV_OK;
        }
        sv_buf_printf(&all, "%s%s", all.n ? ", " : "", *w);
    }
    return bad(err, "%s: no such value '%s', allowed: %s", row->name, v, all.p);
}

static enum sv_err set_list(const struct opt *row, struct source *src, const char *v, struct sv_error *err)
{
    struct sv_options *o = src->o;
    if (!src->seen[row - opts])
        o->connect_count = 0;
    if (o->connect_count == SV_MAX_CONNECT)
        return bad(err, "%s: at most %d", row->name, SV_MAX_CONNECT);
    o->connect[o->connect_count++] = sv_arena_strdup(o->texts, v);
    return SV_OK;
}

static enum sv_err set_value(const struct opt *row, struct source *src, const char *v, struct sv_error *err)
{
    void *slot = (char *)src->o + row->offset;
    int64_t n;
    switch (row->type) {
    case OPT_STR:
        if (*v == '\0')
            return bad(err, "%s: empty", row->name);
        *(const char **)slot = sv_arena_strdup(src->o->texts, v);
        return SV_OK;
    case OPT_LIST:
        return set_list(row, src, v, err);
    case OPT_ENUM:
        return set_enum(row, v, slot, err);
    case OPT_BOOL:
        return parse_bool(v, slot) ? SV_OK : bad(err, "%s: '%s' is neither true nor false", row->name, v);
    case OPT_INT:
        if (!sv_parse_int(v, &n) || n < row->min || n > row->max)
            return bad(err, "%s: '%s' is not a number from %lld to %lld", row->name, v, (long long)row->min,
                       (long long)row->max);
        *(int64_t *)slot = n;
        return SV_OK;
    case OPT_MODE:
        src->o->mode = (enum sv_mode)row->min;
        return SV_OK;
    }
    return SV_OK;
}

static enum sv_err set(const struct opt *row, struct source *src, const char *v, struct sv_error *err)
{
    enum sv_err r = set_value(row, src, v, err);
    src->seen[row - opts] = true;
    return r;
}

static enum sv_err from_file(void *arg, const char *name, const char *value, struct sv_error *err)
{
    struct source *src = arg;
    const struct opt *row = find(name, strlen(name));
    if (!row || row->cli_only)
        return bad(err, "unknown option '%s'", name);
    if (src->seen[row - opts] && row->type != OPT_LIST)
        return bad(err, "%s: given twice", row->name);
    return set(row, src, value, err);
}

/* Takes argv[*i] (and its value from argv[*i + 1] where it stands apart). */
static enum sv_err from_argv(struct source *src, int argc, char *const *argv, int *i, struct sv_error *err)
{
    const char *a = argv[*i];
    if (strncmp(a, "--", 2) != 0 || a[2] == '\0')
        return bad(err, "unexpected argument '%s'", a);
    a += 2;
    const char *eq = strchr(a, '=');
    const struct opt *row = find(a, eq ? (size_t)(eq - a) : strlen(a));
    if (!row)
        return bad(err, "unknown option '%s', see --help", argv[*i]);
    bool next = !eq && *i + 1 < argc, flag;
    if (row->type == OPT_MODE)
        return eq ? bad(err, "%s takes no value", row->name) : set(row, src, "", err);
    if (row->type == OPT_BOOL && !eq && !(next && parse_bool(argv[*i + 1], &flag)))
        return set(row, src, "true", err);
    if (!eq && !next)
        return bad(err, "%s needs a value", row->name);
    return set(row, src, eq ? eq + 1 : argv[++*i], err);
}

static enum sv_err read_argv(struct source *src, int argc, char *const *argv, struct sv_error *err)
{
    enum sv_err r = SV_OK;
    for (int i = 1; i < argc && r == SV_OK; i++)
        r = from_argv(src, argc, argv, &i, err);
    return r;
}

static enum sv_err set_defaults(struct sv_options *o, struct sv_error *err)
{
    struct source src = {.o = o};
    enum sv_err r = SV_OK;
    for (size_t i = 0; i < OPT_COUNT && r == SV_OK; i++)
        if (opts[i].fallback)
            r = set(&opts[i], &src, opts[i].fallback, err);
    return r;
}

static enum sv_err parse_supernet(struct sv_options *o, struct sv_error *err)
{
    char text[SV_IP4_LEN];
    int64_t prefix;
    const char *slash = strchr(o->supernet, '/');
    size_t n = slash ? (size_t)(slash - o->supernet) : 0;
    if (!slash || n >= sizeof(text))
        return bad(err, "vpc.supernet: '%s' is not an IPv4 network such as 10.128.0.0/9", o->supernet);
    memcpy(text, o->supernet, n);
    text[n] = '\0';
    if (!sv_ip4_parse(text, &o->supernet_base) || !sv_parse_int(slash + 1, &prefix) || prefix < 1 || prefix > 28)
        return bad(err, "vpc.supernet: '%s' is not an IPv4 network such as 10.128.0.0/9", o->supernet);
    if (o->supernet_base & (UINT32_MAX >> prefix))
        return bad(err, "vpc.supernet: '%s' has bits set beyond its prefix", o->supernet);
    o->supernet_prefix = (unsigned)prefix;
    return SV_OK;
}

static enum sv_err check(struct sv_options *o, struct sv_error *err)
{
    if (parse_supernet(o, err) != SV_OK)
        return SV_E_CONFIG;
    if (o->vpc_prefix < (int64_t)o->supernet_prefix)
        return bad(err, "vpc.prefix: a /%lld does not fit into %s", (long long)o->vpc_prefix, o->supernet);
    if (!o->tls_cert != !o->tls_key)
        return bad(err, "tls-cert and tls-key go together");
    if (o->console_url && !sv_console_base_ok(o->console_url))
        return bad(err, "console.url: '%s' is not like https://cloud.example.org or http://host:port/path",
                   o->console_url);
    return SV_OK;
}

enum sv_err sv_options_parse(int argc, char *const *argv, struct sv_options *ret, struct sv_error *err)
{
    *ret = (struct sv_options){.texts = sv_arena_new()};
    struct source file = {.o = ret}, line = {.o = ret}, again = {.o = ret};
    if (set_defaults(ret, err) != SV_OK || read_argv(&line, argc, argv, err) != SV_OK)
        return SV_E_CONFIG;
    if (ret->mode == SV_MODE_SERVE && ret->config) {
        /* The command line was read for --config; it is laid over the file once more, to win. */
        if (sv_conf_read(ret->config, from_file, &file, err) != SV_OK || read_argv(&again, argc, argv, err) != SV_OK)
            return SV_E_CONFIG;
    }
    return ret->mode == SV_MODE_SERVE ? check(ret, err) : SV_OK;
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

void sv_options_help(FILE *out)
{
    fputs("usage: starvirtd [--name value | --name=value]...\n\n"
          "Every option may also stand in the file of --config, as a line: name = value\n\n",
          out);
    for (size_t i = 0; i < OPT_COUNT; i++)
        if (!opts[i].hidden)
            help_row(out, &opts[i]);
}
