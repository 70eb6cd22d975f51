#include "api_fixture.h"

#define UUID "0190A0b0-0000-7000-8000-00000000000a"

struct path_case {
    const char *method, *path;
    enum sv_err code;
    int route; /* index into fixture_routes, -1 = none */
    const char *value, *allow;
};
static const struct path_case path_cases[] = {
    {"POST", BASE "cloudvm/create", SV_OK, 0, "", ""},
    {"GET", BASE "cloudvm/0190-ab", SV_OK, 1, "0190-ab", ""},
    {"DELETE", BASE "cloudvm/0190-ab", SV_OK, 2, "0190-ab", ""},
    {"PUT", BASE "cloudvm/cpu/modify", SV_OK, 3, "", ""},
    {"DELETE", BASE "cloudvm/backup/b1", SV_OK, 5, "b1", ""},
    /* the tolerance the document's own examples ask for */
    {"POST", BASE "cloudsegroup /vnic/unbind", SV_OK, 6, "", ""},
    {"PUT", BASE "cloud slb/modify", SV_OK, 7, "", ""},
    {"POST", BASE "cloudvm/create/", SV_OK, 0, "", ""},
    {"POST", BASE "/cloudvm//create", SV_OK, 0, "", ""},
    {"POST", "//starvcenter/services//cloudresource/cloudvm/ create ", SV_OK, 0, "", ""},
    {"GET", BASE "cloudvm/ 0190-ab ", SV_OK, 1, "0190-ab", ""},
    {"GET", BASE "cloudvm/0190-ab/", SV_OK, 1, "0190-ab", ""},
    /* what follows from the routes */
    {"HEAD", BASE "cloudvm/0190-ab", SV_OK, 1, "0190-ab", ""},
    {"HEAD", BASE "cloudvm/create", SV_E_METHOD_NOT_ALLOWED, -1, "", "POST, OPTIONS"},
    {"OPTIONS", BASE "cloudvm/create", SV_OK, -1, "", "POST, OPTIONS"},
    /* a literal wins for good */
    {"GET", BASE "cloudvm/create", SV_E_METHOD_NOT_ALLOWED, -1, "", "POST, OPTIONS"},
    {"DELETE", BASE "cloudvm/backup", SV_E_NOT_FOUND, -1, "", ""},
    {"POST", BASE "cloudvm/" UUID, SV_E_METHOD_NOT_ALLOWED, -1, "", "GET, DELETE, HEAD, OPTIONS"},
    {"PATCH", BASE "cloudvm/" UUID "/", SV_E_METHOD_NOT_ALLOWED, -1, "", "GET, DELETE, HEAD, OPTIONS"},
    {"get", BASE "cloudvm/" UUID, SV_E_METHOD_NOT_ALLOWED, -1, "", "GET, DELETE, HEAD, OPTIONS"},
    {"", BASE "cloudvm/" UUID, SV_E_METHOD_NOT_ALLOWED, -1, "", "GET, DELETE, HEAD, OPTIONS"},
    /* what only {vmId} catches and can be none: no path, and not another's methods */
    {"POST", BASE "cloudvm/0190-ab", SV_E_NOT_FOUND, -1, "", ""},
    {"POST", BASE "cloudvm/craete", SV_E_NOT_FOUND, -1, "", ""},
    {"get", BASE "cloudvm/create1", SV_E_NOT_FOUND, -1, "", ""},
    {"PUT", BASE "cloudvm/backup/x", SV_E_NOT_FOUND, -1, "", ""},
    {"PUT", BASE "cloudvm/backup/" UUID, SV_E_METHOD_NOT_ALLOWED, -1, "", "GET, DELETE, HEAD, OPTIONS"},
    {"OPTIONS", BASE "cloudvm/0190-ab", SV_OK, -1, "", "GET, DELETE, HEAD, OPTIONS"},
    {"POST", BASE "cloudvm/CREATE/x", SV_E_NOT_FOUND, -1, "", ""},
    {"POST", BASE "CloudVM/create", SV_E_NOT_FOUND, -1, "", ""},
    {"GET", BASE "cloudvm", SV_E_NOT_FOUND, -1, "", ""},
    {"GET", BASE "cloudvm/a/b/c", SV_E_NOT_FOUND, -1, "", ""},
    {"GET", BASE "..", SV_E_NOT_FOUND, -1, "", ""},
    {"GET", BASE, SV_E_NOT_FOUND, -1, "", ""},
    {"GET", "/", SV_E_NOT_FOUND, -1, "", ""},
    {"GET", "", SV_E_NOT_FOUND, -1, "", ""},
    {"GET", "*", SV_E_NOT_FOUND, -1, "", ""},
    {"GET", "cloudvm/x", SV_E_NOT_FOUND, -1, "", ""},
};

