/* The server's end of a web-socket (RFC 6455): what its handshake must say, and its messages over any
 * transport. Frames are the wslay library's. One thread at a time. */
#ifndef STARVIRT_SERVER_WEBSOCKET_H
#define STARVIRT_SERVER_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* --- the handshake. Texts are header values, NULL = absent. --- */
#define SV_WS_VERSION "13"
enum { SV_WS_ACCEPT_LEN = 28, SV_WS_REASON_MAX = 123 };
/* "a, B" lists `word`, in any case. */
bool sv_ws_lists(const char *list, const char *word);
/* The answer to Sec-WebSocket-Key; false when it is not 16 bytes in Base64. */
bool sv_ws_accept(const char *key, char ret[SV_WS_ACCEPT_LEN + 1]);
/* Of "binary, token.<hex>": the one that begins with `prefix`, without it; false when there is none, more than
 * one, or one of another length than `len`. */
bool sv_ws_protocol_value(const char *list, const char *prefix, size_t len, char *ret);

/* --- messages --- */
enum { SV_WS_AGAIN = -1, SV_WS_BROKEN = -2 };
struct sv_ws_transport {
    /* [bytes] moved; AGAIN for not now, BROKEN for the end of the stream. recv: at most 4 KiB at a time. */
    ssize_t (*recv)(void *arg, void *buf, size_t n);
    ssize_t (*send)(void *arg, const void *buf, size_t n);
    /* What came in binary messages, in pieces. */
    void (*data)(void *arg, const void *p, size_t n);
};
struct sv_ws;
struct sv_ws *sv_ws_new(const struct sv_ws_transport *t, void *arg);
void sv_ws_free(struct sv_ws *ws); /* NULL ok */
/* Takes what there is until recv says AGAIN; false: the transport is done for. A client that breaks the
 * protocol gets its close frame by itself. */
bool sv_ws_read(struct sv_ws *ws);
/* Sends what is queued until send says AGAIN; false as above. */
bool sv_ws_write(struct sv_ws *ws);
/* Queues. After a close nothing more is taken. */
void sv_ws_put(struct sv_ws *ws, const void *p, size_t n);
void sv_ws_ping(struct sv_ws *ws);
/* `reason` is cut to SV_WS_REASON_MAX. */
void sv_ws_close(struct sv_ws *ws, unsigned code, const char *reason);
size_t sv_ws_queued(const struct sv_ws *ws);        /* [bytes] */
size_t sv_ws_queued_frames(const struct sv_ws *ws); /* with pongs and the like */
bool sv_ws_wants_read(const struct sv_ws *ws);
bool sv_ws_wants_write(const struct sv_ws *ws);
/* A close frame was sent or is queued: the client's, ours, or over a breach of the protocol. */
bool sv_ws_closing(const struct sv_ws *ws);

#endif
