#include "server/workers.h"
#include "starvirt/mem.h"

#include <pthread.h>
#include <stdlib.h>

struct sv_workers {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct sv_work *first, **last;
    unsigned max_threads, max_queue;
    unsigned threads, busy, queued;
    bool stopping;
    pthread_t ids[]; /* max_threads */
};

struct sv_workers *sv_workers_new(unsigned threads, unsigned queue)
{
    struct sv_workers *ws = sv_alloc(sizeof(*ws) + threads * sizeof(ws->ids[0]));
    pthread_mutex_init(&ws->lock, NULL);
    pthread_cond_init(&ws->more, NULL);
    ws->last = &ws->first;
    ws->max_threads = threads;
    ws->max_queue = queue;
    return ws;
}

static struct sv_work *take(struct sv_workers *ws)
{
    struct sv_work *w = ws->first;
    ws->first = w->next;
    if (!ws->first)
        ws->last = &ws->first;
    ws->queued--;
    return w;
}

static void *work(void *arg)
{
    struct sv_workers *ws = arg;
    pthread_mutex_lock(&ws->lock);
    for (;;) {
        while (!ws->first && !ws->stopping)
            pthread_cond_wait(&ws->more, &ws->lock);
        if (!ws->first)
            break;
        struct sv_work *w = take(ws);
        ws->busy++;
        pthread_mutex_unlock(&ws->lock);
        w->run(w);
        pthread_mutex_lock(&ws->lock);
        ws->busy--;
    }
    pthread_mutex_unlock(&ws->lock);
    return NULL;
}

/* One thread more when all are taken; false only when there is no thread at all. */
static bool staff(struct sv_workers *ws)
{
    if (ws->busy + ws->queued >= ws->threads && ws->threads < ws->max_threads)
        if (pthread_create(&ws->ids[ws->threads], NULL, work, ws) == 0)
            ws->threads++;
    return ws->threads > 0;
}

bool sv_workers_post(struct sv_workers *ws, struct sv_work *w)
{
    pthread_mutex_lock(&ws->lock);
    bool ok = !ws->stopping && ws->queued < ws->max_queue && staff(ws);
    if (ok) {
        w->next = NULL;
        *ws->last = w;
        ws->last = &w->next;
        ws->queued++;
        pthread_cond_signal(&ws->more);
    }
    pthread_mutex_unlock(&ws->lock);
    return ok;
}

void sv_workers_free(struct sv_workers *ws)
{
    if (!ws)
        return;
    pthread_mutex_lock(&ws->lock);
    ws->stopping = true;
    pthread_cond_broadcast(&ws->more);
    pthread_mutex_unlock(&ws->lock);
    for (unsigned i = 0; i < ws->threads; i++)
        pthread_join(ws->ids[i], NULL);
    pthread_cond_destroy(&ws->more);
    pthread_mutex_destroy(&ws->lock);
    free(ws);
}

void sv_workers_stats(struct sv_workers *ws, struct sv_workers_stats *ret)
{
    pthread_mutex_lock(&ws->lock);
    *ret = (struct sv_workers_stats){.threads = ws->threads, .busy = ws->busy, .queued = ws->queued};
    pthread_mutex_unlock(&ws->lock);
}