static void check_case(const struct sv_api *api, const struct path_case *c)
{
    struct sv_match m;
    struct sv_error err = {0};
    char value[64];
    enum sv_err e = sv_api_match(api, NULL, c->method, c->path, &m, &err);
    if (e != c->code)
        check_failed(__FILE__, __LINE__, "%s %s gave %s", c->method, c->path, sv_err_symbol(e));
    if (m.route != (c->route < 0 ? NULL : &fixture_routes[c->route]))
        check_failed(__FILE__, __LINE__, "%s %s gave another route", c->method, c->path);
    snprintf(value, sizeof(value), "%.*s", (int)m.path_value[0].n, m.path_value[0].p ? m.path_value[0].p : "");
    if (m.options)
        CHECK(strcmp(c->method, "OPTIONS") == 0);
    else if (e == SV_OK)
        CHECK_STR(value, c->value);
    else
        CHECK_INT(err.code, c->code);
    CHECK_STR(m.allow, c->allow);
    if (e == SV_E_METHOD_NOT_ALLOWED)
        CHECK_STR(err.arg[0], c->allow);
}

static void paths(void)
{
    struct sv_api *api = fixture_api();
    for (size_t i = 0; i < sizeof(path_cases) / sizeof(path_cases[0]); i++)
        check_case(api, &path_cases[i]);
    sv_api_free(api);
}

/* What may have been meant is named, and nothing where nothing is like it. */
static void hints(void)
{
    static const struct {
        const char *path, *hint;
    } c[] = {{"cloudvm/craete", "create"},  {"cloudvm/CREATE", "create"},     {"cloudvm/creat", "create"},
             {"cloudwm/create", "cloudvm"}, {"cloudvm/cpu/modfiy", "modify"}, {"cloudvm/" UUID "/x", ""},
             {"cloudslb/mody", "modify"},   {"cloudvm/zzzzzz", ""},           {"c", ""},
             {"nothing/like/this", ""}};
    struct sv_api *api = fixture_api();
    for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
        struct sv_match m;
        struct sv_error err = {0};
        SV_AUTOFREE char *path = sv_asprintf("%s%s", BASE, c[i].path);
        CHECK_INT(sv_api_match(api, NULL, "PUT", path, &m, &err), SV_E_NOT_FOUND);
        CHECK_STR(err.arg[2], c[i].hint);
    }
    sv_api_free(api);
}

static void dialect_of_a_path(void)
{
    struct sv_api *api = fixture_api();
    struct sv_match m;
    CHECK_INT(sv_api_match(api, NULL, "GET", BASE "nothing", &m, NULL), SV_E_NOT_FOUND);
    CHECK(m.dialect == &fixture_dialect);
    CHECK_INT(sv_api_match(api, NULL, "GET", "/elsewhere", &m, NULL), SV_E_NOT_FOUND);
    CHECK(m.dialect == NULL);
    sv_api_free(api);
}

