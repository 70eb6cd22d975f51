#include "api_fixture.h"
#include "server/dispatch.h"
#include "server/head.h"
#include "server/language.h"
#include "server/uri.h"

static struct sv_server server; /* for its dialects' token headers */

/* Feeds a head of "Name: value" lines, NULL-terminated. */
static struct sv_request *feed(struct sv_arena *a, const char *uri, const char *version, const char *const *lines)
{
    struct sv_request *r = sv_arena_alloc(a, sizeof(*r));
    r->arena = a;
    r->server = &server;
    sv_head_begin(r, uri);
    for (; *lines; lines++) {
        const char *colon = strchr(*lines, ':');
        sv_head_field(r, *lines, (size_t)(colon - *lines), colon + 1, strlen(colon + 1));
    }
    sv_head_framed(r);
    sv_head_end(r, "GET", version);
    return r;
}
#define FEED(uri, version, ...) feed(a, uri, version, (const char *const[]){__VA_ARGS__, NULL})

static struct sv_arena *a;

static void setup(void)
{
    if (!server.api)
        server.api = fixture_api();
    sv_arena_free(a);
    a = sv_arena_new();
}

static void good(void)
{
    setup();
    struct sv_request *r =
        FEED("/x?since=1", "HTTP/1.1", "host: h", "key_token: t", "Content-Length: 12", "Content-Type: text/x",
             "Idempotency-Key: k", "Accept-Language: fr, en-GB;q=0.8, zh;q=0.5");
    CHECK_STR(r->fault, NULL);
    CHECK_STR(r->tokens[0], "t");
    CHECK_STR(r->query, "since=1");
    CHECK_STR(r->content_type, "text/x");
    CHECK_STR(r->idempotency_key, "k");
    CHECK_INT(r->length, 12);
    CHECK_INT(r->lang, SV_LANG_EN);
    setup();
    r = FEED("/x", "HTTP/1.1", "Host: h", "Accept-Language: zh-CN,en;q=0.5", "KEY_TOKEN: same", "KEY_TOKEN: same",
             "X-Forwarded-For: 1.2.3.4");
    CHECK_STR(r->fault, NULL);
    CHECK_INT(r->lang, SV_LANG_ZH);
    CHECK_INT(r->length, -1);
    CHECK_STR(r->x_forwarded_for, "1.2.3.4");
    CHECK_STR(r->query, NULL);
    setup();
    CHECK_STR(feed(a, "/x", "HTTP/1.0", (const char *const[]){NULL})->fault, NULL);
}

static void smuggling(void)
{
    setup();
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "Content-Length: 5", "Content-Length: 6")->fault);
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "Content-Length: 5", "Content-Length: 5")->fault);
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "Content-Length: 5", "Transfer-Encoding: chunked")->fault);
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked")->fault);
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "Transfer-Encoding: gzip, chunked")->fault);
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "Content-Length: +5")->fault);
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "Content-Length: -5")->fault);
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "Content-Length: 99999999999999999999")->fault);
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "Host: i")->fault);
    CHECK(FEED("/", "HTTP/1.1", "KEY_TOKEN: t")->fault);
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "KEY_TOKEN: t", "KEY_TOKEN: u")->fault);
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "Content-Length : 5")->fault);
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "Transfer-Encoding\t: chunked")->fault);
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "X(y): z")->fault);
    CHECK_STR(FEED("/", "HTTP/1.1", "Host: h", "Content-Language: en", "X-Host: y")->fault, NULL);
    CHECK(FEED("/a%00b", "HTTP/1.1", "Host: h")->fault);
    CHECK_STR(FEED("/a?b=%00", "HTTP/1.1", "Host: h")->fault, NULL); /* parameters are the toolkit's to judge */
    struct sv_request *r = sv_arena_alloc(a, sizeof(*r));
    r->arena = a;
    r->server = &server;
    sv_head_begin(r, "/");
    sv_head_field(r, "Host", 4, "a\0b", 3);
    sv_head_end(r, "GET", "HTTP/1.1");
    CHECK(r->fault);
}

