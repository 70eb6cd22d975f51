#include "tests/toy/toy.h"

#include "starvirt/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STR(key, m, ...)                                                                                               \
    {                                                                                                                  \
        .name = (key), .type = SV_T_STR, .offset = SV_OFF_STR(struct toy_in, m), ##__VA_ARGS__                         \
    }
#define PATH(key, m, ...) STR(key, m, .in = SV_IN_PATH, ##__VA_ARGS__)
#define DOC               .doc_zh = "玩具", .doc_en = "toy"

/* --- things in and out ---------------------------------------------------------------------------- */

static const struct sv_param part_params[] = {
    {.name = "id", .type = SV_T_ID, .flags = SV_P_REQUIRED, .offset = SV_OFF_STR(struct toy_part, id)},
    {.name = "weight",
     .type = SV_T_INT,
     .flags = SV_P_MIN | SV_P_MAX,
     .min = 1,
     .max = 10,
     .offset = SV_OFF_INT(struct toy_part, weight)},
};
static const struct sv_param place_params[] = {
    {.name = "x", .type = SV_T_INT, .flags = SV_P_REQUIRED, .offset = SV_OFF_INT(struct toy_place, x)},
    {.name = "y", .type = SV_T_INT, .offset = SV_OFF_INT(struct toy_place, y)},
};
#define THING_PARAMS                                                                                                   \
    STR("secret", secret, .flags = SV_P_SECRET),                                                                       \
        {.name = "size", .type = SV_T_INT, .offset = SV_OFF_INT(struct toy_in, size)},                                 \
        {.name = "on", .type = SV_T_BOOL, .offset = SV_OFF_BOOL(struct toy_in, on)},                                   \
        {.name = "tags", .type = SV_T_LIST, .offset = SV_OFF_LIST(struct toy_in, tags)},                               \
        {.name = "place",                                                                                              \
         .type = SV_T_OBJ,                                                                                             \
         .offset = SV_OFF_OBJ(struct toy_in, place, struct toy_place),                                                 \
         SV_SUB(place_params, struct toy_place)},                                                                      \
    {                                                                                                                  \
        .name = "parts", .type = SV_T_OBJS, .flags = SV_P_MAX, .max = 3, .offset = SV_OFF_OBJS(struct toy_in, parts),  \
        SV_SUB(part_params, struct toy_part)                                                                           \
    }
static const struct sv_param create_params[] = {
    PATH("box", box), STR("name", name, .flags = SV_P_REQUIRED, .field = SV_F_VM_NAME), THING_PARAMS};
static const struct sv_param change_params[] = {PATH("box", box), PATH("thing", thing, .field = SV_F_VM),
                                                STR("name", name), THING_PARAMS};
static const struct sv_param one_params[] = {PATH("box", box), PATH("thing", thing, .field = SV_F_VM)};
static const struct sv_param file_params[] = {PATH("box", box), PATH("thing", thing),
                                              STR("how", how, .in = SV_IN_QUERY)};
static const struct sv_param list_params[] = {
    PATH("box", box),
    SV_PAGE_MARKER("marker", struct toy_in, .in = SV_IN_QUERY),
    SV_PAGE_SIZE("limit", struct toy_in, .in = SV_IN_QUERY, .flags = SV_P_MIN | SV_P_MAX, .min = 1, .max = 5),
};
static const struct sv_param stop_params[] = {
    PATH("box", box),
    PATH("thing", thing),
    {.name = "force", .type = SV_T_BOOL, .flags = SV_P_REQUIRED, .offset = SV_OFF_BOOL(struct toy_in, on)}};
static const struct sv_param rpc_params[] = {STR("name", name, .flags = SV_P_REQUIRED)};

static const struct sv_reply_row part_rows[] = {SV_TEXT("id"), SV_INT("weight"), {0}};
static const struct sv_reply_row place_rows[] = {SV_INT("x"), SV_INT("y"), {0}};
#define THING_ROWS                                                                                                     \
    SV_TEXT("id"), SV_TEXT("box"), SV_TEXT("name"), SV_INT("size"), SV_BOOL("on"), SV_TIME("made"), SV_TEXTS("tags"),  \
        SV_OBJ("place", place_rows, .flags = SV_O_OPTIONAL), SV_OBJS("parts", part_rows)

