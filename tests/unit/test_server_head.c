#include "check.h"
#include "server/dispatch.h"
#include "server/head.h"

/* Feeds a head of "Name: value" lines, NULL-terminated. */
static struct sv_request *feed(struct sv_arena *a, const char *uri, const char *version, const char *const *lines)
{
    struct sv_request *r = sv_arena_alloc(a, sizeof(*r));
    r->arena = a;
    sv_head_begin(r, uri);
    for (; *lines; lines++) {
        const char *colon = strchr(*lines, ':');
        sv_head_field(r, *lines, (size_t)(colon - *lines), colon + 2, strlen(colon + 2));
    }
    sv_head_end(r, version);
    return r;
}
#define FEED(uri, version, ...) feed(a, uri, version, (const char *const[]){__VA_ARGS__, NULL})

static struct sv_arena *a;

static void setup(void)
{
    sv_arena_free(a);
    a = sv_arena_new();
}

static void good(void)
{
    setup();
    struct sv_request *r = FEED("/x?since=1", "HTTP/1.1", "host: h", "key_token: t", "Content-Length: 12",
                                "Content-Type: text/x", "Idempotency-Key: k", "Accept-Language: fr, en-GB;q=0.8, zh");
    CHECK_STR(r->fault, NULL);
    CHECK_STR(r->token, "t");
    CHECK_STR(r->query, "since=1");
    CHECK_STR(r->content_type, "text/x");
    CHECK_STR(r->idempotency_key, "k");
    CHECK_INT(r->length, 12);
    CHECK_INT(r->lang, SV_LANG_EN);
    CHECK(!r->proxied);
    setup();
    r = FEED("/x", "HTTP/1.1", "Host: h", "Accept-Language: zh-CN,en;q=0.5", "KEY_TOKEN: same", "KEY_TOKEN: same",
             "X-Forwarded-For: 1.2.3.4");
    CHECK_STR(r->fault, NULL);
    CHECK_INT(r->lang, SV_LANG_ZH);
    CHECK_INT(r->length, -1);
    CHECK(r->proxied && r->query == NULL);
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
    /* what the library makes of "Content-Length: 5" and a folded line "0" */
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "Content-Length0: 5")->fault);
    CHECK(FEED("/", "HTTP/1.1", "Host: h", "transfer-encodingchunked: ")->fault);
    CHECK_STR(FEED("/", "HTTP/1.1", "Host: h", "Content-Language: en", "X-Host: y")->fault, NULL);
    CHECK(FEED("/a%00b", "HTTP/1.1", "Host: h")->fault);
    CHECK_STR(FEED("/a?b=%00", "HTTP/1.1", "Host: h")->fault, NULL); /* parameters are the toolkit's to judge */
    struct sv_request *r = sv_arena_alloc(a, sizeof(*r));
    r->arena = a;
    sv_head_begin(r, "/");
    sv_head_field(r, "Host", 4, "a\0b", 3);
    sv_head_end(r, "HTTP/1.1");
    CHECK(r->fault);
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

static const struct sv_route plain = {SV_FIELDS("vm.id", "token.id", "jobstartid", "ceph.keys[]")};
static const struct sv_route token = {SV_FIELDS("app.id", "app.token+")};
static const struct sv_route value = {SV_FIELDS("token.id", "token.value")};
static const struct sv_route vnc = {SV_FIELDS("vm.vncpasswd+")};
static const struct sv_route nothing = {.fields = NULL};

static void secrets_are_known(void)
{
    CHECK(!sv_route_secret(&plain) && !sv_route_secret(&nothing));
    CHECK(sv_route_secret(&token) && sv_route_secret(&value) && sv_route_secret(&vnc));
    sv_arena_free(a);
}

CHECK_MAIN(T(good), T(smuggling), T(long_path), T(secrets_are_known))
