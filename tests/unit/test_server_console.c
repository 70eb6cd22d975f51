/* What opens a console: addresses, origins, tokens, and the web-socket's handshake and messages. */
#include "check.h"
#include "server/console.h"
#include "server/console_files.h"
#include "server/console_token.h"
#include "server/websocket.h"
#include "starvirt/mem.h"

/* --- addresses --- */

static void hosts(void)
{
    CHECK(sv_console_host_ok("h") && sv_console_host_ok("a-b.example:8443") && sv_console_host_ok("[::1]:80"));
    CHECK(!sv_console_host_ok(NULL) && !sv_console_host_ok("") && !sv_console_host_ok(":80"));
    CHECK(!sv_console_host_ok("a/b") && !sv_console_host_ok("u@h") && !sv_console_host_ok("a b"));
    CHECK(!sv_console_host_ok("a#b") && !sv_console_host_ok("a?b") && !sv_console_host_ok("a\\b"));
    char longest[257];
    memset(longest, 'a', 256);
    longest[256] = '\0';
    CHECK(!sv_console_host_ok(longest));
}

static void bases(void)
{
    CHECK(sv_console_base_ok("http://h") && sv_console_base_ok("https://h.example:1/p/q"));
    CHECK(!sv_console_base_ok("h") && !sv_console_base_ok("ftp://h") && !sv_console_base_ok("https://"));
    CHECK(!sv_console_base_ok("https://h/") && !sv_console_base_ok("https://h/#x") &&
          !sv_console_base_ok("https://h?x"));
    CHECK(!sv_console_base_ok("https://u@h") && !sv_console_base_ok("https://h/%2e") && !sv_console_base_ok(""));
}

static void origins(void)
{
    CHECK(sv_console_origin_is("http://h:80", "http://h") && sv_console_origin_is("https://h", "https://h:443/p"));
    CHECK(sv_console_origin_is("HTTP://H:1", "http://h:1") && sv_console_origin_is("http://[::1]:5", "http://[::1]:5"));
    CHECK(!sv_console_origin_is(NULL, "http://h") && !sv_console_origin_is("", "http://h"));
    CHECK(!sv_console_origin_is("null", "http://h") && !sv_console_origin_is("http://h", "https://h"));
    CHECK(!sv_console_origin_is("http://h:8", "http://h") && !sv_console_origin_is("http://h:80", "http://h:8"));
    CHECK(!sv_console_origin_is("http://h.evil", "http://h") && !sv_console_origin_is("http://evil", "http://h"));
    CHECK(!sv_console_origin_is("http://h/p", "http://h/p") && !sv_console_origin_is("http://h:443", "https://h"));
}

/* --- tokens --- */

static struct sv_id id(unsigned n)
{
    struct sv_id made;
    snprintf(made.s, sizeof(made.s), "01890a5d-ac96-774b-bcce-%012x", n);
    return made;
}

static const struct sv_actor asker = {.role = SV_ROLE_TENANT};
static struct sv_actor who;

static void tokens_open_once(void)
{
    struct sv_console_tokens *t = sv_console_tokens_new(60000);
    const struct sv_id tenant = id(1), vm = id(2), other = id(3);
    char token[SV_CONSOLE_TOKEN_LEN + 1], second[SV_CONSOLE_TOKEN_LEN + 1];
    struct sv_id found = id(9);

    sv_console_token_issue(t, &tenant, &vm, &asker, token);
    sv_console_token_issue(t, &tenant, &vm, &asker, second);
    CHECK_INT(strlen(token), SV_CONSOLE_TOKEN_LEN);
    CHECK(strcmp(token, second) != 0);
    CHECK_INT(sv_console_tokens_waiting(t), 2);
    CHECK(sv_console_token_redeem(t, token, &vm, &found, &who));
    CHECK_STR(found.s, tenant.s);
    CHECK(!sv_console_token_redeem(t, token, &vm, &found, &who));
    CHECK(!sv_console_token_redeem(t, second, &other, &found, &who));
    CHECK(!sv_console_token_redeem(t, second, &vm, &found, &who)); /* shown at the wrong door */
    CHECK(!sv_console_token_redeem(t, "", &vm, &found, &who));
    CHECK_INT(sv_console_tokens_waiting(t), 0);
    sv_console_tokens_free(t);
}