static void put_thing(struct sv_reply *r, const struct toy_in *in, const char *id)
{
    const struct toy_part *part = in->parts.v;
    sv_reply_obj(r);
    sv_put_str(r, "id", id);
    sv_put_str(r, "box", in->box);
    sv_put_str(r, "name", in->name);
    sv_put_int(r, "size", in->size.v);
    sv_put_bool(r, "on", in->on.v);
    sv_put_time(r, "made", in->on.v ? 1767323045000 : 0);
    sv_reply_list_in(r, "tags");
    for (size_t i = 0; i < in->tags.n; i++)
        sv_put_str(r, NULL, in->tags.v[i]);
    sv_reply_end_list(r);
    if (in->place) {
        sv_reply_obj_in(r, "place");
        sv_put_int(r, "x", in->place->x.v);
        sv_put_int(r, "y", in->place->y.v);
        sv_reply_end_obj(r);
    }
    sv_reply_list_in(r, "parts");
    for (size_t i = 0; i < in->parts.n; i++) {
        sv_reply_obj(r);
        sv_put_str(r, "id", part[i].id);
        sv_put_int(r, "weight", part[i].weight.v);
        sv_reply_end_obj(r);
    }
    sv_reply_end_list(r);
    sv_reply_end_obj(r);
}

static enum sv_err create(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct toy_in *in = input;
    const struct sv_id id = sv_id_new();
    put_thing(out, in, id.s);
    sv_reply_header(out, "Location", sv_arena_printf(c->arena, "/boxes/%s/things/%s", in->box, id.s));
    return SV_OK;
}

static enum sv_err show(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct toy_in *in = input;
    if (strcmp(in->thing, "none") == 0)
        return sv_fail(c->err, SV_E_VM_NOT_FOUND, SV_F_VM);
    put_thing(out, in, in->thing);
    return SV_OK;
}

static enum sv_err nothing(struct sv_call *c, const void *input, struct sv_reply *out)
{
    (void)c, (void)input, (void)out;
    return SV_OK;
}

static enum sv_err list(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct toy_in *in = input;
    const struct sv_window w = sv_page_by_marker(&in->page, 3);
    unsigned at = w.after ? (unsigned)strtoul(w.after, NULL, 10) : 0, n = 0;
    sv_reply_list(out);
    for (; at < TOY_THINGS && n < w.limit; n++)
        put_thing(out, in, sv_dec(++at).s);
    sv_reply_end_list(out);
    if (at < TOY_THINGS)
        out->next = sv_arena_strdup(c->arena, sv_dec(at).s);
    return SV_OK;
}

static enum sv_err action(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct toy_in *in = input;
    sv_reply_obj(out);
    sv_put_str(out, "did", c->route->keys[0].name);
    sv_put_bool(out, "force", in->on.v);
    sv_reply_end_obj(out);
    return SV_OK;
}

static enum sv_err rpc(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct toy_in *in = input;
    sv_reply_obj(out);
    sv_put_str(out, "did", c->route->keys[1].value);
    sv_put_str(out, "name", in->name);
    sv_reply_end_obj(out);
    return SV_OK;
}

static enum sv_err versions(struct sv_call *c, const void *input, struct sv_reply *out)
{
    (void)input;
    sv_reply_obj(out);
    sv_put_bool(out, "known", !sv_id_empty(&c->actor.tenant));
    sv_reply_end_obj(out);
    return SV_OK;
}

/* --- a download: as a file, as a stream, and as a stream that breaks ------------------------------------- */

static ssize_t read_letters(void *arg, uint64_t at, char *buf, size_t n)
{
    uint64_t left = at < TOY_FILE ? TOY_FILE - at : 0;
    if (*(const bool *)arg && at > TOY_FILE / 2)
        return -1;
    n = n < left ? n : (size_t)left;
    for (size_t i = 0; i < n; i++)
        buf[i] = (char)('a' + (at + i) % 26);
    return (ssize_t)n;
}

