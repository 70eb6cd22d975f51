#include "check.h"
#include "cli/cli.h"
#include "starvirt/dialects.h"

#include <unistd.h>

static struct sv_arena *a;
static struct sv_api *api;

static void setup(void)
{
    struct sv_error err;
    if (a)
        return;
    a = sv_arena_new();
    CHECK_INT(sv_api_new(sv_dialects, &api, &err), SV_OK);
}

/* --- json -------------------------------------------------------------------------------------------------- */

static void json_shapes(void)
{
    setup();
    const struct sv_node *n =
        sv_node_parse("{\"a\":\"x\",\"b\":[1,{\"c\":\"\"}],\"d\":{},\"e\":[],\"f\":-1.5,\"g\":null}", a);
    CHECK(n && n->kind == SV_NODE_OBJ);
    CHECK_STR(sv_node_text(n, "a"), "x");
    CHECK_STR(sv_node_text(n, "b"), "[1,{\"c\":\"\"}]");
    CHECK_STR(sv_node_text(n, "f"), "-1.5");
    CHECK_STR(sv_node_text(n, "g"), "null");
    CHECK_STR(sv_node_text(n, "missing"), "");
    CHECK(sv_node_get(n, "d")->child == NULL && sv_node_get(n, "e")->child == NULL);
    const struct sv_node *b = sv_node_get(n, "b");
    CHECK(b->kind == SV_NODE_LIST && b->child->next && !b->child->next->next);
    CHECK_STR(sv_node_text(b->child->next, "c"), "");
    CHECK(sv_node_get(b, "c") == NULL && sv_node_get(NULL, "c") == NULL);
}

static void json_escapes(void)
{
    setup();
    const struct sv_node *n = sv_node_parse("\"a\\n\\\"\\\\\\/\\u4e2d\\u00e9\\ud83d\\ude00\\u0041\"", a);
    CHECK(n != NULL);
    CHECK_STR(n->text, "a\n\"\\/\xe4\xb8\xad\xc3\xa9\xf0\x9f\x98\x80"
                       "A");
}

static void json_garbage(void)
{
    static const char *const bad[] = {"",    "{",         "[1,",     "{\"a\"}", "{\"a\":}",   "{a:1}",  "[1]x",
                                      "\"a", "\"\\u12\"", "\"\\q\"", "]",       "{\"a\":1,}", "[1 2]]", "\"a\\"};
    char deep[201];
    setup();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (sv_node_parse(bad[i], a))
            check_failed(__FILE__, __LINE__, "taken: %s", bad[i]);
    memset(deep, '[', 200);
    deep[200] = '\0';
    CHECK(sv_node_parse(deep, a) == NULL);
}

/* --- rows and targets ---------------------------------------------------------------------------------------- */

static bool has_param(const struct sv_route *r, const char *name)
{
    for (size_t i = 0; i < r->param_count; i++)
        if (strcmp(r->params[i].name, name) == 0)
            return true;
    return false;
}

static bool has_field(const struct sv_route *r, const char *name)
{
    for (const struct sv_reply_row *f = r->fields; f && f->name; f++)
        if (strcmp(f->name, name) == 0)
            return true;
    return false;
}

/* Operations not served yet have no rows to compare with. */
static void check_row(const struct sv_command *c, const struct sv_route *r)
{
    for (size_t i = 0; c->words[i] && r->handler; i++)
        if (strcmp(c->words[i], "@") == 0 ? !r->raw_body : !has_param(r, c->words[i]))
            check_failed(__FILE__, __LINE__, "%s %s: no parameter %s", c->group, c->verb, c->words[i]);
    for (size_t i = 0; c->columns[i] && r->handler; i++)
        if (!has_field(r, c->columns[i]))
            check_failed(__FILE__, __LINE__, "%s %s: no field %s", c->group, c->verb, c->columns[i]);
}

static void commands_fit_their_operations(void)
{
    unsigned n = 0;
    setup();
    for (const struct sv_command *c = sv_commands; c->group; c++) {
        struct sv_target t = {0};
        CHECK(c->usage && c->doc && c->verb);
        CHECK((c->path != NULL) != (c->run != NULL));
        if (!c->path)
            continue;
        if (!sv_target_find(api, c->method, c->path, a, &t))
            check_failed(__FILE__, __LINE__, "%s %s: no operation", c->group, c->verb);
        check_row(c, t.route);
        n++;
    }
    CHECK(n > 30);
}

static void url_of(const char *method, const char *operation, const char *const *pairs, const char *expected)
{
    struct sv_target t;
    SV_CLEANUP(sv_buf_free) struct sv_buf url = {0};
    CHECK(sv_target_find(api, method, operation, a, &t));
    for (; *pairs; pairs++)
        CHECK(sv_target_add(&t, *pairs, a));
    CHECK(sv_target_url(&t, &url));
    CHECK_STR(url.p, expected);
}
#define URL(expected, method, operation, ...)                                                                          \
    url_of(method, operation, (const char *const[]){__VA_ARGS__, NULL}, expected)
#define BASE "/starvcenter/services/cloudresource/"

static void urls(void)
{
    setup();
    URL(BASE "cloudvm/start", NULL, "cloudvm/start", "vm.id=x");
    URL(BASE "cloudvm/a%20b%2Fc%3F", "GET", "cloudvm/{vmId}", "vmId=a b/c?");
    URL(BASE "cloudvm/0190-x", "DELETE", "cloudvm/0190-x", NULL);
    URL(BASE "joblog/j?since=3&wait=5", "GET", "joblog/j", "wait=5", "since=3");
}

static void refusals(void)
{
    struct sv_target t;
    SV_CLEANUP(sv_buf_free) struct sv_buf url = {0};
    setup();
    CHECK(!sv_target_find(api, NULL, "cloudvm/{vmId}", a, &t)); /* GET or DELETE? */
    CHECK(!sv_target_find(api, "PUT", "no/such", a, &t));
    CHECK(sv_target_find(api, "GET", "cloudvm/{vmId}", a, &t));
    CHECK(!sv_target_url(&t, &url));
    CHECK(!sv_target_add(&t, "vm.id=x", a));
    CHECK(!sv_target_add(&t, "vmId", a));
    CHECK(sv_target_add(&t, "vmId=x", a));
    CHECK(!sv_target_add(&t, "vmId=y", a));
}

static void values_from_files(void)
{
    struct sv_target t;
    char path[] = "/tmp/sv-test-cli-XXXXXX";
    int fd = mkstemp(path);
    setup();
    CHECK(fd >= 0 && write(fd, "from file", 9) == 9);
    CHECK(sv_target_find(api, "PUT", "cloudvm/modify", a, &t));
    CHECK(sv_target_add(&t, sv_arena_printf(a, "vm.name=@%s", path), a));
    CHECK_STR(t.pairs[0], "vm.name=from file");
    CHECK(sv_target_add(&t, "vm.desc=@@home", a));
    CHECK_STR(t.pairs[1], "vm.desc=@home");
    unlink(path);
    CHECK(!sv_target_add(&t, sv_arena_printf(a, "vm.id=@%s", path), a));
    close(fd);
    sv_api_free(api);
    sv_arena_free(a);
}

CHECK_MAIN(T(json_shapes), T(json_escapes), T(json_garbage), T(commands_fit_their_operations), T(urls), T(refusals),
           T(values_from_files))
