#include "cli/cli.h"
#include "starvirt/limits.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONNECT_S = 10, REPLY_S = SV_MAX_WAIT_S + 30, REPLY_MAX = 256 * 1024 * 1024 };

struct exchange {
    CURL *curl;
    struct curl_slist *headers;
    struct sv_buf body, reply;
    FILE *file;
    const char *file_name;
    int64_t percent; /* of the file, as shown */
    char why[CURL_ERROR_SIZE];
};

static void end_exchange(struct exchange *x)
{
    curl_slist_free_all(x->headers);
    if (x->curl)
        curl_easy_cleanup(x->curl);
    if (x->file)
        fclose(x->file);
    sv_buf_free(&x->body);
    sv_buf_free(&x->reply);
}

static size_t take(char *p, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;
    if (x->reply.n + size * n > REPLY_MAX)
        return 0;
    sv_buf_add(&x->reply, p, size * n);
    return size * n;
}

static void add_header(struct exchange *x, const char *name, const char *value)
{
    SV_AUTOFREE char *line = sv_asprintf("%s: %s", name, value);
    x->headers = curl_slist_append(x->headers, line);
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ')
            return true;
    return false;
}

static bool add_headers(struct exchange *x, const struct sv_settings *s, const struct sv_token_row *t)
{
    if ((s->token && has_control(s->token)) || (s->idempotency_key && has_control(s->idempotency_key))) {
        fputs("starvirt: a token or key has control characters\n", stderr);
        return false;
    }
    if (s->token && t->header) {
        SV_AUTOFREE char *value = sv_asprintf("%s%s%s", t->scheme ? t->scheme : "", t->scheme ? " " : "", s->token);
        add_header(x, t->header, value);
    }
    if (s->idempotency_key)
        add_header(x, "Idempotency-Key", s->idempotency_key);
    add_header(x, "Accept-Language", strcmp(s->lang, "zh") == 0 ? "zh" : "en");
    return true;
}

/* A proxy of the environment is no way to a server on this machine. */
static bool is_loopback(const char *server)
{
    const char *host = strstr(server, "://");
    host = host ? host + 3 : server;
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 || strncmp(host, "[::1]", 5) == 0;
}

