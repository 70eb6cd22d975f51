#include "api_fixture.h"

#include <json-c/json.h>

/* --- looking into JSON ------------------------------------------------------------------------------ */

static json_object *parse(const char *text, size_t n)
{
    json_tokener *t = json_tokener_new_ex(64);
    json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    json_object *o = json_tokener_parse_ex(t, text, (int)n);
    if (!o)
        check_failed(__FILE__, __LINE__, "not JSON: %s", json_tokener_error_desc(json_tokener_get_error(t)));
    json_tokener_free(t);
    return o;
}

/* The value at keys that are separated by '|'; "#1" is an array's element. NULL if it is not there. */
static json_object *at(json_object *o, const char *path)
{
    while (o && *path) {
        char key[128];
        size_t n = strcspn(path, "|");
        snprintf(key, sizeof(key), "%.*s", (int)n, path);
        path += path[n] ? n + 1 : n;
        if (key[0] == '#')
            o = json_object_array_get_idx(o, (size_t)(key[1] - '0'));
        else if (!json_object_object_get_ex(o, key, &o))
            return NULL;
    }
    return o;
}

static const char *text_at(json_object *o, const char *path)
{
    json_object *v = at(o, path);
    return v ? json_object_get_string(v) : NULL;
}

static json_object *openapi(void)
{
    struct sv_api *api = fixture_api();
    struct sv_buf out = {0};
    sv_describe_openapi(api, sv_api_dialects(api)[0], &out);
    json_object *o = parse(out.p, out.n - 1);
    CHECK(out.p[out.n - 1] == '\n');
    sv_buf_free(&out);
    sv_api_free(api);
    return o;
}

/* --- OpenAPI ------------------------------------------------------------------------------------------ */

static void openapi_document(void)
{
    json_object *o = openapi();
    CHECK_STR(text_at(o, "openapi"), "3.1.0");
    CHECK_STR(text_at(o, "info|title"), "StarVCenter");
    CHECK_STR(text_at(o, "info|version"), STARVIRT_VERSION);
    CHECK_STR(text_at(o, "components|securitySchemes|KEY_TOKEN|type"), "apiKey");
    CHECK_STR(text_at(o, "components|securitySchemes|KEY_TOKEN|in"), "header");
    CHECK(at(o, "security|#0|KEY_TOKEN"));
    CHECK_INT(json_object_object_length(at(o, "paths")), 8);
    CHECK_INT(json_object_array_length(at(o, "components|schemas|Failure|properties|error|properties|code|enum")),
              SV_ERR_COUNT - 1);
    json_object_put(o);
}

#define CREATE    "paths|" BASE "cloudvm/create|post|"
#define KEY_PARAM CREATE "requestBody|content|application/x-www-form-urlencoded|schema|properties|KEY_PARAM|"
#define KEYS      KEY_PARAM "contentSchema|properties|"
static void openapi_request(void)
{
    json_object *o = openapi();
    CHECK_STR(text_at(o, CREATE "operationId"), "cloudvm_create_post");
    CHECK_STR(text_at(o, CREATE "requestBody|required"), "true");
    CHECK_STR(text_at(o, KEY_PARAM "type"), "string");
    CHECK_STR(text_at(o, KEY_PARAM "contentEncoding"), "base64");
    CHECK_STR(text_at(o, KEY_PARAM "contentMediaType"), "application/json");
    CHECK_STR(text_at(o, KEY_PARAM "contentSchema|type"), "object");
    CHECK_STR(text_at(o, KEY_PARAM "contentSchema|required|#0"), "vm.name");
    CHECK_INT(json_object_array_length(at(o, KEY_PARAM "contentSchema|required")), 1);
    CHECK_STR(text_at(o, KEYS "vm.num|type"), "integer");
    CHECK_STR(text_at(o, KEYS "vm.num|minimum"), "1");
    CHECK_STR(text_at(o, KEYS "vm.num|maximum"), "30");
    CHECK(strstr(text_at(o, KEYS "vm.num|description"), "[MB]"));
    CHECK_STR(text_at(o, KEYS "size|maximum"), "100");
    CHECK(at(o, KEYS "free|minimum") == NULL);
    CHECK_STR(text_at(o, KEYS "vm.on|type"), "boolean");
    CHECK_STR(text_at(o, KEYS "mode|enum|#1"), "UDP");
    CHECK_STR(text_at(o, KEYS "ip|format"), "ipv4");
    CHECK_STR(text_at(o, KEYS "list|type"), "array");
    CHECK_STR(text_at(o, KEYS "two|maxItems"), "2");
    CHECK_STR(text_at(o, KEYS "two|x-starvirt-extension"), "true");
    CHECK_STR(text_at(o, KEYS "pem|writeOnly"), "true");
    CHECK_STR(text_at(o, KEYS "vm.name|minLength"), "1");
    CHECK_STR(text_at(o, KEYS "vm.name|maxLength"), "128");
    CHECK_STR(text_at(o, KEYS "vm.desc|description"), "<desc> & \"more\"");
    CHECK_STR(text_at(o, "paths|" BASE "cloudtemplate/upload|post|requestBody|required"), "true");
    CHECK(at(o, "paths|" BASE "cloudtemplate/upload|post|requestBody|content|application/octet-stream"));
    CHECK(at(o, "paths|" BASE "cloudvm/cpu/modify|put|requestBody") == NULL);
    json_object_put(o);
}

