#include "server/head.h"
#include "starvirt/limits.h"

#include <strings.h>

static void fault(struct sv_request *r, const char *why)
{
    if (!r->fault)
        r->fault = why;
}

void sv_head_begin(struct sv_request *r, const char *uri)
{
    const char *mark = strchr(uri, '?');
    size_t path_len = mark ? (size_t)(mark - uri) : strlen(uri);
    r->length = -1;
    r->lang = SV_LANG_ZH;
    if (mark)
        r->query = sv_arena_strdup(r->arena, mark + 1);
    if (path_len > SV_MAX_PATH)
        fault(r, "path too long");
    if (memmem(uri, path_len, "%00", 3))
        fault(r, "NUL in path");
}

static void take_host(struct sv_request *r, const char *v, bool *seen)
{
    if (*seen)
        fault(r, "two Host headers");
    r->host = v;
}

static void take_length(struct sv_request *r, const char *v, bool *seen)
{
    if (*seen)
        fault(r, "two Content-Length headers");
    else if (!sv_parse_int(v, &r->length) || r->length < 0)
        fault(r, "Content-Length");
}

static void take_encoding(struct sv_request *r, const char *v, bool *seen)
{
    if (*seen || strcasecmp(v, "chunked") != 0)
        fault(r, "Transfer-Encoding");
    r->chunked = true;
}

static void take_token(struct sv_request *r, const char *v, bool *seen)
{
    if (*seen && strcmp(r->token, v) != 0)
        fault(r, "two KEY_TOKEN headers");
    r->token = v;
}

static void take_type(struct sv_request *r, const char *v, bool *seen)
{
    if (*seen)
        fault(r, "two Content-Type headers");
    r->content_type = v;
}

static void take_idempotency(struct sv_request *r, const char *v, bool *seen)
{
    if (*seen)
        fault(r, "two Idempotency-Key headers");
    r->idempotency_key = v;
}

/* The first language of the list that we have. */
static void take_language(struct sv_request *r, const char *v, bool *seen)
{
    if (*seen)
        return;
    while (*v) {
        v += strspn(v, " \t,");
        if (strncasecmp(v, "en", 2) == 0 || strncasecmp(v, "zh", 2) == 0) {
            r->lang = strncasecmp(v, "en", 2) == 0 ? SV_LANG_EN : SV_LANG_ZH;
            return;
        }
        v += strcspn(v, ",");
    }
}

static void take_expect(struct sv_request *r, const char *v, bool *seen)
{
    (void)v;
    (void)seen;
    r->expects = true;
}

static void take_proxy(struct sv_request *r, const char *v, bool *seen)
{
    (void)v;
    (void)seen;
    r->proxied = true;
}

/* Those of a web-socket's handshake. */
static void take_once(struct sv_request *r, const char **slot, const char *v, const bool *seen, const char *why)
{
    if (*seen)
        fault(r, why);
    *slot = v;
}

static void take_origin(struct sv_request *r, const char *v, bool *seen)
{
    take_once(r, &r->origin, v, seen, "two Origin headers");
}

static void take_upgrade(struct sv_request *r, const char *v, bool *seen)
{
    (void)seen;
    r->upgrade = v;
}

static void take_connection(struct sv_request *r, const char *v, bool *seen)
{
    (void)seen;
    r->connection_options = v;
}

static void take_ws_key(struct sv_request *r, const char *v, bool *seen)
{
    take_once(r, &r->ws_key, v, seen, "two Sec-WebSocket-Key headers");
}

static void take_ws_version(struct sv_request *r, const char *v, bool *seen)
{
    take_once(r, &r->ws_version, v, seen, "two Sec-WebSocket-Version headers");
}

static void take_ws_protocols(struct sv_request *r, const char *v, bool *seen)
{
    r->ws_protocols = *seen ? sv_arena_printf(r->arena, "%s, %s", r->ws_protocols, v) : v;
}

static const struct {
    const char *name;
    void (*take)(struct sv_request *r, const char *value, bool *seen);
} fields[] = {
    {"Host", take_host},
    {"Content-Length", take_length},
    {"Transfer-Encoding", take_encoding},
    {"KEY_TOKEN", take_token},
    {"Content-Type", take_type},
    {"Idempotency-Key", take_idempotency},
    {"Accept-Language", take_language},
    {"Expect", take_expect},
    {"X-Forwarded-For", take_proxy},
    {"Forwarded", take_proxy},
    {"Via", take_proxy},
    {"Origin", take_origin},
    {"Upgrade", take_upgrade},
    {"Connection", take_connection},
    {"Sec-WebSocket-Key", take_ws_key},
    {"Sec-WebSocket-Version", take_ws_version},
    {"Sec-WebSocket-Protocol", take_ws_protocols},
};
enum { FIELD_COUNT = sizeof(fields) / sizeof(fields[0]), FIELD_HOST = 0 };
_Static_assert((unsigned)FIELD_COUNT <= (unsigned)SV_HEAD_FIELDS, "seen[] is too small");

/* The characters of a field name (RFC 9110 5.6.2): no blank before the colon. */
static bool is_token(const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (name[i] <= ' ' || name[i] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", name[i]))
            return false;
    return n > 0;
}

/* The HTTP library sticks a folded line to the name of its field: "Content-Length: 5" CRLF " 0" arrives as
 * "Content-Length0". A proxy before us may have read another length than we did. */
static bool is_folded_framing(const char *name, size_t n)
{
    static const char *const framing[] = {"Content-Length", "Transfer-Encoding", "Host", "KEY_TOKEN"};
    for (size_t i = 0; i < sizeof(framing) / sizeof(framing[0]); i++) {
        size_t k = strlen(framing[i]);
        if (n > k && strncasecmp(name, framing[i], k) == 0)
            return true;
    }
    return false;
}

void sv_head_field(struct sv_request *r, const char *name, size_t name_len, const char *value, size_t value_len)
{
    if (!value)
        value = "";
    if (memchr(name, '\0', name_len) || memchr(value, '\0', value_len)) {
        fault(r, "NUL in a header");
        return;
    }
    if (!is_token(name, name_len) || is_folded_framing(name, name_len)) {
        fault(r, "name of a header");
        return;
    }
    for (unsigned i = 0; i < FIELD_COUNT; i++)
        if (strlen(fields[i].name) == name_len && strncasecmp(fields[i].name, name, name_len) == 0) {
            fields[i].take(r, value, &r->seen[i]);
            r->seen[i] = true;
            return;
        }
}

void sv_head_end(struct sv_request *r, const char *version)
{
    if (r->chunked && r->length >= 0)
        fault(r, "Content-Length with Transfer-Encoding");
    if (!r->seen[FIELD_HOST] && strcmp(version, "HTTP/1.0") != 0)
        fault(r, "missing Host");
}
