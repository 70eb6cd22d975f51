#include "core/host/news.h"

#include <stdlib.h>

enum { THIN_FIRST = 1024 };

void sv_news_init(struct sv_news_queue *q)
{
    *q = (struct sv_news_queue){.tail = &q->head, .thin_at = THIN_FIRST};
}

/* Of two items with the same subject the later one says all. How a host went away and came back does: both are one. */
static unsigned subject_of(enum sv_news_kind what)
{
    switch (what) {
    case SV_NEWS_HOST_UP:
    case SV_NEWS_HOST_DOWN:
        return SV_NEWS_HOST_UP;
    case SV_NEWS_AGENT_UP:
    case SV_NEWS_AGENT_DOWN:
        return SV_NEWS_AGENT_UP;
    case SV_NEWS_POWER:
    case SV_NEWS_TOKEN:
    case SV_NEWS_RELEASED:
    case SV_NEWS_ASK:
    case SV_NEWS_PENDING:
        return what;
    }
    return what;
}

static int by_subject(const struct sv_news *x, const struct sv_news *y)
{
    const unsigned of_x = subject_of(x->what), of_y = subject_of(y->what);

    if (of_x != of_y)
        return of_x < of_y ? -1 : 1;
    if (of_x == SV_NEWS_HOST_UP || of_x == SV_NEWS_ASK)
        return (x->host > y->host) - (x->host < y->host);
    return strcmp(x->id.s, y->id.s);
}

struct placed {
    const struct sv_news *item;
    size_t at; /* in the queue */
};

static int by_subject_and_age(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    const int order = by_subject(x->item, y->item);

    return order ? order : (x->at > y->at) - (x->at < y->at);
}

/* Keeps the last of each subject, in the order in which they came. */
static void thin(struct sv_news_queue *q)
{
    SV_AUTOFREE struct placed *all = sv_alloc(q->count * sizeof(*all));
    SV_AUTOFREE bool *old = sv_alloc(q->count * sizeof(*old));
    struct sv_news *list = q->head;
    size_t n = 0;

    for (struct sv_news *i = list; i; i = i->next, n++)
        all[n] = (struct placed){i, n};
    qsort(all, n, sizeof(*all), by_subject_and_age);
    for (size_t i = 0; i + 1 < n; i++)
        old[all[i].at] = by_subject(all[i].item, all[i + 1].item) == 0;
    sv_news_init(q);
    for (size_t i = 0; list; i++) {
        struct sv_news *next = list->next;

        list->next = NULL;
        if (old[i]) {
            free(list);
        } else {
            *q->tail = list;
            q->tail = &list->next;
            q->count++;
        }
        list = next;
    }
    if (q->thin_at < 2 * q->count)
        q->thin_at = 2 * q->count;
}

void sv_news_add(struct sv_news_queue *q, const struct sv_news *n)
{
    struct sv_news *own = sv_alloc(sizeof(*own));

    *own = *n;
    own->next = NULL;
    *q->tail = own;
    q->tail = &own->next;
    if (++q->count >= q->thin_at)
        thin(q);
}

struct sv_news *sv_news_take(struct sv_news_queue *q)
{
    struct sv_news *all = q->head;

    sv_news_init(q);
    return all;
}