static void set_common(struct exchange *x, const struct sv_settings *s, const char *path)
{
    size_t n = strlen(s->server);
    while (n > 0 && s->server[n - 1] == '/')
        n--;
    SV_AUTOFREE char *url = sv_asprintf("%.*s%s", (int)n, s->server, path);
    curl_easy_setopt(x->curl, CURLOPT_URL, url);
    curl_easy_setopt(x->curl, CURLOPT_ERRORBUFFER, x->why);
    curl_easy_setopt(x->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(x->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(x->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, x->headers);
    curl_easy_setopt(x->curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(x->curl, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(x->curl, CURLOPT_USERAGENT, "starvirt/" STARVIRT_VERSION);
    if (is_loopback(s->server))
        curl_easy_setopt(x->curl, CURLOPT_PROXY, "");
    if (s->cacert)
        curl_easy_setopt(x->curl, CURLOPT_CAINFO, s->cacert);
}

/* How much of a file has gone over; each percent once. */
static int show_sent(void *arg, curl_off_t down_all, curl_off_t down, curl_off_t all, curl_off_t sent)
{
    struct exchange *x = arg;
    const int64_t percent = all > 0 && sent <= all ? (int64_t)((double)sent * 100 / (double)all) : -1;
    (void)down_all, (void)down;
    if (percent != x->percent && percent >= 0)
        sv_bar_show(percent, x->file_name);
    x->percent = percent >= 0 ? percent : x->percent;
    return 0;
}

static void set_bar(struct exchange *x, const struct sv_settings *s)
{
    if (isatty(STDERR_FILENO) != 1)
        return;
    x->file_name = s->file;
    x->percent = -1;
    curl_easy_setopt(x->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(x->curl, CURLOPT_XFERINFOFUNCTION, show_sent);
    curl_easy_setopt(x->curl, CURLOPT_XFERINFODATA, x);
}

static bool set_file(struct exchange *x, const struct sv_settings *s)
{
    struct stat st;
    if (!s->file) {
        fputs("starvirt: this operation takes a file: --file FILE\n", stderr);
        return false;
    }
    x->file = fopen(s->file, "re");
    if (!x->file || fstat(fileno(x->file), &st) < 0) {
        fprintf(stderr, "starvirt: %s: %s\n", s->file, strerror(errno));
        return false;
    }
    add_header(x, "Content-Type", "application/octet-stream");
    curl_easy_setopt(x->curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(x->curl, CURLOPT_READDATA, x->file);
    if (S_ISREG(st.st_mode))
        curl_easy_setopt(x->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)st.st_size);
    set_bar(x, s);
    return true;
}

/* The body; the time limit only where no file has to go over first. */
static bool set_body(struct exchange *x, const struct sv_settings *s, const struct sv_target *t)
{
    if (t->route->raw_body)
        return set_file(x, s);
    add_header(x, "Expect", ""); /* no 100-continue for small bodies */
    curl_easy_setopt(x->curl, CURLOPT_TIMEOUT, (long)REPLY_S);
    if (strcmp(t->route->method, "GET") == 0 || strcmp(t->route->method, "DELETE") == 0)
        return true;
    sv_client_body(t->dialect->wire, t->route, t->pairs, t->n, &x->body);
    add_header(x, "Content-Type", t->dialect->wire->client_type ? t->dialect->wire->client_type : "application/json");
    curl_easy_setopt(x->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body.n);
    curl_easy_setopt(x->curl, CURLOPT_POSTFIELDS, x->body.p);
    return true;
}

/* What somebody whose connection failed this way wants to know next, where the library's words leave it open. */
static const struct hint {
    CURLcode code;
    bool https;           /* asked for */
    const char *mentions; /* the library's words; NULL = any */
    const char *text;
} hints[] = {
    {CURLE_PEER_FAILED_VERIFICATION, true, "host name", "the certificate is for another name; --server has to use its"},
    {CURLE_PEER_FAILED_VERIFICATION, true, NULL,
     "--cacert FILE (or $STARVIRT_CACERT) names whom to trust: the server's certificate, or that of who signed it"},
    {CURLE_SSL_CACERT_BADFILE, true, NULL, "--cacert has to name a file of certificates in PEM form"},
    {CURLE_SSL_CONNECT_ERROR, true, NULL, "is it a server with --tls-cert? Without it speaks http://"},
    {CURLE_COULDNT_CONNECT, true, NULL, "is starvirtd running? --server URL (or $STARVIRT_SERVER) says where"},
    {CURLE_COULDNT_CONNECT, false, NULL, "is starvirtd running? --server URL (or $STARVIRT_SERVER) says where"},
    {CURLE_UNSUPPORTED_PROTOCOL, false, NULL, "a server with --tls-cert speaks https://"},
    {CURLE_WEIRD_SERVER_REPLY, false, NULL, "a server with --tls-cert speaks https://"},
    {CURLE_GOT_NOTHING, false, NULL, "a server with --tls-cert speaks https://"},
    {CURLE_RECV_ERROR, false, NULL, "a server with --tls-cert speaks https://"},
};

static const char *hint_of(const struct exchange *x, const struct sv_settings *s, CURLcode code)
{
    const bool https = strncasecmp(s->server, "https://", 8) == 0;
    for (const struct hint *h = hints; h < hints + sizeof(hints) / sizeof(hints[0]); h++)
        if (h->code == code && h->https == https && (!h->mentions || strstr(x->why, h->mentions)))
            return h->text;
    return NULL;
}

static void complain(const struct exchange *x, const struct sv_settings *s, CURLcode code)
{
    const char *hint = hint_of(x, s, code);
    fprintf(stderr, "starvirt: %s: ", s->server);
    sv_print_clean(stderr, x->why[0] ? x->why : curl_easy_strerror(code));
    fputc('\n', stderr);
    if (hint)
        fprintf(stderr, "starvirt: %s\n", hint);
}

/* Who refuses a file says so while it comes, and reads on for a while only. */
static bool was_answered(const struct exchange *x, CURLcode code)
{
    return code == CURLE_OK || (x->reply.n > 0 && (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR));
}

static bool perform(struct exchange *x, const struct sv_settings *s, bool quiet, struct sv_answer *ret)
{
    CURLcode code = curl_easy_perform(x->curl);
    if (x->file_name)
        sv_bar_clear();
    if (!was_answered(x, code)) {
        if (!quiet)
            complain(x, s, code);
        return false;
    }
    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &ret->status);
    ret->raw = sv_arena_strndup(s->arena, x->reply.p ? x->reply.p : "", x->reply.n);
    return true;
}

static void read_envelope(const struct exchange *x, const struct sv_settings *s, const struct sv_wire *w,
                          struct sv_answer *ret)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf compact = {0}, pretty = {0};
    if (!x->reply.p || !sv_client_reply(w, (int)ret->status, x->reply.p, x->reply.n, false, &compact, &ret->ok) ||
        !sv_client_reply(w, (int)ret->status, x->reply.p, x->reply.n, true, &pretty, &ret->ok))
        return;
    ret->root = sv_node_parse(compact.p, s->arena);
    if (!ret->root)
        return;
    ret->json = sv_arena_strndup(s->arena, compact.p, compact.n);
    ret->pretty = sv_arena_strndup(s->arena, pretty.p, pretty.n);
}

bool sv_client_call(struct sv_settings *s, const struct sv_target *t, bool quiet, struct sv_answer *ret)
{
    SV_CLEANUP(end_exchange) struct exchange x = {.curl = curl_easy_init()};
    SV_CLEANUP(sv_buf_free) struct sv_buf path = {0};
    *ret = (struct sv_answer){0};
    if (!x.curl || !sv_target_url(t, &path) || !add_headers(&x, s, t->dialect->wire->tokens) || !set_body(&x, s, t))
        return false;
    set_common(&x, s, path.p);
    curl_easy_setopt(x.curl, CURLOPT_CUSTOMREQUEST, t->route->method);
    if (!perform(&x, s, quiet, ret))
        return false;
    read_envelope(&x, s, t->dialect->wire, ret);
    return true;
}
