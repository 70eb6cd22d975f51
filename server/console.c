#include "server/console.h"
#include "server/answer.h"
#include "server/console_files.h"
#include "server/console_relay.h"
#include "server/console_token.h"
#include "server/http.h"
#include "server/websocket.h"
#include "starvirt/limits.h"
#include "starvirt/log.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

enum {
    HOST_MAX = 255,
    TURN_AWAY = SV_MAX_CONSOLES * 2, /* consoles, with those being told that there are too many */
};

struct sv_consoles {
    char *url; /* NULL = as the client reached us */
    bool tls;
    struct sv_console_tokens *tokens;
    struct sv_relay *relay;
};

enum sv_err sv_consoles_new(struct sv_server *s, const struct sv_console_options *opt, struct sv_consoles **ret,
                            struct sv_error *err)
{
    struct sv_relay *relay = NULL;
    enum sv_err rc = sv_relay_new(s, opt->silence_ms, &relay, err);
    if (rc)
        return rc;
    struct sv_consoles *c = sv_alloc(sizeof(*c));
    *c = (struct sv_consoles){.url = sv_strdup(opt->url), .tls = opt->tls, .relay = relay};
    c->tokens = sv_console_tokens_new(opt->token_ms);
    *ret = c;
    return SV_OK;
}

void sv_consoles_stop(struct sv_consoles *c, int64_t ms)
{
    if (c)
        sv_relay_stop(c->relay, ms);
}

void sv_consoles_free(struct sv_consoles *c)
{
    if (!c)
        return;
    sv_relay_free(c->relay);
    sv_console_tokens_free(c->tokens);
    free(c->url);
    free(c);
}

void sv_consoles_count(struct sv_consoles *c, unsigned *ret_open, uint64_t *ret_total, unsigned *ret_tokens)
{
    *ret_open = sv_relay_open(c->relay);
    *ret_total = sv_relay_total(c->relay);
    *ret_tokens = sv_console_tokens_waiting(c->tokens);
}

/* --- addresses ------------------------------------------------------------------------------------------ */

bool sv_console_host_ok(const char *host)
{
    size_t n = host ? strlen(host) : 0;
    return n > 0 && n <= HOST_MAX && host[0] != ':' &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") == n;
}

static size_t scheme_of(const char *url)
{
    if (strncasecmp(url, "https://", 8) == 0)
        return 8;
    return strncasecmp(url, "http://", 7) == 0 ? 7 : 0;
}

bool sv_console_base_ok(const char *url)
{
    char host[HOST_MAX + 1];
    size_t scheme = scheme_of(url), n = strlen(url), host_n = strcspn(url + scheme, "/");
    if (!scheme || host_n >= sizeof(host) || url[n - 1] == '/')
        return false;
    memcpy(host, url + scheme, host_n);
    host[host_n] = '\0';
    const char *path = url + scheme + host_n;
    return sv_console_host_ok(host) &&
           strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_~/") == strlen(path);
}

/* Browsers leave out the port that goes with the scheme. */
static size_t without_default_port(const char *origin, size_t n)
{
    const char *port = strncasecmp(origin, "https:", 6) == 0 ? ":443" : ":80";
    size_t k = strlen(port);
    return n > k && memcmp(origin + n - k, port, k) == 0 ? n - k : n;
}

bool sv_console_origin_is(const char *origin, const char *base)
{
    size_t n = scheme_of(base);
    n += strcspn(base + n, "/");
    n = without_default_port(base, n);
    return origin && without_default_port(origin, strlen(origin)) == n && strncasecmp(origin, base, n) == 0;
}

/* What clients say of the way they came (X-Forwarded-*) is not believed (threat 27). */
static const char *base_of(const struct sv_request *r)
{
    const struct sv_consoles *c = r->server->consoles;
    if (c->url)
        return c->url;
    if (!sv_console_host_ok(r->host))
        return NULL;
    return sv_arena_printf(r->arena, "http%s://%s", c->tls ? "s" : "", r->host);
}

static const char *escaped(struct sv_arena *a, const char *text)
{
    struct sv_buf b = {0};
    for (const char *p = text; *p; p++) {
        if (isascii(*p) && (isalnum(*p) || strchr("-._~", *p)))
            sv_buf_putc(&b, *p);
        else
            sv_buf_printf(&b, "%%%02X", (unsigned char)*p);
    }
    const char *ret = sv_arena_strndup(a, b.n ? b.p : "", b.n);
    sv_buf_free(&b);
    return ret;
}

