#include "server/websocket.h"
#include "starvirt/mem.h"
#include "starvirt/text.h"

#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wslay/wslay.h>

enum {
    KEY_TEXT = 24, /* 16 bytes in Base64 */
    KEY_BYTES = 16,
    SHA1_LEN = 20,
    FRAME_MAX = 1024 * 1024, /* [bytes] of a client's frame */
};
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/* --- the handshake ---------------------------------------------------------------------------------- */

/* The next element of a comma list, without blanks around it; false at the end. */
static bool next_element(const char **at, const char **ret, size_t *ret_n)
{
    const char *p = *at + strspn(*at, " \t,");
    size_t n = strcspn(p, ",");
    *at = p + n;
    while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
        n--;
    *ret = p;
    *ret_n = n;
    return n > 0;
}

bool sv_ws_lists(const char *list, const char *word)
{
    const char *e;
    size_t n;
    while (list && next_element(&list, &e, &n))
        if (n == strlen(word) && strncasecmp(e, word, n) == 0)
            return true;
    return false;
}

bool sv_ws_accept(const char *key, char ret[SV_WS_ACCEPT_LEN + 1])
{
    unsigned char raw[KEY_TEXT], digest[SHA1_LEN];
    size_t n, bad;
    if (!key || strlen(key) != KEY_TEXT || strcmp(key + KEY_TEXT - 2, "==") != 0 ||
        strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") != KEY_TEXT - 2 ||
        !sv_b64_decode(key, KEY_TEXT, raw, &n, &bad) || n != KEY_BYTES)
        return false;
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    sv_buf_printf(&b, "%s%s", key, GUID);
    if (gnutls_hash_fast(GNUTLS_DIG_SHA1, b.p, b.n, digest) != 0)
        return false;
    b.n = 0;
    sv_b64_encode(&b, digest, sizeof(digest));
    sv_copy(ret, SV_WS_ACCEPT_LEN + 1, b.p);
    return true;
}

bool sv_ws_protocol_value(const char *list, const char *prefix, size_t len, char *ret)
{
    const size_t skip = strlen(prefix);
    const char *e, *found = NULL;
    size_t n;
    while (list && next_element(&list, &e, &n)) {
        if (n < skip || strncmp(e, prefix, skip) != 0)
            continue;
        if (found || n != skip + len)
            return false;
        found = e + skip;
    }
    if (!found)
        return false;
    memcpy(ret, found, len);
    ret[len] = '\0';
    return true;
}

/* --- messages ------------------------------------------------------------------------------------------ */

struct sv_ws {
    wslay_event_context_ptr ctx;
    struct sv_ws_transport t;
    void *arg;
    uint8_t opcode;    /* of the frame that is coming in */
    bool text, closed; /* text: a message we do not speak; closed: a close frame is queued */
    bool again;        /* the transport moves nothing more for now */
};

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t n, int flags, void *arg)
{
    struct sv_ws *ws = arg;
    (void)flags;
    ssize_t got = ws->t.recv(ws->arg, buf, n);
    ws->again = got == SV_WS_AGAIN;
    if (got < 0)
        wslay_event_set_error(ctx, got == SV_WS_AGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return got < 0 ? -1 : got;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *buf, size_t n, int flags, void *arg)
{
    struct sv_ws *ws = arg;
    (void)flags;
    ssize_t sent = ws->t.send(ws->arg, buf, n);
    ws->again = sent == SV_WS_AGAIN;
    if (sent < 0)
        wslay_event_set_error(ctx, sent == SV_WS_AGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return sent < 0 ? -1 : sent;
}

static void on_frame(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_start_arg *frame, void *arg)
{
    struct sv_ws *ws = arg;
    (void)ctx;
    ws->opcode = frame->opcode;
    if (frame->opcode == WSLAY_TEXT_FRAME)
        ws->text = true;
}

static void on_chunk(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_chunk_arg *chunk, void *arg)
{
    struct sv_ws *ws = arg;
    (void)ctx;
    if (!wslay_is_ctrl_frame(ws->opcode) && !ws->text)
        ws->t.data(ws->arg, chunk->data, chunk->data_length);
}

struct sv_ws *sv_ws_new(const struct sv_ws_transport *t, void *arg)
{
    const struct wslay_event_callbacks calls = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .on_frame_recv_start_callback = on_frame,
        .on_frame_recv_chunk_callback = on_chunk,
    };
    struct sv_ws *ws = sv_alloc(sizeof(*ws));
    ws->t = *t;
    ws->arg = arg;
    if (wslay_event_context_server_init(&ws->ctx, &calls, ws) != 0)
        abort(); /* out of memory */
    wslay_event_config_set_no_buffering(ws->ctx, 1);
    wslay_event_config_set_max_recv_msg_length(ws->ctx, FRAME_MAX);
    return ws;
}

void sv_ws_free(struct sv_ws *ws)
{
    if (!ws)
        return;
    wslay_event_context_free(ws->ctx);
    free(ws);
}

bool sv_ws_read(struct sv_ws *ws)
{
    /* The library also comes back when it got half a head. */
    for (ws->again = false; !ws->again && wslay_event_get_read_enabled(ws->ctx);)
        if (wslay_event_recv(ws->ctx) != 0)
            return false;
    if (ws->text && !sv_ws_closing(ws))
        sv_ws_close(ws, WSLAY_CODE_UNSUPPORTED_DATA, "binary only");
    return true;
}

bool sv_ws_write(struct sv_ws *ws)
{
    for (ws->again = false; !ws->again && wslay_event_want_write(ws->ctx);)
        if (wslay_event_send(ws->ctx) != 0)
            return false;
    return true;
}

static void queue(struct sv_ws *ws, uint8_t opcode, const void *p, size_t n)
{
    const struct wslay_event_msg m = {.opcode = opcode, .msg = p, .msg_length = n};
    if (wslay_event_queue_msg(ws->ctx, &m) == WSLAY_ERR_NOMEM)
        abort();
}

void sv_ws_put(struct sv_ws *ws, const void *p, size_t n)
{
    queue(ws, WSLAY_BINARY_FRAME, p, n);
}

void sv_ws_ping(struct sv_ws *ws)
{
    queue(ws, WSLAY_PING, NULL, 0);
}

void sv_ws_close(struct sv_ws *ws, unsigned code, const char *reason)
{
    char text[SV_WS_REASON_MAX + 1];
    SV_COPY(text, reason);
    wslay_event_queue_close(ws->ctx, (uint16_t)code, (const uint8_t *)text, strlen(text));
    ws->closed = true;
}

size_t sv_ws_queued(const struct sv_ws *ws)
{
    return wslay_event_get_queued_msg_length(ws->ctx);
}

size_t sv_ws_queued_frames(const struct sv_ws *ws)
{
    return wslay_event_get_queued_msg_count(ws->ctx);
}

bool sv_ws_wants_read(const struct sv_ws *ws)
{
    return wslay_event_want_read(ws->ctx);
}

bool sv_ws_wants_write(const struct sv_ws *ws)
{
    return wslay_event_want_write(ws->ctx);
}

/* The library stops reading when it has answered a close frame or refused a breach. */
bool sv_ws_closing(const struct sv_ws *ws)
{
    return ws->closed || wslay_event_get_close_sent(ws->ctx) || !wslay_event_get_read_enabled(ws->ctx);
}
