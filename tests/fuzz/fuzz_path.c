/* A request line: the method up to the first newline, then the path. */
#include "starvirt/text.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/api_fixture.h"

static struct sv_api *api;

static void check_match(const struct sv_match *m, const char *path)
{
    MUST(m->dialect == &fixture_dialect && m->route);
    if (m->path_values == 0)
        return;
    const char *end = path + strlen(path);
    for (unsigned i = 0; i < m->path_values; i++) {
        const struct sv_slice *v = &m->path_value[i];
        MUST(v->p > path && v->p + v->n <= end && v->n > 0);
        MUST(!memchr(v->p, '/', v->n));
    }
    MUST(strchr(m->route->path, '{'));
}

static void match(const char *method, const char *path)
{
    struct sv_match m;
    struct sv_error err = {0};
    enum sv_err e = sv_api_match(api, NULL, method, path, &m, &err);
    if (e == SV_OK && m.options) {
        MUST(!m.route && m.allow[0] && strcmp(method, "OPTIONS") == 0);
        return;
    }
    if (e == SV_OK) {
        check_match(&m, path);
        MUST(strcmp(m.route->method, method) == 0 || strcmp(method, "HEAD") == 0);
        return;
    }
    MUST(!m.route && err.code == e);
    MUST(e == SV_E_NOT_FOUND || e == SV_E_METHOD_NOT_ALLOWED);
    MUST((e == SV_E_METHOD_NOT_ALLOWED) == (m.allow[0] != '\0'));
    MUST(sv_utf8_valid(err.arg[0], strlen(err.arg[0])));
    for (const char *c = err.arg[0]; *c; c++)
        MUST((unsigned char)*c >= ' ');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SV_AUTOFREE char *text = sv_alloc(size + 1);
    if (!api)
        api = fixture_api();
    if (size > 0)
        memcpy(text, data, size);
    char *path = strchr(text, '\n');
    if (!path)
        return 0;
    *path++ = '\0';
    match(text, path);
    /* most inputs should get past the base */
    SV_AUTOFREE char *under = sv_asprintf(BASE "%s", path);
    match(text, under);
    return 0;
}
