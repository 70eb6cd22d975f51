#include "cli/cli.h"
#include "starvirt/limits.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

/* --- finding the operation --------------------------------------------------------------------------- */

static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "PATCH"};
enum { METHOD_COUNT = sizeof(methods) / sizeof(methods[0]), MAX_FOUND = 8 };

bool sv_is_method(const char *word)
{
    for (unsigned i = 0; i < METHOD_COUNT; i++)
        if (strcmp(word, methods[i]) == 0)
            return true;
    return false;
}

struct search {
    const char *method, *path;
    struct sv_target found[MAX_FOUND];
    size_t n;
};

static void offer(struct search *s, const struct sv_dialect *d, const struct sv_route *r)
{
    if (s->n < MAX_FOUND)
        s->found[s->n++] = (struct sv_target){.dialect = d, .route = r};
}

static void by_path(void *arg, const struct sv_dialect *d, const struct sv_route *r)
{
    struct search *s = arg;
    if (strcmp(r->path, s->path) == 0 && (!s->method || strcmp(r->method, s->method) == 0))
        offer(s, d, r);
}

struct dialects {
    const struct sv_dialect *one[8];
    size_t n;
};

static void collect(void *arg, const struct sv_dialect *d, const struct sv_route *r)
{
    struct dialects *all = arg;
    (void)r;
    for (size_t i = 0; i < all->n; i++)
        if (all->one[i] == d)
            return;
    if (all->n < sizeof(all->one) / sizeof(all->one[0]))
        all->one[all->n++] = d;
}

/* The values that stand in a path, by the names in the route's. */
static void fill_path(struct sv_target *t, const struct sv_match *m, struct sv_arena *a)
{
    const char *p = m->route->path;
    for (unsigned k = 0; k < m->path_values && (p = strchr(p, '{')); k++) {
        size_t n = strcspn(++p, "}");
        sv_target_set(t, sv_arena_strndup(a, p, n), sv_arena_strndup(a, m->path_value[k].p, m->path_value[k].n), a);
    }
}

/* A path with its id filled in, as the server would match it. */
static void by_match(const struct sv_api *api, struct search *s, struct sv_arena *a)
{
    struct dialects all = {.n = 0};
    sv_api_each(api, collect, &all);
    for (size_t i = 0; i < all.n; i++)
        for (unsigned k = 0; k < METHOD_COUNT; k++) {
            struct sv_match m;
            struct sv_error err;
            const char *full = sv_arena_printf(a, "%s%s", all.one[i]->base, s->path);
            if ((s->method && strcmp(s->method, methods[k]) != 0) ||
                sv_api_match(api, all.one[i]->own_listener ? all.one[i] : NULL, methods[k], full, &m, &err) != SV_OK)
                continue;
            offer(s, m.dialect, m.route);
            fill_path(&s->found[s->n - 1], &m, a);
        }
}

bool sv_target_find(const struct sv_api *api, const char *method, const char *operation, struct sv_arena *a,
                    struct sv_target *ret)
{
    struct search s = {.method = method, .path = operation};
    sv_api_each(api, by_path, &s);
    if (s.n == 0)
        by_match(api, &s, a);
    if (s.n == 1) {
        *ret = s.found[0];
        return true;
    }
    if (s.n == 0) {
        fprintf(stderr, "starvirt: no operation %s%s%s; 'starvirt operations' lists them\n", method ? method : "",
                method ? " " : "", operation);
        return false;
    }
    fprintf(stderr, "starvirt: %s is several operations, say which:", operation);
    for (size_t i = 0; i < s.n; i++)
        fprintf(stderr, "%s %s %s", i ? "," : "", s.found[i].route->method, s.found[i].route->path);
    fputc('\n', stderr);
    return false;
}

/* --- parameters ---------------------------------------------------------------------------------------- */

static const struct sv_param *row_of(const struct sv_route *r, const char *key, size_t n)
{
    for (size_t i = 0; i < r->param_count; i++)
        if (strlen(r->params[i].name) == n && memcmp(r->params[i].name, key, n) == 0)
            return &r->params[i];
    return NULL;
}

static bool unknown_key(const struct sv_route *r, const char *key, size_t n)
{
    fprintf(stderr, "starvirt: %s %s has no parameter '%.*s'", r->method, r->path, (int)n, key);
    for (size_t i = 0; i < r->param_count; i++)
        fprintf(stderr, "%s%s", i ? ", " : "; it has ", r->params[i].name);
    fputc('\n', stderr);
    return false;
}

static char *read_all(const char *path, struct sv_arena *a)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    char chunk[4096];
    size_t n;
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!f) {
        fprintf(stderr, "starvirt: %s: %s\n", path, strerror(errno));
        return NULL;
    }
    while (b.n <= SV_MAX_BODY && (n = fread(chunk, 1, sizeof(chunk), f)) > 0)
        sv_buf_add(&b, chunk, n);
    bool bad =
        ferror(f) || b.n > SV_MAX_BODY || memchr(b.p ? b.p : "", '\0', b.n) || !sv_utf8_valid(b.p ? b.p : "", b.n);
    if (f != stdin)
        fclose(f);
    if (bad) {
        fprintf(stderr, "starvirt: %s: cannot be a value: not read, too large, or not UTF-8 text\n", path);
        return NULL;
    }
    if (f == stdin && b.p && b.n > 0 && b.p[b.n - 1] == '\n')
        b.n--; /* of the line typed */
    return sv_arena_strndup(a, b.p ? b.p : "", b.n);
}