static void tokens_expire(void)
{
    struct sv_console_tokens *t = sv_console_tokens_new(0);
    const struct sv_id tenant = id(1), vm = id(2);
    char token[SV_CONSOLE_TOKEN_LEN + 1];
    struct sv_id found;

    sv_console_token_issue(t, &tenant, &vm, &asker, token);
    CHECK_INT(sv_console_tokens_waiting(t), 0);
    CHECK(!sv_console_token_redeem(t, token, &vm, &found, &who));
    sv_console_tokens_free(t);
}

/* A tenant that asks for many displaces its own; when all slots are taken, the oldest of all goes. */
static void tokens_are_bounded(void)
{
    struct sv_console_tokens *t = sv_console_tokens_new(60000);
    const struct sv_id vm = id(2), greedy = id(1000);
    char first[SV_CONSOLE_TOKEN_LEN + 1], token[SV_CONSOLE_TOKEN_LEN + 1], own[SV_CONSOLE_TOKEN_LEN + 1];
    struct sv_id found;

    const struct sv_id modest = id(1001);
    sv_console_token_issue(t, &modest, &vm, &asker, first);
    sv_console_token_issue(t, &greedy, &vm, &asker, own);
    for (unsigned i = 0; i < 2 * SV_MAX_CONSOLE_TOKENS; i++)
        sv_console_token_issue(t, &greedy, &vm, &asker, token);
    CHECK_INT(sv_console_tokens_waiting(t), SV_MAX_CONSOLE_TOKENS_EACH + 1);
    CHECK(!sv_console_token_redeem(t, own, &vm, &found, &who) && sv_console_token_redeem(t, token, &vm, &found, &who));
    for (unsigned i = 0; i < SV_MAX_CONSOLE_TOKENS - SV_MAX_CONSOLE_TOKENS_EACH; i++) {
        const struct sv_id each = id(i);
        sv_console_token_issue(t, &each, &vm, &asker, token);
    }
    CHECK_INT(sv_console_tokens_waiting(t), SV_MAX_CONSOLE_TOKENS);
    const struct sv_id last = id(5000);
    sv_console_token_issue(t, &last, &vm, &asker, token);
    CHECK_INT(sv_console_tokens_waiting(t), SV_MAX_CONSOLE_TOKENS);
    CHECK(!sv_console_token_redeem(t, first, &vm, &found, &who) &&
          sv_console_token_redeem(t, token, &vm, &found, &who));
    sv_console_tokens_free(t);
}

/* --- the handshake --- */

static void lists(void)
{
    CHECK(sv_ws_lists("keep-alive, Upgrade", "upgrade") && sv_ws_lists("upgrade", "upgrade"));
    CHECK(sv_ws_lists(" , a ,\tupgrade\t", "upgrade"));
    CHECK(!sv_ws_lists(NULL, "upgrade") && !sv_ws_lists("", "upgrade") && !sv_ws_lists("upgrades", "upgrade"));
    CHECK(!sv_ws_lists("up, grade", "upgrade") && !sv_ws_lists(",,,", "upgrade"));
}

