/* Waiting for other threads, by the monotonic clock; crews of threads that come and go with their work. */
#ifndef STARVIRT_THREAD_H
#define STARVIRT_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* A condition variable that sv_cond_wait() can use. */
void sv_cond_init(pthread_cond_t *cond);
/* One wait under the mutex until woken, or until `mono_ms` [ms monotonic; INT64_MAX = for ever]. False: the time
 * has come. May wake for nothing: look again at what is waited for. */
bool sv_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t mono_ms);

/* Threads that begin when there is work, end when there is none, and are waited for at the end. The mutex guards the
 * owner's work, too. */
struct sv_crew {
    pthread_mutex_t mutex;
    pthread_cond_t change; /* there is work, or it is time to stop */
    pthread_cond_t left;   /* a thread ended */
    unsigned threads;
    bool stop;
};
void sv_crew_init(struct sv_crew *crew);
void sv_crew_free(struct sv_crew *crew); /* after sv_crew_stop() */
/* Under the mutex: wakes the thread that does this work or, unless *running, begins one that runs fn(arg); it must
 * end with sv_crew_leave(). *running stays false where none could be begun; then, and where one runs already, `arg`
 * is the caller's still. */
bool sv_crew_wake(struct sv_crew *crew, bool *running, void *(*fn)(void *arg), void *arg);
/* Under the mutex, on such a thread: it touches nothing of the owner any more once the mutex is given back. */
void sv_crew_leave(struct sv_crew *crew, bool *running);
/* From here on none begins; waits until all have ended. */
void sv_crew_stop(struct sv_crew *crew);
/* The same for at most `limit_ms` [ms; INT64_MAX = for ever]. False: some are left, and need the crew still. */
bool sv_crew_stop_within(struct sv_crew *crew, int64_t limit_ms);

#endif
