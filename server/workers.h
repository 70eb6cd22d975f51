/* Threads for what blocks and is no job: writing uploads, asking for screens. Bounded in threads and in what waits: a
 * full queue is told, not grown. */
#ifndef STARVIRT_SERVER_WORKERS_H
#define STARVIRT_SERVER_WORKERS_H

#include <stdbool.h>

/* Belongs to the caller until `run` is called with it, which may free it. */
struct sv_work {
    void (*run)(struct sv_work *w);
    struct sv_work *next; /* the pool's */
};

struct sv_workers;
/* Threads are started as work comes, up to `threads`. */
struct sv_workers *sv_workers_new(unsigned threads, unsigned queue);
/* Runs what is queued, waits for all threads. NULL ok. */
void sv_workers_free(struct sv_workers *ws);
/* False when the queue is full. Any thread. */
bool sv_workers_post(struct sv_workers *ws, struct sv_work *w);

struct sv_workers_stats {
    unsigned threads, busy, queued;
};
void sv_workers_stats(struct sv_workers *ws, struct sv_workers_stats *ret);

#endif
