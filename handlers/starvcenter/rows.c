/* What several resources of this dialect share. */
#include "handlers/starvcenter/rows.h"

struct sv_page sv_page_of(const struct sv_page_in *in)
{
    const struct sv_window w = sv_page_by_number(in, 1, SV_MAX_PAGE);

    return (struct sv_page){.offset = w.offset, .limit = w.limit};
}

bool sv_is_by_name(const char *order)
{
    return order && strcmp(order, "name") == 0;
}

const char *const *sv_split_list(const char *text, struct sv_arena *a, size_t *ret_n)
{
    size_t n = 1;
    const char **v;

    for (const char *p = text; *p; p++)
        n += *p == ',';
    v = sv_arena_alloc(a, n * sizeof(*v));
    for (size_t i = 0; i < n; i++) {
        const size_t len = strcspn(text, ","), from = strspn(text, " ");
        size_t to = len;

        while (to > from && text[to - 1] == ' ')
            to--;
        v[i] = sv_arena_strndup(a, text + from, to > from ? to - from : 0);
        text += len + (text[len] == ',');
    }
    *ret_n = n;
    return v;
}

struct sv_look sv_look_of(const struct sv_call *c)
{
    return (struct sv_look){.since_us = c->asked_us, .last = c->wait_over};
}

void sv_wait_for_look(struct sv_call *c, const struct sv_look *look)
{
    enum { LOOK_MS = 3000 };

    if (!look->later)
        return;
    c->wait_key = sv_arena_strdup(c->arena, look->key);
    c->wait_ms = LOOK_MS;
}

enum sv_err sv_wire_fail(struct sv_call *c, enum sv_err code, const char *wire, const char *arg)
{
    sv_fail(c->err, code, SV_F_NONE, arg);
    SV_COPY(c->err->wire, wire);
    return code;
}
