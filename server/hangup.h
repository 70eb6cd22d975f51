/* Clients that go while their request waits for something. The HTTP library does not look at a connection that is
 * suspended, so one thread watches the sockets of those that may wait long.
 *
 * Nothing tells a closed connection from one that the client only closed for sending: both are a hang-up, as other
 * servers take it.
 * Threads: any. */
#ifndef STARVIRT_SERVER_HANGUP_H
#define STARVIRT_SERVER_HANGUP_H

#include <stdbool.h>
#include <stdint.h>

/* The caller's, valid until sv_hangup_forget(); zeroed at first. */
struct sv_watch {
    int fd;
    /* The client is gone: at most once, on the watching thread, with the watcher's lock held. Must not block, nor
     * call sv_hangup_*. */
    void (*gone)(struct sv_watch *w);
    uint64_t serial; /* the watcher's; 0 = not watched */
};

struct sv_hangups;
struct sv_hangups *sv_hangups_new(void);
void sv_hangups_free(struct sv_hangups *h); /* nothing is watched any more; NULL ok */
/* fd and gone are set, it is not watched. A client that is gone already is told, too. */
void sv_hangup_watch(struct sv_hangups *h, struct sv_watch *w);
/* Afterwards `gone` is neither running nor will it. Nothing happens when w is not watched. */
void sv_hangup_forget(struct sv_hangups *h, struct sv_watch *w);
unsigned sv_hangups_count(struct sv_hangups *h);

#endif
