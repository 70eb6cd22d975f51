#include "server/head.h"
#include "server/language.h"
#include "server/uri.h"
#include "server/websocket.h"
#include "starvirt/limits.h"

#include <ctype.h>
#include <stddef.h>
#include <strings.h>

static void refuse(struct sv_request *r, const char *why)
{
    if (!r->fault)
        r->fault = why;
}

void sv_head_unframe(struct sv_request *r, const char *why)
{
    r->unframed = true;
    refuse(r, why);
}

void sv_head_begin(struct sv_request *r, const char *uri)
{
    struct sv_uri u;
    const char *why = sv_uri_parse(r->arena, uri, &u);
    r->length = -1;
    r->lang = SV_LANG_ZH;
    r->path = u.path;
    r->query = u.query;
    r->authority = u.authority;
    if (why)
        refuse(r, why);
}

/* --- the fields -------------------------------------------------------------------------------------- */

static void take_host(struct sv_request *r, const char *v, bool seen)
{
    if (seen)
        refuse(r, "two Host headers");
    if (!sv_uri_host_ok(v, strlen(v)))
        refuse(r, "Host");
    r->host = v;
}

static void take_length(struct sv_request *r, const char *v, bool seen)
{
    if (seen)
        sv_head_unframe(r, "two Content-Length headers");
    else if (v[strspn(v, "0123456789")] != '\0' || !sv_parse_int(v, &r->length) || r->length < 0)
        sv_head_unframe(r, "Content-Length");
}

static void take_encoding(struct sv_request *r, const char *v, bool seen)
{
    if (seen || strcasecmp(v, "chunked") != 0)
        sv_head_unframe(r, "Transfer-Encoding");
    r->chunked = true;
}

/* Others are ignored, as RFC 9110 10.1.1 allows. */
static void take_expect(struct sv_request *r, const char *v, bool seen)
{
    (void)seen;
    r->expects = r->expects || sv_ws_lists(v, "100-continue");
}

/* A field with a function of its own, or text that comes once, or (`twice` NULL) a list over any number of lines. */
struct field {
    const char *name;
    void (*take)(struct sv_request *r, const char *value, bool seen);
    size_t slot; /* into struct sv_request */
    const char *twice;
};
#define AT(m) offsetof(struct sv_request, m)
static const struct field fields[] = {
    {.name = "Host", .take = take_host},
    {.name = "Content-Length", .take = take_length},
    {.name = "Transfer-Encoding", .take = take_encoding},
    {.name = "Content-Type", .slot = AT(content_type), .twice = "two Content-Type headers"},
    {.name = "Idempotency-Key", .slot = AT(idempotency_key), .twice = "two Idempotency-Key headers"},
    {.name = "Accept-Language", .slot = AT(languages)},
    {.name = "Expect", .take = take_expect},
    {.name = "X-Forwarded-For", .slot = AT(x_forwarded_for)},
    {.name = "Forwarded", .slot = AT(forwarded)},
    {.name = "Origin", .slot = AT(origin), .twice = "two Origin headers"},
    {.name = "Access-Control-Request-Method", .slot = AT(asks_method)},
    {.name = "Upgrade", .slot = AT(upgrade)},
    {.name = "Connection", .slot = AT(connection_options)},
    {.name = "Sec-WebSocket-Key", .slot = AT(ws_key), .twice = "two Sec-WebSocket-Key headers"},
    {.name = "Sec-WebSocket-Version", .slot = AT(ws_version), .twice = "two Sec-WebSocket-Version headers"},
    {.name = "Sec-WebSocket-Protocol", .slot = AT(ws_protocols)},
};
enum { FIELD_COUNT = sizeof(fields) / sizeof(fields[0]), FIELD_HOST = 0 };
_Static_assert((unsigned)FIELD_COUNT <= (unsigned)SV_HEAD_FIELDS, "seen[] is too small");