#define ANSWER "responses|200|content|text/plain|schema|"
static void openapi_reply(void)
{
    json_object *o = openapi();
    CHECK_STR(text_at(o, CREATE ANSWER "contentEncoding"), "base64");
    CHECK_STR(text_at(o, CREATE ANSWER "contentSchema|oneOf|#0|properties|result|const"), "0");
    CHECK_STR(text_at(o, CREATE ANSWER "contentSchema|oneOf|#0|properties|data|type"), "array");
    CHECK_STR(text_at(o, CREATE ANSWER "contentSchema|oneOf|#0|properties|data|items|properties|vm.id|type"), "string");
    CHECK_STR(text_at(o, CREATE ANSWER "contentSchema|oneOf|#0|properties|data|items|properties|model|type"), "array");
    CHECK_STR(text_at(o, CREATE ANSWER "contentSchema|oneOf|#0|properties|data|items|properties|count|type"), "number");
    CHECK_STR(text_at(o, CREATE ANSWER "contentSchema|oneOf|#1|$ref"), "#/components/schemas/Failure");
    CHECK_STR(text_at(o, "paths|" BASE "cloudvm/cpu/modify|put|" ANSWER "contentSchema|oneOf|#0|required|#2"),
              "startid");
    CHECK_STR(text_at(o, CREATE "responses|default|$ref"), "#/components/responses/Fault");
    CHECK(at(o, "components|responses|Fault|description"));
    CHECK_STR(text_at(o, CREATE "x-starvirt|kind"), "async-each");
    CHECK_STR(text_at(o, CREATE "x-starvirt|served"), "true");
    CHECK_STR(text_at(o, "paths|" BASE "cloudvm/cpu/modify|put|x-starvirt|role"), "admin");
    CHECK_STR(text_at(o, "paths|" BASE "cloudvm/cpu/modify|put|x-starvirt|served"), "false");
    CHECK_STR(text_at(o, "paths|" BASE "cloudtemplate/upload|post|x-starvirt|extension"), "true");
    json_object_put(o);
}

/* Two methods whose {name} differs share one path, and the parameter is called as in that path. */
static void openapi_paths_are_unique(void)
{
    json_object *o = openapi();
    CHECK_STR(text_at(o, "paths|" BASE "cloudvm/{vmId}|get|parameters|#0|name"), "vmId");
    CHECK_STR(text_at(o, "paths|" BASE "cloudvm/{vmId}|get|parameters|#0|required"), "true");
    CHECK_STR(text_at(o, "paths|" BASE "cloudvm/{vmId}|get|parameters|#1|in"), "query");
    CHECK_STR(text_at(o, "paths|" BASE "cloudvm/backup/{id}|get|parameters|#0|name"), "id");
    CHECK_STR(text_at(o, "paths|" BASE "cloudvm/backup/{id}|delete|parameters|#0|name"), "id");
    CHECK(at(o, "paths|" BASE "cloudvm/backup/{backupId}") == NULL);
    CHECK_STR(text_at(o, "paths|" BASE "cloudvm/{vmId}|delete|operationId"), "cloudvm_vmId_delete");
    CHECK_STR(text_at(o, "paths|" BASE "cloudvm/{vmId}|delete|parameters|#4|$ref"),
              "#/components/parameters/IdempotencyKey");
    CHECK(at(o, "paths|" BASE "cloudvm/{vmId}|get|parameters|#4") == NULL);
    /* not served yet and without a row, but the path has it */
    CHECK_STR(text_at(o, "paths|" BASE "cloudslb/{slbid}|delete|parameters|#0|name"), "slbid");
    json_object_put(o);
}