static void blanks_do_not_count(void)
{
    setup();
    struct sv_request *r =
        FEED("/", "HTTP/1.1", "HOST:\t h \t", "KEY_TOKEN:t\t ", "content-length:  12 ", "Expect: x, 100-Continue ",
             "Connection: keep-alive", "connection:  Upgrade\t", "Idempotency-Key:  ", "X: a\tb");
    CHECK_STR(r->fault, NULL);
    CHECK_STR(r->host, "h");
    CHECK_STR(r->tokens[0], "t");
    CHECK_STR(r->idempotency_key, "");
    CHECK_STR(r->connection_options, "keep-alive, Upgrade");
    CHECK_INT(r->length, 12);
    CHECK(r->expects);
    CHECK_STR(FEED("/", "HTTP/1.1", "Host: h", "key-Token: t")->tokens[0], "t");
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "KEY-TOKEN: t", "KEY_TOKEN: u")->fault);
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "KEYXTOKEN: t")->tokens[0] == NULL);
    CHECK(!FEED("/", "HTTP/1.0", "Expect: 100-continue")->expects);
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "X: a\rb")->fault);
    CHECK(FEED("/", "HTTP/1.0", "Transfer-Encoding: chunked")->fault);
}

static const struct {
    const char *host;
    bool ok;
} hosts[] = {
    {"", true},      {"h", true},        {"h:80", true},    {"h:", true},        {"127.0.0.1:1", true},
    {"[::1]", true}, {"[::1]:80", true}, {"a_b.c-d", true}, {"%41", true},       {"a b", false},
    {"a/b", false},  {"u@h", false},     {"h:x", false},    {"[::1", false},     {"[::1]x", false},
    {"[]", false},   {"h:80:80", false}, {"a?b", false},    {"\xc3\xa4", false},
};

static void host_values(void)
{
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
        if (sv_uri_host_ok(hosts[i].host, strlen(hosts[i].host)) != hosts[i].ok)
            check_failed(__FILE__, __LINE__, "Host '%s'", hosts[i].host);
}

static const struct {
    const char *target, *path, *query, *authority; /* path NULL: refused */
} targets[] = {
    {"/", "/", NULL, NULL},
    {"/a?", "/a", "", NULL},
    {"/a?b?c=%41", "/a", "b?c=%41", NULL},
    {"/%41%7e%c3%A4/b", "/A~\xc3\xa4/b", NULL, NULL},
    {"/a%2Fb%2fc", "/a%2Fb%2fc", NULL, NULL},
    {"//a/../b", "//a/../b", NULL, NULL},
    {"http://h", "/", NULL, "h"},
    {"HTTPS://h:8/x?y", "/x", "y", "h:8"},
    {"http://h?y", "/", "y", "h"},
    {"http://[::1]:8/x", "/x", NULL, "[::1]:8"},
    {"*", "*", NULL, NULL},
    {"/\xe4", "/\xe4", NULL, NULL},
    {"", NULL, NULL, NULL},
    {"a", NULL, NULL, NULL},
    {"h:80", NULL, NULL, NULL},
    {"http:///x", NULL, NULL, NULL},
    {"http://:80/", NULL, NULL, NULL},
    {"http://u@h/", NULL, NULL, NULL},
    {"ftp://h/", NULL, NULL, NULL},
    {"/a b", NULL, NULL, NULL},
    {"/a\tb", NULL, NULL, NULL},
    {"/a#b", NULL, NULL, NULL},
    {"/%", NULL, NULL, NULL},
    {"/%4", NULL, NULL, NULL},
    {"/%4g", NULL, NULL, NULL},
    {"/a%00b", NULL, NULL, NULL},
    {"*?", NULL, NULL, NULL},
};