/* Lines of one list are one list (RFC 9110 5.3). */
static void take_field(struct sv_request *r, const struct field *f, const char *value, bool seen)
{
    const char **slot = (const char **)(void *)((char *)r + f->slot);
    if (f->take) {
        f->take(r, value, seen);
        return;
    }
    if (seen && f->twice)
        refuse(r, f->twice);
    *slot = seen ? sv_arena_printf(r->arena, "%s, %s", *slot, value) : value;
}

/* --- names and values ------------------------------------------------------------------------------------ */

/* The characters of a field name (RFC 9110 5.6.2): no blank before the colon. */
static bool is_token(const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (name[i] <= ' ' || name[i] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", name[i]))
            return false;
    return n > 0;
}

static bool is_name(const char *row, const char *name, size_t n)
{
    return strlen(row) == n && strncasecmp(row, name, n) == 0;
}

/* Proxies drop names with an underscore (nginx as it comes): a hyphen stands for it, too. */
static bool is_token_name(const char *row, const char *name, size_t n)
{
    if (strlen(row) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (tolower((unsigned char)row[i]) != tolower((unsigned char)name[i]) && !(row[i] == '_' && name[i] == '-'))
            return false;
    return true;
}

/* A header that carries a token in some dialect: which one counts is known when the path is. */
static bool take_token(struct sv_request *r, const char *name, size_t n, const char *value)
{
    const char *const *row = sv_api_token_headers(r->server->api);
    for (unsigned i = 0; row[i]; i++) {
        if (!is_token_name(row[i], name, n))
            continue;
        if (r->tokens[i] && strcmp(r->tokens[i], value) != 0)
            refuse(r, "two headers with different tokens");
        r->tokens[i] = value;
        return true;
    }
    return false;
}

/* Without the blanks around it, which are none of a value's (RFC 9110 5.5); NULL: it has control characters. */
static const char *clean(struct sv_request *r, const char *value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)value[i] < ' ' && value[i] != '\t') || value[i] == 0x7f)
            return NULL;
    while (n > 0 && strchr(" \t", *value))
        value++, n--;
    if (n == 0 || !strchr(" \t", value[n - 1]))
        return n ? value : "";
    while (strchr(" \t", value[n - 1]))
        n--;
    return sv_arena_strndup(r->arena, value, n);
}

void sv_head_field(struct sv_request *r, const char *name, size_t name_len, const char *value, size_t value_len)
{
    if (!is_token(name, name_len)) {
        sv_head_unframe(r, "name of a header");
        return;
    }
    value = clean(r, value ? value : "", value ? value_len : 0);
    if (!value) {
        sv_head_unframe(r, "control character in a header");
        return;
    }
    if (take_token(r, name, name_len, value))
        return;
    for (unsigned i = 0; i < FIELD_COUNT; i++)
        if (is_name(fields[i].name, name, name_len)) {
            take_field(r, &fields[i], value, r->seen[i]);
            r->seen[i] = true;
            return;
        }
}

/* --- the end ------------------------------------------------------------------------------------------ */

void sv_head_framed(struct sv_request *r)
{
    if (r->chunked && r->length >= 0)
        sv_head_unframe(r, "Content-Length with Transfer-Encoding");
}

void sv_head_end(struct sv_request *r, const char *method, const char *version)
{
    const bool old = strcmp(version, "HTTP/1.0") == 0;
    r->method = method;
    r->lang = sv_language_of(r->languages);
    if (!r->seen[FIELD_HOST] && !old)
        refuse(r, "missing Host");
    if (r->chunked && old)
        sv_head_unframe(r, "Transfer-Encoding in HTTP/1.0");
    if (strcmp(r->path, "*") == 0 && strcmp(method, "OPTIONS") != 0)
        refuse(r, "target of the request");
    if (r->authority) /* counts instead of the field (RFC 9112 3.2.2) */
        r->host = r->authority;
    r->expects = r->expects && !old;
}
