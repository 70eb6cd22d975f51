#include "check.h"
#include "server/workers.h"

#include <pthread.h>

/* A gate that work waits at, so that the pool's state is known without sleeping. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static bool open_gate;
static unsigned at_gate, done;

static void run(struct sv_work *w)
{
    (void)w;
    pthread_mutex_lock(&lock);
    at_gate++;
    pthread_cond_broadcast(&change);
    while (!open_gate)
        pthread_cond_wait(&change, &lock);
    done++;
    pthread_mutex_unlock(&lock);
}

static void wait_at_gate(unsigned n)
{
    pthread_mutex_lock(&lock);
    while (at_gate < n)
        pthread_cond_wait(&change, &lock);
    pthread_mutex_unlock(&lock);
}

static void set_gate(bool open)
{
    pthread_mutex_lock(&lock);
    open_gate = open;
    pthread_cond_broadcast(&change);
    pthread_mutex_unlock(&lock);
}

static void bounded(void)
{
    enum { THREADS = 3, QUEUE = 4 };
    struct sv_work work[THREADS + QUEUE + 1];
    struct sv_workers *ws = sv_workers_new(THREADS, QUEUE);
    struct sv_workers_stats s;
    at_gate = done = 0;
    set_gate(false);
    for (unsigned i = 0; i < THREADS + QUEUE + 1; i++)
        work[i].run = run;
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(sv_workers_post(ws, &work[i]));
        wait_at_gate(i + 1);
    }
    for (unsigned i = 0; i < QUEUE; i++)
        CHECK(sv_workers_post(ws, &work[THREADS + i]));
    CHECK(!sv_workers_post(ws, &work[THREADS + QUEUE]));
    sv_workers_stats(ws, &s);
    CHECK_INT(s.threads, THREADS);
    CHECK_INT(s.busy, THREADS);
    CHECK_INT(s.queued, QUEUE);
    set_gate(true);
    sv_workers_free(ws); /* runs what is queued */
    CHECK_INT(done, THREADS + QUEUE);
}

static void threads_as_needed(void)
{
    struct sv_workers *ws = sv_workers_new(8, 8);
    struct sv_workers_stats s;
    struct sv_work w = {.run = run};
    at_gate = done = 0;
    set_gate(true);
    sv_workers_stats(ws, &s);
    CHECK_INT(s.threads, 0);
    CHECK(sv_workers_post(ws, &w));
    wait_at_gate(1);
    sv_workers_stats(ws, &s);
    CHECK_INT(s.threads, 1);
    sv_workers_free(ws);
    CHECK_INT(done, 1);
}

CHECK_MAIN(T(bounded), T(threads_as_needed))