const char *sv_console_url(const struct sv_call *call, const struct sv_id *tenant, const struct sv_id *vm,
                           const char *name)
{
    const struct sv_request *r = call->console_arg;
    char token[SV_CONSOLE_TOKEN_LEN + 1];
    const char *base = base_of(r);
    if (!base)
        return NULL;
    sv_console_token_issue(r->server->consoles->tokens, tenant, vm, &call->actor, token);
    const char *url =
        sv_arena_printf(r->arena, "%s/console/#vm=%s&token=%s&name=%s", base, vm->s, token, escaped(r->arena, name));
    explicit_bzero(token, sizeof(token));
    return url;
}

/* --- the web-socket ------------------------------------------------------------------------------------- */

static void refuse(struct sv_request *r, unsigned status, const char *why)
{
    sv_answer_error(r, SV_E_BAD_REQUEST, why);
    r->status = status;
}

/* NULL when it is a proper handshake; else what is wrong with it, and the status that says so. */
static const char *fault_of(const struct sv_request *r, unsigned *ret_status)
{
    *ret_status = 400;
    if (strcmp(r->method, "GET") != 0)
        return "GET";
    if (!sv_ws_lists(r->upgrade, "websocket") || !sv_ws_lists(r->connection_options, "upgrade")) {
        *ret_status = 426;
        return "Upgrade: websocket";
    }
    if (!r->ws_version || strcmp(r->ws_version, SV_WS_VERSION) != 0) {
        *ret_status = 426;
        return "Sec-WebSocket-Version: " SV_WS_VERSION;
    }
    if (!sv_ws_lists(r->ws_protocols, "binary"))
        return "Sec-WebSocket-Protocol: binary";
    const char *base = base_of(r);
    if (base && sv_console_origin_is(r->origin, base))
        return NULL;
    *ret_status = 403;
    return "Origin";
}

static void taken(struct sv_request *r, const struct sv_taken *t)
{
    struct sv_relay_client c = {
        .tenant = r->console_tenant, .vm = r->console_vm, .actor = r->actor, .token_seen = r->token_seen, .socket = *t};
    SV_COPY(c.request, r->id);
    sv_relay_add(r->server->consoles->relay, &c);
}

static enum sv_err still_good(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_request *r = arg;
    return sv_auth_again(tx, &r->actor, err);
}

/* The token in the address, and the token that it was asked with. */
static enum sv_err check_tokens(struct sv_request *r, struct sv_error *err)
{
    char token[SV_CONSOLE_TOKEN_LEN + 1];
    r->token_seen = sv_begun_seen(r->server->begun);
    const char *vm = strrchr(r->path, '/') + 1;
    if (!sv_id_read(vm, strlen(vm), &r->console_vm))
        r->console_vm = (struct sv_id){""};
    if (!sv_ws_protocol_value(r->ws_protocols, "token.", SV_CONSOLE_TOKEN_LEN, token) ||
        !sv_console_token_redeem(r->server->consoles->tokens, token, &r->console_vm, &r->console_tenant, &r->actor))
        return sv_fail(err, SV_E_CONSOLE_TOKEN, SV_F_NONE);
    return sv_db_read(r->server->db, still_good, r, err);
}

void sv_console_connect(struct sv_request *r)
{
    struct sv_consoles *c = r->server->consoles;
    char accept[SV_WS_ACCEPT_LEN + 1];
    struct sv_error err = {0};
    unsigned status;
    const char *fault = fault_of(r, &status);
    if (!fault && !sv_ws_accept(r->ws_key, accept))
        fault = "Sec-WebSocket-Key";
    if (fault) {
        refuse(r, status, fault);
        return;
    }
    if (sv_relay_open(c->relay) >= TURN_AWAY) {
        sv_answer_error(r, SV_E_OVERLOADED, "consoles");
        return;
    }
    if (check_tokens(r, &err) != SV_OK) {
        sv_answer_failure(r, &err);
        r->status = 403;
        return;
    }
    SV_COPY(r->ws_accept, accept);
    r->status = 101;
    r->take = taken;
}

/* --- the page --------------------------------------------------------------------------------------------- */

/* Its own scripts, its own style, its own web-socket; images are the pointer that a guest draws. */
static const char page_csp[] = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                               "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

void sv_console_file(struct sv_request *r)
{
    const char *name = r->path + strlen("/console/");
    for (const struct sv_console_file *f = sv_console_files; f->path; f++)
        if (strcmp(f->path, name) == 0) {
            r->fixed = f->text;
            r->fixed_len = f->size;
            r->type = f->type;
            r->csp = page_csp;
            r->cache = f->lasting ? "max-age=3600" : "no-cache";
            return;
        }
    sv_answer_error(r, SV_E_NOT_FOUND, r->path);
}