/* Every $ref leads somewhere. */
static void check_refs(json_object *root, json_object *o)
{
    if (json_object_is_type(o, json_type_array))
        for (size_t i = 0; i < json_object_array_length(o); i++)
            check_refs(root, json_object_array_get_idx(o, i));
    if (!json_object_is_type(o, json_type_object))
        return;
    json_object_object_foreach(o, key, v)
    {
        if (strcmp(key, "$ref") == 0) {
            char path[128];
            snprintf(path, sizeof(path), "%s", json_object_get_string(v) + 2);
            for (char *c = path; *c; c++)
                if (*c == '/')
                    *c = '|';
            CHECK(at(root, path));
        }
        check_refs(root, v);
    }
}

static void openapi_refs(void)
{
    json_object *o = openapi();
    check_refs(o, o);
    json_object_put(o);
}

/* --- dump ----------------------------------------------------------------------------------------------- */

static void dump_lines(void)
{
    struct sv_api *api = fixture_api();
    struct sv_buf out = {0};
    size_t n = 0;
    sv_describe_dump(api, &out);
    for (char *line = out.p, *end; *line; line = end + 1, n++) {
        end = strchr(line, '\n');
        CHECK(end);
        json_object *o = parse(line, (size_t)(end - line));
        CHECK_STR(text_at(o, "path"), fixture_routes[n].path);
        CHECK_STR(text_at(o, "method"), fixture_routes[n].method);
        CHECK_STR(text_at(o, "served"), fixture_routes[n].handler ? "true" : "false");
        CHECK(json_object_is_type(at(o, "params"), json_type_array));
        CHECK(json_object_is_type(at(o, "fields"), json_type_array));
        json_object_put(o);
    }
    CHECK_INT(n, sizeof(fixture_routes) / sizeof(fixture_routes[0]));
    sv_buf_free(&out);
    sv_api_free(api);
}

static void dump_shape(void)
{
    struct sv_api *api = fixture_api();
    struct sv_buf out = {0};
    sv_describe_dump(api, &out);
    static const char head[] =
        "{\"section\":\"2.2.1\",\"method\":\"POST\",\"path\":\"cloudvm/create\",\"kind\":\"async-each\",\"params\":["
        "{\"name\":\"vm.name\",\"type\":\"str\",\"required\":true},";
    CHECK(strncmp(out.p, head, sizeof(head) - 1) == 0);
    CHECK(strstr(out.p,
                 "{\"name\":\"mode\",\"type\":\"enum\",\"required\":false,\"enum\":[\"tcp\",\"UDP\",\"in out\"]}"));
    CHECK(strstr(out.p, "{\"name\":\"vm.num\",\"type\":\"int\",\"required\":false,\"min\":1,\"max\":30}"));
    /* bounds that are ours, parameters that are ours, and those of the URL stay out */
    CHECK(strstr(out.p, "{\"name\":\"size\",\"type\":\"int\",\"required\":false,\"min\":1}"));
    CHECK(strstr(out.p, "{\"name\":\"code\",\"type\":\"str\",\"required\":false}"));
    CHECK(!strstr(out.p, "\"two\""));
    CHECK(!strstr(out.p, "\"vmId\""));
    CHECK(strstr(out.p, "\"data\":\"list\",\"fields\":[\"vm.id\",\"model\",\"count\"],\"role\":\"tenant\",\"runs\":"
                        "\"write\",\"extension\":false,\"served\":true,\"dialect\":\"starvcenter\"}\n"));
    CHECK(strstr(
        out.p,
        "\"path\":\"cloudvm/cpu/modify\",\"kind\":\"async\",\"params\":[],\"data\":\"none\",\"fields\":"
        "[],\"role\":\"admin\",\"runs\":\"read\",\"extension\":false,\"served\":false,\"dialect\":\"starvcenter\"}\n"));
    sv_buf_free(&out);
    sv_api_free(api);
}

