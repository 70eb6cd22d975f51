/* A bare JSON body against rows with objects and lists of objects, and against routes that the body tells apart. */
#include "starvirt/limits.h"
#include "tests/fuzz/fuzz.h"
#include "tests/toy/toy.h"

static struct sv_api *api;

static void must_be_text(const char *s)
{
    MUST(!s || (*s && strlen(s) <= SV_MAX_STR && sv_utf8_valid(s, strlen(s))));
}

static void must_be_sound(const struct toy_in *in)
{
    const struct toy_part *part = in->parts.v;
    must_be_text(in->name);
    must_be_text(in->secret);
    MUST(in->parts.n <= 3 && (in->parts.n == 0 || part));
    for (size_t i = 0; i < in->parts.n; i++) {
        MUST(part[i].id);
        must_be_text(part[i].id);
        MUST(!part[i].weight.set || (part[i].weight.v >= 1 && part[i].weight.v <= 10));
    }
    MUST(!in->place || in->place->x.set);
    for (size_t i = 0; i < in->tags.n; i++)
        must_be_text(in->tags.v[i]);
}

static void bind(const char *method, const char *path, const char *body, size_t n)
{
    struct sv_arena *a = sv_arena_new();
    struct sv_error err = {0};
    struct sv_match m;
    const struct sv_input in = {"application/json", body, n, NULL};
    const struct sv_unknown *unknown = NULL;
    void *got = NULL;
    MUST(sv_api_match(api, &toy_dialect, method, path, &m, &err) == SV_OK);
    enum sv_err e = sv_api_choose(&m, &in, a, &err);
    if (e == SV_OK)
        e = sv_api_bind(&m, &in, a, &got, &unknown, &err);
    if (e == SV_OK) {
        MUST(m.choice == NULL);
        must_be_sound(got);
        MUST(!unknown || sv_utf8_valid(unknown->list, strlen(unknown->list)));
    } else {
        MUST(err.code == e && sv_utf8_valid(err.wire, strlen(err.wire)) &&
             sv_utf8_valid(err.arg[0], strlen(err.arg[0])));
        MUST(NO_TREE_ERROR(&err));
    }
    sv_arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sv_dialect *const dialects[] = {&toy_dialect, NULL};
    if (!api)
        MUST(sv_api_new(dialects, &api, NULL) == SV_OK);
    /* of its exact size, so that one byte too many is seen */
    SV_AUTOFREE char *body = sv_alloc(size ? size : 1);
    if (size > 0)
        memcpy(body, data, size);
    bind("PATCH", "/boxes/b/things/t", body, size);
    bind("POST", "/boxes/b/things", body, size);
    bind("POST", "/boxes/b/things/t/action", body, size);
    bind("POST", "/", body, size);
    return 0;
}
