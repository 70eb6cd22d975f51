/* Long polls, parked by what they wait for: no thread a waiter, one for all deadlines.
 *
 * A waiter registers first and looks second, so that a change between looking and sleeping is not lost:
 *     sv_park_add(); look again; nothing -> sv_park_sleep(); something -> sv_park_remove()
 * and once asleep it is woken exactly once. Threads: any; a waiter belongs to one thread until it sleeps,
 * and again from its `woken` call on. */
#ifndef STARVIRT_SERVER_PARK_H
#define STARVIRT_SERVER_PARK_H

#include <stdbool.h>
#include <stdint.h>

#define SV_PARK_END "end:"       /* and a startid: told once, when the job has ended */
enum { SV_PARK_EVENTS_MS = 20 }; /* [ms] "events" waiters are woken at most this often: each wakes them all */

struct sv_waiter {
    char key[64];
    int64_t deadline;                   /* sv_mono_ms() */
    void (*woken)(struct sv_waiter *w); /* must not block, may come from the writer thread */
    bool over;                          /* it was the deadline (or the end of the server) */
    /* the park's */
    bool listed, asleep, changed;
    struct sv_waiter *next, **link;
};

struct sv_park;
struct sv_park *sv_park_new(void);
/* All waiters must be gone. NULL ok. */
void sv_park_free(struct sv_park *p);

/* Registers w (key, deadline and woken set). False when the server stops. */
bool sv_park_add(struct sv_park *p, struct sv_waiter *w);
/* The waiter now sleeps and `woken` will be called; false when its key changed or its time is over since
 * it was added: then it is not registered any more and has to look again. */
bool sv_park_sleep(struct sv_park *p, struct sv_waiter *w);
void sv_park_remove(struct sv_park *p, struct sv_waiter *w);
/* Ends w's time, from any thread that knows it to exist: asleep or not, it finds itself as at its deadline. Nothing
 * happens when it is not registered. */
void sv_park_hurry(struct sv_park *p, struct sv_waiter *w);

/* A change under the key. "events" is put together with others that follow at once. Never blocks. */
void sv_park_wake(struct sv_park *p, const char *key);
/* The server stops: everybody is woken as at the deadline, nobody is added any more. */
void sv_park_stop(struct sv_park *p);
unsigned sv_park_count(struct sv_park *p);

#endif