static void accepts(void)
{
    char got[SV_WS_ACCEPT_LEN + 1];
    CHECK(sv_ws_accept("dGhlIHNhbXBsZSBub25jZQ==", got)); /* RFC 6455 section 1.3 */
    CHECK_STR(got, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CHECK(!sv_ws_accept(NULL, got) && !sv_ws_accept("", got) && !sv_ws_accept("dGhlIHNhbXBsZSBub25jZQ=", got));
    CHECK(!sv_ws_accept("dGhlIHNhbXBsZSBub25jZQ===", got) && !sv_ws_accept("dGhlIHNhbXBsZSBub25j ZQ==", got));
    CHECK(!sv_ws_accept("dGhlIHNhbXBsZSBub25j\nQ==", got) && !sv_ws_accept("dGhlIHNhbXBsZSBub25jZQAA", got));
}

static void protocols(void)
{
    char got[5] = "none";
    CHECK(sv_ws_protocol_value("binary, token.abcd", "token.", 4, got));
    CHECK_STR(got, "abcd");
    CHECK(sv_ws_protocol_value("token.1234,binary", "token.", 4, got));
    CHECK_STR(got, "1234");
    CHECK(!sv_ws_protocol_value(NULL, "token.", 4, got) && !sv_ws_protocol_value("binary", "token.", 4, got));
    CHECK(!sv_ws_protocol_value("token.abc", "token.", 4, got) &&
          !sv_ws_protocol_value("token.abcde", "token.", 4, got));
    CHECK(!sv_ws_protocol_value("token.abcd, token.abcd", "token.", 4, got));
    CHECK_STR(got, "1234");
}

/* --- messages, over two buffers --- */

struct wire {
    struct sv_buf in, out, got;
    size_t at, step; /* step: bytes moved at a time, 0 = as many as there are */
    bool blocked, ended;
};

static ssize_t from_wire(void *arg, void *buf, size_t n)
{
    struct wire *w = arg;
    size_t left = w->in.n - w->at;
    if (left == 0)
        return w->ended ? SV_WS_BROKEN : SV_WS_AGAIN;
    n = left < n ? left : n;
    n = w->step && w->step < n ? w->step : n;
    memcpy(buf, w->in.p + w->at, n);
    w->at += n;
    return (ssize_t)n;
}

static ssize_t to_wire(void *arg, const void *buf, size_t n)
{
    struct wire *w = arg;
    if (w->blocked)
        return SV_WS_AGAIN;
    n = w->step && w->step < n ? w->step : n;
    sv_buf_add(&w->out, buf, n);
    return (ssize_t)n;
}

static void on_data(void *arg, const void *p, size_t n)
{
    struct wire *w = arg;
    sv_buf_add(&w->got, p, n);
}

static struct sv_ws *begin(struct wire *w)
{
    static const struct sv_ws_transport t = {.recv = from_wire, .send = to_wire, .data = on_data};
    *w = (struct wire){.at = 0};
    return sv_ws_new(&t, w);
}

static void finish(struct sv_ws *ws, struct wire *w)
{
    sv_ws_free(ws);
    sv_buf_free(&w->in);
    sv_buf_free(&w->out);
    sv_buf_free(&w->got);
}

/* A client's frame; the mask of zeros leaves the payload readable. */
static void client(struct wire *w, unsigned first, const char *payload)
{
    const unsigned char head[6] = {(unsigned char)first, (unsigned char)(0x80 | strlen(payload))};
    sv_buf_add(&w->in, head, sizeof(head));
    sv_buf_puts(&w->in, payload);
}

static void in_pieces(void)
{
    struct wire w;
    for (size_t step = 0; step < 4; step++) {
        struct sv_ws *ws = begin(&w);
        w.step = step;
        client(&w, 0x02, "ab");
        client(&w, 0x89, "hello");
        client(&w, 0x80, "cd");
        client(&w, 0x82, "ef");
        CHECK(sv_ws_read(ws) && sv_ws_write(ws));
        CHECK_INT(w.got.n, 6);
        CHECK_STR(w.got.p, "abcdef");
        CHECK_INT(w.out.n, 7);
        CHECK(memcmp(w.out.p, "\x8a\x05hello", 7) == 0);
        CHECK(!sv_ws_closing(ws) && sv_ws_wants_read(ws) && !sv_ws_wants_write(ws));
        w.ended = true;
        CHECK(!sv_ws_read(ws));
        finish(ws, &w);
    }
}

static void puts_and_counts(void)
{
    struct wire w;
    struct sv_ws *ws = begin(&w);
    w.blocked = true;
    sv_ws_put(ws, "xyz", 3);
    sv_ws_ping(ws);
    CHECK(sv_ws_write(ws) && sv_ws_wants_write(ws));
    CHECK(sv_ws_queued(ws) >= 3);
    w.blocked = false;
    CHECK(sv_ws_write(ws) && !sv_ws_wants_write(ws));
    CHECK_INT(sv_ws_queued(ws), 0);
    CHECK_INT(sv_ws_queued_frames(ws), 0);
    CHECK_INT(w.out.n, 7);
    /* a ping overtakes */
    CHECK(w.out.p && memcmp(w.out.p, "\x89\x00\x82\x03xyz", 7) == 0);
    finish(ws, &w);
}

static void closes(void)
{
    struct wire w;
    struct sv_ws *ws = begin(&w);
    char reason[200];
    memset(reason, 'r', sizeof(reason) - 1);
    reason[sizeof(reason) - 1] = '\0';
    sv_ws_close(ws, 4001, reason);
    sv_ws_put(ws, "late", 4);
    CHECK(sv_ws_closing(ws) && sv_ws_write(ws));
    CHECK_INT(w.out.n, 2 + 2 + SV_WS_REASON_MAX);
    CHECK(memcmp(w.out.p, "\x88\x7d\x0f\xa1rr", 6) == 0);
    CHECK(sv_ws_wants_read(ws) && !sv_ws_wants_write(ws));
    client(&w, 0x88, "\x0f\xa1");
    CHECK(sv_ws_read(ws));
    CHECK(!sv_ws_wants_read(ws) && !sv_ws_wants_write(ws));
    finish(ws, &w);
}

static void check_closed_with(const char *frame, size_t n, unsigned code)
{
    struct wire w;
    struct sv_ws *ws = begin(&w);
    sv_buf_add(&w.in, frame, n);
    CHECK(sv_ws_read(ws));
    CHECK(sv_ws_closing(ws));
    CHECK(sv_ws_write(ws));
    CHECK(w.out.n >= 4 && (unsigned char)w.out.p[0] == 0x88);
    CHECK_INT((unsigned char)w.out.p[2] << 8 | (unsigned char)w.out.p[3], code);
    CHECK_INT(w.got.n, 0);
    finish(ws, &w);
}

/* What is no frame at all ends the connection without a word. */
static void check_dropped(const char *frame, size_t n)
{
    struct wire w;
    struct sv_ws *ws = begin(&w);
    sv_buf_add(&w.in, frame, n);
    CHECK(!sv_ws_read(ws));
    CHECK_INT(w.got.n, 0);
    finish(ws, &w);
}

static void breaches(void)
{
    check_closed_with("\x81\x81\0\0\0\0x", 7, 1003);                    /* text */
    check_closed_with("\xc2\x80\0\0\0\0", 6, 1002);                     /* a reserved bit */
    check_closed_with("\x83\x80\0\0\0\0", 6, 1002);                     /* a reserved kind */
    check_closed_with("\x80\x80\0\0\0\0", 6, 1002);                     /* goes on with nothing */
    check_dropped("\x09\x80\0\0\0\0", 6);                               /* half a ping */
    check_closed_with("\x82\x01x", 3, 1002);                            /* not masked */
    check_closed_with("\x82\xff\0\0\0\0\x10\0\0\0\0\0\0\0x", 15, 1009); /* much too long */
}

/* --- the page --- */

static void files(void)
{
    bool page = false, client_there = false;
    for (const struct sv_console_file *f = sv_console_files; f->path; f++) {
        CHECK(f->size > 0 && f->text[f->size] == '\0' && f->type);
        CHECK(!strstr(f->path, "..") && f->path[0] != '/');
        page |= strcmp(f->path, "") == 0 && strstr(f->text, "<html");
        client_there |= strcmp(f->path, "novnc/core/rfb.js") == 0 && f->lasting;
    }
    CHECK(page && client_there);
}

CHECK_MAIN(T(hosts), T(bases), T(origins), T(tokens_open_once), T(tokens_expire), T(tokens_are_bounded), T(lists),
           T(accepts), T(protocols), T(in_pieces), T(puts_and_counts), T(closes), T(breaches), T(files))