void sv_target_set(struct sv_target *t, const char *key, const char *value, struct sv_arena *a)
{
    const char **more = sv_arena_alloc(a, (t->n + 1) * sizeof(*more));
    if (t->n > 0)
        memcpy(more, t->pairs, t->n * sizeof(*more));
    more[t->n] = sv_arena_printf(a, "%s=%s", key, value);
    t->pairs = more;
    t->n++;
}

static bool given(const struct sv_target *t, const char *key, size_t n)
{
    for (size_t i = 0; i < t->n; i++)
        if (strncmp(t->pairs[i], key, n) == 0 && t->pairs[i][n] == '=')
            return true;
    return false;
}

bool sv_target_add(struct sv_target *t, const char *pair, struct sv_arena *a)
{
    size_t n = strcspn(pair, "=");
    if (!pair[n]) {
        fprintf(stderr, "starvirt: expected key=value, not '%s'\n", pair);
        return false;
    }
    if (!row_of(t->route, pair, n))
        return unknown_key(t->route, pair, n);
    if (given(t, pair, n)) {
        fprintf(stderr, "starvirt: %.*s is given twice\n", (int)n, pair);
        return false;
    }
    const char *value = pair + n + 1;
    if (value[0] == '@' && value[1] == '@')
        value++;
    else if (value[0] == '@' && !(value = read_all(value + 1, a)))
        return false;
    sv_target_set(t, sv_arena_strndup(a, pair, n), value, a);
    return true;
}

/* --- the URL --------------------------------------------------------------------------------------------- */

static void put_percent(struct sv_buf *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (isalnum(c) || strchr("-._~", c))
            sv_buf_putc(out, *text);
        else
            sv_buf_printf(out, "%%%02X", c);
    }
}

static const char *value_of(const struct sv_target *t, const struct sv_param *p)
{
    size_t n = strlen(p->name);
    for (size_t i = 0; i < t->n; i++)
        if (strncmp(t->pairs[i], p->name, n) == 0 && t->pairs[i][n] == '=')
            return t->pairs[i] + n + 1;
    return NULL;
}

static const struct sv_param *path_row(const struct sv_route *r, const char *name, size_t n)
{
    for (size_t i = 0; i < r->param_count; i++)
        if (r->params[i].in == SV_IN_PATH && strlen(r->params[i].name) == n && memcmp(r->params[i].name, name, n) == 0)
            return &r->params[i];
    return NULL;
}

static bool put_path(const struct sv_target *t, struct sv_buf *out)
{
    sv_buf_puts(out, t->dialect->base);
    for (const char *p = t->route->path; *p;) {
        size_t n = strcspn(p, "{");
        sv_buf_add(out, p, n);
        p += n;
        if (!*p)
            break;
        n = strcspn(++p, "}");
        const struct sv_param *row = path_row(t->route, p, n);
        const char *value = row ? value_of(t, row) : NULL;
        if (!value || !*value) {
            fprintf(stderr, "starvirt: %s %s needs %.*s=...\n", t->route->method, t->route->path, (int)n, p);
            return false;
        }
        put_percent(out, value);
        p += n + 1;
    }
    return true;
}

bool sv_target_url(const struct sv_target *t, struct sv_buf *out)
{
    bool first = true;
    if (!put_path(t, out))
        return false;
    for (size_t i = 0; i < t->route->param_count; i++) {
        const struct sv_param *p = &t->route->params[i];
        const char *value = p->in == SV_IN_QUERY ? value_of(t, p) : NULL;
        if (!value)
            continue;
        sv_buf_printf(out, "%c%s=", first ? '?' : '&', p->name);
        put_percent(out, value);
        first = false;
    }
    return true;
}

/* --- help -------------------------------------------------------------------------------------------------- */

static void range_of(const struct sv_param *p, struct sv_buf *out)
{
    if (p->values)
        for (const char *const *v = p->values; *v; v++)
            sv_buf_printf(out, "%s%s", v == p->values ? " " : "|", *v);
    bool min = p->flags & (SV_P_MIN | SV_P_OUR_MIN), max = p->flags & (SV_P_MAX | SV_P_OUR_MAX);
    if (p->type == SV_T_INT && min && max)
        sv_buf_printf(out, " %lld..%lld", (long long)p->min, (long long)p->max);
    else if (p->type == SV_T_INT && min)
        sv_buf_printf(out, " from %lld", (long long)p->min);
    if (p->unit)
        sv_buf_printf(out, " %s", p->unit);
}

void sv_target_help(const struct sv_target *t)
{
    const struct sv_route *r = t->route;
    printf("%s %s%s  %s\n", r->method, r->path, r->role == SV_ROLE_ADMIN ? " (admin)" : "", r->doc_en ? r->doc_en : "");
    for (size_t i = 0; i < r->param_count; i++) {
        const struct sv_param *p = &r->params[i];
        SV_CLEANUP(sv_buf_free) struct sv_buf range = {0};
        range_of(p, &range);
        bool needed = (p->flags & SV_P_REQUIRED) || p->in == SV_IN_PATH;
        printf("  %-26s %s%s%s\n", p->name, needed ? "[required] " : "", p->doc_en ? p->doc_en : "",
               range.p ? range.p : "");
    }
}