static enum sv_err download(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct toy_in *in = input;
    const char *how = in->how ? in->how : "file";
    if (strcmp(how, "file") == 0) {
        FILE *f = tmpfile();
        if (!f)
            return sv_fail(c->err, SV_E_SYSTEM, SV_F_NONE, "tmpfile");
        for (int i = 0; i < TOY_FILE; i++)
            fputc('a' + i % 26, f);
        fflush(f);
        sv_reply_file(out, dup(fileno(f)), TOY_FILE, "application/octet-stream");
        fclose(f);
        return SV_OK;
    }
    bool *breaks = sv_alloc(sizeof(*breaks));
    *breaks = strcmp(how, "broken") == 0;
    const struct sv_stream s = {.read = read_letters,
                                .close = free,
                                .arg = breaks,
                                .size = strcmp(how, "chunked") == 0 ? -1 : TOY_FILE,
                                .type = "text/x-letters"};
    sv_reply_stream(out, &s);
    return strcmp(how, "refused") == 0 ? sv_fail(c->err, SV_E_VM_NOT_FOUND, SV_F_NONE) : SV_OK;
}

/* --- routes ---------------------------------------------------------------------------------------------- */

#define IN(rows)   SV_PARAMS(rows), .in_size = sizeof(struct toy_in)
#define THING(key) .data = SV_DATA_OBJ, .data_key = (key), SV_FIELDS(THING_ROWS)
static const struct sv_route routes[] = {
    {.section = "1",
     .method = "POST",
     .path = "boxes/{box}/things",
     .runs = SV_RUN_WRITE,
     .under = "thing",
     IN(create_params),
     THING("thing"),
     .ok = 201,
     .handler = create,
     DOC},
    {.section = "2",
     .method = "GET",
     .path = "boxes/{box}/things",
     IN(list_params),
     .data = SV_DATA_LIST,
     .data_key = "things",
     SV_FIELDS(THING_ROWS),
     .handler = list,
     DOC},
    {.section = "3",
     .method = "GET",
     .path = "boxes/{box}/things/{thing}",
     IN(one_params),
     THING(NULL),
     .handler = show,
     DOC},
    {.section = "4",
     .method = "PATCH",
     .path = "boxes/{box}/things/{thing}",
     .runs = SV_RUN_WRITE,
     IN(change_params),
     THING(NULL),
     .handler = show,
     DOC},
    {.section = "5",
     .method = "DELETE",
     .path = "boxes/{box}/things/{thing}",
     .runs = SV_RUN_WRITE,
     IN(one_params),
     .ok = 204,
     .handler = nothing,
     DOC},
    {.section = "6",
     .method = "POST",
     .path = "boxes/{box}/things/{thing}/action",
     .runs = SV_RUN_WRITE,
     SV_KEYS({"start", NULL}),
     .under = "start",
     IN(one_params),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("did"), SV_BOOL("force")),
     .ok = 202,
     .handler = action,
     DOC},
    {.section = "7",
     .method = "POST",
     .path = "boxes/{box}/things/{thing}/action",
     .runs = SV_RUN_WRITE,
     SV_KEYS({"stop", NULL}),
     .under = "stop",
     IN(stop_params),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("did"), SV_BOOL("force")),
     .ok = 202,
     .handler = action,
     DOC},
    {.section = "8",
     .method = "GET",
     .path = "boxes/{box}/things/{thing}/file",
     IN(file_params),
     .gives_file = true,
     .handler = download,
     DOC},
    {.section = "9",
     .method = "GET",
     .path = "versions",
     .open = true,
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_BOOL("known")),
     .handler = versions,
     DOC},
    {.section = "10",
     .method = "POST",
     .path = "",
     SV_KEYS({"handler", "Thing"}, {"command", "add"}),
     .under = "data",
     IN(rpc_params),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("did"), SV_TEXT("name")),
     .handler = rpc,
     DOC},
    {.section = "11",
     .method = "POST",
     .path = "",
     SV_KEYS({"handler", "Thing"}, {"command", "drop"}),
     .under = "data",
     IN(rpc_params),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("did"), SV_TEXT("name"), SV_TEXT("never")), /* the last one is not written: a wrong row */
     .handler = rpc,
     DOC},
};
static const struct sv_route_table table = {routes, sizeof(routes) / sizeof(routes[0])};
static const struct sv_route_table *const tables[] = {&table, NULL};

const struct sv_dialect toy_dialect = {
    .name = "toy",
    .title = "Toy",
    .base = "/",
    .describe = "/toy",
    .own_listener = "where the toy is served",
    .wire = &toy_wire,
    .tables = tables,
};
