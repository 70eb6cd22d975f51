/* What a client sends to a web-socket: the first line is its handshake's key, the second its list of protocols,
 * the rest its frames, which come in pieces of the size that the first byte of them says. */
#include "server/console.h"
#include "server/websocket.h"
#include "starvirt/mem.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <strings.h>

enum { FRAMES_MAX = 64 };

struct wire {
    const uint8_t *in;
    size_t left, step, got, sent;
    struct sv_ws *ws;
};

static ssize_t from_wire(void *arg, void *buf, size_t n)
{
    struct wire *w = arg;
    if (w->left == 0 || sv_ws_queued_frames(w->ws) > FRAMES_MAX)
        return SV_WS_AGAIN;
    MUST(n > 0 && n <= 4096);
    n = n < w->left ? n : w->left;
    n = n < w->step ? n : w->step;
    memcpy(buf, w->in, n);
    w->in += n;
    w->left -= n;
    return (ssize_t)n;
}

static ssize_t to_wire(void *arg, const void *buf, size_t n)
{
    struct wire *w = arg;
    MUST(buf);
    w->sent += n;
    return n > w->step ? (ssize_t)w->step : (ssize_t)n;
}

static void on_data(void *arg, const void *p, size_t n)
{
    struct wire *w = arg;
    MUST(p || n == 0);
    w->got += n;
}

static void feed(const uint8_t *data, size_t size)
{
    static const struct sv_ws_transport t = {.recv = from_wire, .send = to_wire, .data = on_data};
    if (size == 0)
        return;
    struct wire w = {.in = data + 1, .left = size - 1, .step = (size_t)data[0] + 1};
    w.ws = sv_ws_new(&t, &w);
    for (bool more = true; more;) {
        size_t before = w.left;
        more = sv_ws_read(w.ws) && sv_ws_write(w.ws) && w.left < before;
        MUST(!more || w.left == 0 || sv_ws_closing(w.ws) || sv_ws_queued_frames(w.ws) <= FRAMES_MAX);
        MUST(w.got <= size);
        MUST(sv_ws_queued_frames(w.ws) <= 4096 + FRAMES_MAX);
    }
    sv_ws_put(w.ws, "x", 1);
    sv_ws_close(w.ws, 1001, "the end");
    sv_ws_write(w.ws);
    sv_ws_free(w.ws);
}

static void check_head(const char *key, const char *list)
{
    char accept[SV_WS_ACCEPT_LEN + 1], token[9] = "";
    if (sv_ws_accept(key, accept))
        MUST(strlen(accept) == SV_WS_ACCEPT_LEN && strlen(key) == 24);
    if (sv_ws_protocol_value(list, "token.", 8, token))
        MUST(strlen(token) == 8 && strstr(list, token) && !strchr(token, ','));
    sv_ws_lists(list, "binary");
    if (sv_console_origin_is(list, "https://h.example"))
        MUST(strlen(list) == 17 || strlen(list) == 21);
    if (sv_console_host_ok(list))
        MUST(!strpbrk(list, "/@#?\\ <>\"'"));
    if (sv_console_base_ok(list))
        MUST(strncasecmp(list, "http", 4) == 0 && !strpbrk(list, "@#?\\ <>\"'"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *one = memchr(data, '\n', size);
    const uint8_t *two = one ? memchr(one + 1, '\n', size - (size_t)(one + 1 - data)) : NULL;
    if (!two)
        return 0;
    SV_AUTOFREE char *head = sv_alloc((size_t)(two - data) + 1);
    memcpy(head, data, (size_t)(two - data));
    head[one - data] = '\0';
    check_head(head, head + (one - data) + 1);
    feed(two + 1, size - (size_t)(two + 1 - data));
    return 0;
}
