/* What the kernel made of texts for nftables, remembered for as long as the program runs: an id, a digest. */
#include "net/linux/internal.h"

#include <pthread.h>
#include <stdlib.h>

struct mark {
    struct sv_id id;
    uint64_t digest;
};

struct marks {
    pthread_mutex_t mutex;
    struct mark *v; /* in order of ids */
    size_t n, cap;
};

struct marks *marks_new(void)
{
    struct marks *m = sv_alloc(sizeof(*m));
    pthread_mutex_init(&m->mutex, NULL);
    return m;
}

void marks_free(struct marks *m)
{
    if (!m)
        return;
    pthread_mutex_destroy(&m->mutex);
    free(m->v);
    free(m);
}

/* The first one that does not come before. */
static size_t place_of(const struct marks *m, const struct sv_id *id)
{
    size_t from = 0, to = m->n;
    while (from < to) {
        const size_t at = from + (to - from) / 2;
        if (strcmp(m->v[at].id.s, id->s) < 0)
            from = at + 1;
        else
            to = at;
    }
    return from;
}

void marks_set(struct marks *m, const struct sv_id *id, uint64_t digest)
{
    pthread_mutex_lock(&m->mutex);
    const size_t at = place_of(m, id);
    const bool there = at < m->n && sv_id_eq(&m->v[at].id, id);
    if (there && digest) {
        m->v[at].digest = digest;
    } else if (there) {
        memmove(&m->v[at], &m->v[at + 1], (m->n - at - 1) * sizeof(*m->v));
        m->n--;
    } else if (digest) {
        m->v = sv_grow(m->v, m->n, &m->cap, sizeof(*m->v));
        memmove(&m->v[at + 1], &m->v[at], (m->n - at) * sizeof(*m->v));
        m->v[at] = (struct mark){*id, digest};
        m->n++;
    }
    pthread_mutex_unlock(&m->mutex);
}

uint64_t marks_get(struct marks *m, const struct sv_id *id)
{
    pthread_mutex_lock(&m->mutex);
    const size_t at = place_of(m, id);
    const uint64_t digest = at < m->n && sv_id_eq(&m->v[at].id, id) ? m->v[at].digest : 0;
    pthread_mutex_unlock(&m->mutex);
    return digest;
}
