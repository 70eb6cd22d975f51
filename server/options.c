#include "server/console.h"
#include "server/cors.h"
#include "server/option_rows.h"
#include "server/proxies.h"
#include "starvirt/conf.h"
#include "starvirt/limits.h"
#include "starvirt/path.h"
#include "starvirt/text.h"

/* One source of values: the defaults, the file, or the command line. */
struct source {
    struct sv_options *o;
    const char *base;          /* what paths in it are relative to; NULL: the working directory */
    bool seen[SV_MAX_OPTIONS]; /* a list starts anew in each source, and grows within it */
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

static const struct sv_option *find(const char *name, size_t n)
{
    for (size_t i = 0; i < sv_option_count; i++)
        if (same_name(sv_option_rows[i].name, name, n))
            return &sv_option_rows[i];
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

static enum sv_err set_enum(const struct sv_option *row, const char *v, const char **slot, struct sv_buf *why)
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

static enum sv_err set_list(const struct sv_option *row, struct source *src, const char *v, struct sv_buf *why)
{
    struct sv_options *o = src->o;
    if (!src->seen[row - sv_option_rows])
        o->connect_count = 0;
    if (o->connect_count == SV_MAX_CONNECT)
        return bad(why, "%s: at most %d", row->name, SV_MAX_CONNECT);
    o->connect[o->connect_count++] = sv_arena_strdup(o->texts, v);
    return SV_OK;
}

static enum sv_err set_path(const struct sv_option *row, struct source *src, const char *v, const char **slot,
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
static enum sv_err set_paths(const struct sv_option *row, struct source *src, const char *v, const char **slot,
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

static enum sv_err set_value(const struct sv_option *row, struct source *src, const char *v, struct sv_buf *why)
{
    void *slot = (char *)src->o + row->offset;
    int64_t n;
    switch (row->type) {
    case SV_OPTION_STR:
        if (*v == '\0')
            return bad(why, "%s: empty", row->name);
        *(const char **)slot = sv_arena_strdup(src->o->texts, v);
        return SV_OK;
    case SV_OPTION_LIST:
        return set_list(row, src, v, why);
    case SV_OPTION_PATH:
        return set_path(row, src, v, slot, why);
    case SV_OPTION_PATHS:
        return set_paths(row, src, v, slot, why);
    case SV_OPTION_ENUM:
        return set_enum(row, v, slot, why);
    case SV_OPTION_BOOL:
        return parse_bool(v, slot) ? SV_OK : bad(why, "%s: '%s' is neither true nor false", row->name, v);
    case SV_OPTION_INT:
        if (!sv_parse_int(v, &n) || n < row->min || n > row->max)
            return bad(why, "%s: '%s' is not a number from %lld to %lld", row->name, v, (long long)row->min,
                       (long long)row->max);
        *(int64_t *)slot = n;
        return SV_OK;
    case SV_OPTION_MODE:
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

static enum sv_err set(const struct sv_option *row, struct source *src, const char *v, struct sv_buf *why)
{
    enum sv_err r = set_value(row, src, v, why);
    src->seen[row - sv_option_rows] = true;
    return r;
}

/* The option that was meant, or NULL. */
static const char *nearest(const char *name)
{
    const char *found = NULL;
    unsigned best = 3;
    for (size_t i = 0; i < sv_option_count; i++) {
        const unsigned d = sv_option_rows[i].hidden ? 99 : sv_edit_distance(name, sv_option_rows[i].name);
        if (d < best && d < strlen(name)) {
            best = d;
            found = sv_option_rows[i].name;
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
    const struct sv_option *row = find(name, strlen(name));
    struct sv_own_listener *own = row ? NULL : find_own(src->o, name, strlen(name));
    if (check_text("a name", name, why) != SV_OK || check_text(name, value, why) != SV_OK)
        return SV_E_CONFIG;
    if (own)
        return set_own(src->o, own, value, why);
    if (row && row->cli_only)
        return bad(why, "%s: only on the command line", name);
    if (!row)
        return unknown(name, why);
    if (src->seen[row - sv_option_rows] && row->type != SV_OPTION_LIST)
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
    const struct sv_option *row = find(a, n);
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
    if (row->type == SV_OPTION_MODE)
        return eq ? bad(why, "%s takes no value", row->name) : set(row, src, "", why);
    if (row->type == SV_OPTION_BOOL && !eq && !(next && parse_bool(argv[*i + 1], &flag)))
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
    for (size_t i = 0; i < sv_option_count && r == SV_OK; i++)
        if (sv_option_rows[i].fallback)
            r = set(&sv_option_rows[i], &src, sv_option_rows[i].fallback, why);
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