/* --- XML and HTML ------------------------------------------------------------------------------------------ */

/* Every tag is closed in order and no '&' stands alone. */
static void check_markup(const char *p)
{
    struct {
        const char *name;
        size_t n;
    } open[32];
    size_t depth = 0;
    for (; *p; p++) {
        if (*p == '&')
            CHECK(strncmp(p, "&lt;", 4) == 0 || strncmp(p, "&gt;", 4) == 0 || strncmp(p, "&amp;", 5) == 0 ||
                  strncmp(p, "&quot;", 6) == 0 || strncmp(p, "&apos;", 6) == 0);
        if (*p != '<' || p[1] == '?' || p[1] == '!')
            continue;
        const char *end = strchr(p, '>');
        CHECK(end);
        size_t n = strcspn(p + 1, " />");
        if (p[1] == '/') {
            n = strcspn(p + 2, ">");
            CHECK(depth > 0);
            depth--;
            CHECK(open[depth].n == n && memcmp(open[depth].name, p + 2, n) == 0);
        } else if (end[-1] != '/') {
            CHECK(depth < 32);
            open[depth].name = p + 1;
            open[depth++].n = n;
        }
        p = end;
    }
    CHECK_INT(depth, 0);
}

static void wadl(void)
{
    struct sv_api *api = fixture_api();
    struct sv_buf out = {0};
    sv_describe_wadl(api, sv_api_dialects(api)[0], &out);
    check_markup(out.p);
    CHECK(strstr(out.p, "<resources base=\"" BASE "\">"));
    CHECK(strstr(out.p, "<resource path=\"cloudvm/{vmId}\">"));
    CHECK(strstr(out.p, "<method name=\"PUT\" id=\"cloudvm_cpu_modify_put\">"));
    CHECK(strstr(out.p, "<param name=\"vmId\" style=\"template\" type=\"xs:string\" required=\"true\"/>"));
    CHECK(strstr(out.p, "title=\"vm.num: int, 1-30, MB\""));
    CHECK(strstr(out.p, "&lt;desc&gt; &amp; &quot;more&quot;"));
    sv_buf_free(&out);
    sv_api_free(api);
}

static void html(void)
{
    struct sv_api *api = fixture_api();
    struct sv_buf zh = {0}, en = {0};
    sv_describe_html(api, sv_api_dialects(api)[0], SV_LANG_ZH, &zh);
    sv_describe_html(api, sv_api_dialects(api)[0], SV_LANG_EN, &en);
    check_markup(zh.p);
    check_markup(en.p);
    for (size_t i = 0; i < sizeof(fixture_routes) / sizeof(fixture_routes[0]); i++)
        CHECK(strstr(en.p, fixture_routes[i].path));
    CHECK(strstr(zh.p, "lang=\"zh-CN\"") && strstr(zh.p, "如何调用") && !strstr(zh.p, "How to call"));
    CHECK(strstr(en.p, "lang=\"en\"") && strstr(en.p, "How to call") && !strstr(en.p, "如何调用"));
    CHECK(strstr(en.p, "id=\"cloudvm_create_post\"") && strstr(en.p, "id=\"s-2.2.15\""));
    CHECK(strstr(en.p, "<span class=\"tag ours\">extension</span>") &&
          strstr(en.p, "<span class=\"tag later\">not yet</span>"));
    CHECK(strstr(en.p, "<code>VM_LOCKED</code>"));
    CHECK(strstr(en.p, "&lt;desc&gt; &amp; &quot;more&quot;") && !strstr(en.p, "<desc>"));
    CHECK(strstr(en.p, "<td>1-30 MB</td>"));
    sv_buf_free(&zh);
    sv_buf_free(&en);
    sv_api_free(api);
}

CHECK_MAIN(T(openapi_document), T(openapi_request), T(openapi_reply), T(openapi_paths_are_unique), T(openapi_refs),
           T(dump_lines), T(dump_shape), T(wadl), T(html))