static void hostile_paths(void)
{
    struct sv_api *api = fixture_api();
    struct sv_match m;
    struct sv_error err;
    struct sv_buf longer = {0};
    sv_buf_puts(&longer, BASE "cloudvm/");
    while (longer.n <= SV_MAX_PATH)
        sv_buf_puts(&longer, "x");
    CHECK_INT(sv_api_match(api, NULL, "GET", longer.p, &m, &err), SV_E_NOT_FOUND);
    longer.p[SV_MAX_PATH] = '\0';
    CHECK_INT(sv_api_match(api, NULL, "GET", longer.p, &m, &err), SV_OK);
    sv_buf_free(&longer);
    /* the error shows the path without control characters and broken UTF-8 */
    CHECK_INT(sv_api_match(api, NULL, "GET", "/a\r\nb\xff\x1b", &m, &err), SV_E_NOT_FOUND);
    CHECK_STR(err.arg[0], "/a??b??");
    CHECK_INT(sv_api_match(api, NULL, "GET", "/云", &m, &err), SV_E_NOT_FOUND);
    CHECK_STR(err.arg[0], "/云");
    sv_api_free(api);
}

/* --- bad tables ----------------------------------------------------------------------------------- */

static void refuse_routes(const struct sv_route *routes, size_t n, const char *what)
{
    const struct sv_route_table table = {routes, n};
    const struct sv_route_table *const tables[] = {&table, NULL};
    const struct sv_dialect d = {
        .name = "d", .title = "D", .base = "/d/", .describe = "/x", .wire = &sv_wire_starvcenter, .tables = tables};
    const struct sv_dialect *const dialects[] = {&d, NULL};
    struct sv_api *api = NULL;
    struct sv_error err = {0};
    CHECK_INT(sv_api_new(dialects, &api, &err), SV_E_INTERNAL);
    CHECK(api == NULL);
    if (!strstr(err.arg[0], what))
        check_failed(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", err.arg[0], what);
}

static const struct sv_route good_route = {.section = "1", .method = "POST", .path = "a/b", .handler = served, DOC};
static const struct sv_param good_param = {.name = "p", .type = SV_T_STR, .offset = SV_OFF_STR(struct all_in, name)};

static const struct sv_param far_param = {.name = "q", .type = SV_T_STR, .offset = SV_OFF_STR(struct all_in, desc)};

/* A good route spoilt by the statements given. */
#define BAD_ROUTE(what, ...)                                                                                           \
    do {                                                                                                               \
        struct sv_route r = good_route;                                                                                \
        __VA_ARGS__;                                                                                                   \
        refuse_routes(&r, 1, what);                                                                                    \
    } while (0)

static void bad_routes(void)
{
    BAD_ROUTE("method", r.method = "TRACE");
    BAD_ROUTE("method", r.method = NULL);
    BAD_ROUTE("section", r.section = NULL);
    BAD_ROUTE("doc", r.doc_en = NULL);
    BAD_ROUTE("doc", r.doc_zh = "");
    BAD_ROUTE("POST or PUT", r.method = "GET"; r.raw_body = true);
    static const struct {
        const char *path, *what;
    } paths_[] = {{NULL, "path"},
                  {"/a", "path"},
                  {"a/", "segment"},
                  {"a//b", "segment"},
                  {"a /b", "segment"},
                  {"a/{b", "segment"},
                  {"a/{}", "segment"},
                  {"a/x{b}", "segment"},
                  {"a?b", "segment"},
                  {"{a}/{a}", "stands twice"},
                  {"{a}/{b}/{c}/{d}/{e}/{f}/{g}", "too many"},
                  {"{a}/{b}", "no parameter row"},
                  {"a/{id}", "no parameter row"}};
    for (size_t i = 0; i < sizeof(paths_) / sizeof(paths_[0]); i++)
        BAD_ROUTE(paths_[i].what, r.path = paths_[i].path);
}

static void bad_replies_and_sizes(void)
{
    static const struct sv_reply_row one[] = {SV_TEXT("x"), {0}}, twice[] = {SV_TEXT("x"), SV_OBJS("x", NULL), {0}},
                                     empty[] = {SV_TEXT(""), {0}}, inner[] = {SV_TEXT("y", .sub = one), {0}};
    const size_t n = sizeof(all_params) / sizeof(all_params[0]);
    BAD_ROUTE("param_count", r.param_count = 1);
    BAD_ROUTE("param_count", r.params = all_params);
    BAD_ROUTE("param_count", r.params = all_params; r.param_count = 1000);
    BAD_ROUTE("in_size", r.params = all_params; r.param_count = n; r.in_size = 8);
    BAD_ROUTE("the body is a file", r.params = all_params; r.param_count = n; r.in_size = sizeof(struct all_in);
              r.raw_body = true);
    BAD_ROUTE("fields without data", r.fields = one);
    BAD_ROUTE("twice", r.data = SV_DATA_OBJ; r.fields = twice);
    BAD_ROUTE("empty reply field", r.data = SV_DATA_OBJ; r.fields = empty);
    BAD_ROUTE("rows inside", r.data = SV_DATA_OBJ; r.fields = inner);
    BAD_ROUTE("between 200", r.ok = 404);
    BAD_ROUTE("no body", r.ok = 204; r.data = SV_DATA_OBJ);
    BAD_ROUTE("list", r.kind = SV_ASYNC_EACH; r.data = SV_DATA_OBJ);
}

static void refuse_param(const struct sv_param rows[2], size_t n, const char *path, const char *what)
{
    struct sv_route r = good_route;
    r.path = path;
    r.params = rows;
    r.param_count = n;
    r.in_size = sizeof(struct all_in);
    refuse_routes(&r, 1, what);
}

/* A good row spoilt by the statements given, alone or beside another. */
#define BAD_PARAM(what, ...)                                                                                           \
    do {                                                                                                               \
        struct sv_param rows[2] = {good_param, good_param}, *p = &rows[0];                                             \
        const char *path = "a";                                                                                        \
        size_t n = 1;                                                                                                  \
        __VA_ARGS__;                                                                                                   \
        refuse_param(rows, n, path, what);                                                                             \
    } while (0)

static void bad_params(void)
{
    BAD_PARAM("wire name", p->name = NULL);
    BAD_PARAM("wire name", p->name = "");
    BAD_PARAM("blanks or '*'", p->name = "p*");
    BAD_PARAM("blanks or '*'", p->name = " p");
    BAD_PARAM("type", p->type = (enum sv_ptype)99);
    BAD_PARAM("in_size", p->offset = sizeof(struct all_in));
    BAD_PARAM("in_size", p->offset = SIZE_MAX - 7);
    BAD_PARAM("aligned", p->offset = 4);
    BAD_PARAM("listed twice", n = 2; p[1].offset = 64);
    BAD_PARAM("shares its member", n = 2; p[1].name = "other");
    BAD_PARAM("no such {name}", p->in = SV_IN_PATH);
    BAD_PARAM("no such {name}", p->in = SV_IN_PATH; path = "a/{other}");
    BAD_PARAM("list", p->in = SV_IN_QUERY; p->type = SV_T_LIST);
    BAD_PARAM("without rows", p->type = SV_T_OBJ);
    BAD_PARAM("rows inside", p->sub = &good_param; p->sub_count = 1; p->sub_size = sizeof(struct all_in));
    BAD_PARAM("have no size", p->type = SV_T_OBJS; p->sub = &good_param; p->sub_count = 1; p->sub_size = 0);
    BAD_PARAM("in_size", p->type = SV_T_OBJ; p->sub = &far_param; p->sub_count = 1; p->sub_size = 8);
}

static void bad_bounds_and_values(void)
{
    static const char *const values[] = {"x", NULL}, *const same[] = {"x", "X", NULL};
    BAD_PARAM("without values", p->type = SV_T_ENUM);
    BAD_PARAM("values on another type", p->values = values);
    BAD_PARAM("twice", p->type = SV_T_ENUM; p->values = same);
    BAD_PARAM("both", p->type = SV_T_INT; p->flags = SV_P_MIN | SV_P_OUR_MIN);
    BAD_PARAM("both", p->type = SV_T_INT; p->flags = SV_P_MAX | SV_P_OUR_MAX);
    BAD_PARAM("over max", p->type = SV_T_INT; p->flags = SV_P_MIN | SV_P_MAX; p->min = 2; p->max = 1);
    BAD_PARAM("without its flag", p->type = SV_T_INT; p->min = 1);
    BAD_PARAM("without its flag", p->type = SV_T_INT; p->max = 1);
    BAD_PARAM("bounds on a type", p->type = SV_T_BOOL; p->flags = SV_P_MAX);
    BAD_PARAM("negative", p->max = -1);
}

static void duplicate_routes(void)
{
    struct sv_param rows[2] = {good_param, good_param};
    struct sv_route r[2] = {good_route, good_route};
    refuse_routes(r, 2, "same name");
    for (int i = 0; i < 2; i++) {
        rows[i].in = SV_IN_PATH;
        rows[i].name = i ? "y" : "x";
        r[i].path = i ? "a/{y}" : "a/{x}";
        r[i].params = &rows[i];
        r[i].param_count = 1;
        r[i].in_size = sizeof(struct all_in);
    }
    refuse_routes(r, 2, "same name");
    r[0] = r[1] = good_route;
    r[0].path = "a/b_c";
    r[1].path = "a_b/c";
    refuse_routes(r, 2, "same name");
}

static void bad_dialects(void)
{
    static const struct sv_dialect base = {.name = "d",
                                           .title = "D",
                                           .base = "/d",
                                           .describe = "/x",
                                           .wire = &sv_wire_starvcenter,
                                           .tables = fixture_tables};
    const struct sv_dialect *const open[] = {&base, NULL};
    const struct sv_dialect *const twice[] = {&fixture_dialect, &fixture_dialect, NULL};
    struct sv_api *api = NULL;
    CHECK_INT(sv_api_new(open, &api, NULL), SV_E_INTERNAL);
    CHECK_INT(sv_api_new(twice, &api, NULL), SV_E_INTERNAL);
    CHECK(api == NULL);
}

static void two_dialects(void)
{
    static const struct sv_dialect second = {.name = "hci",
                                             .title = "H",
                                             .base = "/starvcenter/",
                                             .describe = "/h",
                                             .wire = &sv_wire_starvcenter,
                                             .tables = fixture_tables};
    const struct sv_dialect *const both[] = {&fixture_dialect, &second, NULL};
    struct sv_api *api = NULL;
    struct sv_match m;
    CHECK_INT(sv_api_new(both, &api, NULL), SV_OK);
    CHECK_INT(sv_api_match(api, NULL, "GET", "/starvcenter/cloudvm/x", &m, NULL), SV_OK);
    CHECK(m.dialect == &second);
    CHECK_INT(sv_api_match(api, NULL, "GET", BASE "cloudvm/x", &m, NULL), SV_OK);
    CHECK(m.dialect == &fixture_dialect);
    sv_api_free(api);
}

static void count_one(void *arg, const struct sv_dialect *d, const struct sv_route *r)
{
    size_t *n = arg;
    CHECK(d == &fixture_dialect);
    CHECK(r == &fixture_routes[*n]);
    ++*n;
}

static void each_in_order(void)
{
    struct sv_api *api = fixture_api();
    size_t n = 0;
    sv_api_each(api, count_one, &n);
    CHECK_INT(n, sizeof(fixture_routes) / sizeof(fixture_routes[0]));
    sv_api_free(api);
}

CHECK_MAIN(T(paths), T(hints), T(dialect_of_a_path), T(hostile_paths), T(bad_routes), T(bad_replies_and_sizes),
           T(bad_params), T(bad_bounds_and_values), T(duplicate_routes), T(bad_dialects), T(two_dialects),
           T(each_in_order))