static void target_forms(void)
{
    setup();
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct sv_uri u;
        const char *why = sv_uri_parse(a, targets[i].target, &u);
        if (!why != (targets[i].path != NULL))
            check_failed(__FILE__, __LINE__, "'%s': %s", targets[i].target, why ? why : "not refused");
        if (why)
            continue;
        CHECK_STR(u.path, targets[i].path);
        CHECK_STR(u.query, targets[i].query);
        CHECK_STR(u.authority, targets[i].authority);
    }
    CHECK_STR(FEED("http://other:8/x", "HTTP/1.1", "Host: h")->host, "other:8");
    CHECK(FEED("http://other/x", "HTTP/1.1", "X: y")->fault); /* the field must be there all the same */
    CHECK(FEED("*", "HTTP/1.1", "Host: h")->fault);           /* of OPTIONS only */
}

static const struct {
    const char *list;
    enum sv_lang lang;
} languages[] = {
    {NULL, SV_LANG_ZH},
    {"", SV_LANG_ZH},
    {"en", SV_LANG_EN},
    {"EN-gb", SV_LANG_EN},
    {"fr, en", SV_LANG_EN},
    {"zh, en", SV_LANG_ZH},
    {"en, zh", SV_LANG_EN},
    {"zh;q=0.1, en;q=0.9", SV_LANG_EN},
    {"zh-CN ; Q=0.5 ,, en-US;q=0.501", SV_LANG_EN},
    {"en;q=0.3, zh-TW;q=0.7", SV_LANG_ZH},
    {"en;q=0", SV_LANG_ZH},
    {"en;q=0, *", SV_LANG_ZH},
    {"zh;q=0, *;q=0.1", SV_LANG_EN},
    {"zh;q=0.2, *", SV_LANG_EN},
    {"*", SV_LANG_ZH},
    {"*;q=0.5, en;q=0.4", SV_LANG_ZH},
    {"english, zhx", SV_LANG_ZH},
    {"fr", SV_LANG_ZH},
    {"zh;q=0,en;q=0", SV_LANG_ZH},
    {"en;q=1.000,zh", SV_LANG_EN},
    {"zh;q=0.001,en;q=0.002", SV_LANG_EN},
};

static void language_weights(void)
{
    for (size_t i = 0; i < sizeof(languages) / sizeof(languages[0]); i++)
        if (sv_language_of(languages[i].list) != languages[i].lang)
            check_failed(__FILE__, __LINE__, "Accept-Language '%s'", languages[i].list ? languages[i].list : "-");
}

static void long_path(void)
{
    char uri[2001];
    setup();
    memset(uri, 'a', sizeof(uri) - 1);
    uri[0] = '/';
    uri[sizeof(uri) - 1] = '\0';
    CHECK(FEED(uri, "HTTP/1.1", "Host: h")->fault);
    uri[500] = '?';
    CHECK_STR(FEED(uri, "HTTP/1.1", "Host: h")->fault, NULL);
}

static const struct sv_route plain = {SV_FIELDS(SV_TEXT("vm.id"), SV_TEXT("app.token"), SV_TEXT("vm.vncpasswd"))};
static const struct sv_route token = {SV_FIELDS(SV_TEXT("app.id"), SV_TEXT("x", .flags = SV_O_SECRET))};
static const struct sv_reply_row inner[] = {SV_TEXT("y", .flags = SV_O_OURS | SV_O_SECRET), {0}};
static const struct sv_route deep = {SV_FIELDS(SV_OBJS("list", inner))};
static const struct sv_route nothing = {.fields = NULL};

/* The row says so, and never the name. */
static void secrets_are_known(void)
{
    CHECK(!sv_route_secret(&plain) && !sv_route_secret(&nothing));
    CHECK(sv_route_secret(&token) && sv_route_secret(&deep));
    sv_arena_free(a);
    sv_api_free((struct sv_api *)(uintptr_t)server.api);
}

CHECK_MAIN(T(good), T(smuggling), T(blanks_do_not_count), T(host_values), T(target_forms), T(language_weights),
           T(long_path), T(secrets_are_known))
