/* The queue of what the sync thread has to look at. While nothing can be written it grows: then what a later item makes
 * pointless goes, so that there is never more than a few for each object. Callers hold a mutex of their own. */
#ifndef CORE_NEWS_H
#define CORE_NEWS_H

#include "core/host/host.h"

enum sv_news_kind {
    SV_NEWS_HOST_UP,
    SV_NEWS_HOST_DOWN,
    SV_NEWS_POWER,
    SV_NEWS_AGENT_UP,
    SV_NEWS_AGENT_DOWN,
    SV_NEWS_TOKEN,
    SV_NEWS_RELEASED,
    SV_NEWS_ASK,
    SV_NEWS_PENDING, /* undos that are to be finished */
};

struct sv_news {
    enum sv_news_kind what;
    enum sv_hv_power power;
    struct sv_id id; /* of the VM or the token */
    struct sv_cloud_host *host;
    struct sv_news *next;
};

struct sv_news_queue {
    struct sv_news *head, **tail;
    size_t count, thin_at; /* how many there are; at how many it is thinned */
};
void sv_news_init(struct sv_news_queue *q);
void sv_news_add(struct sv_news_queue *q, const struct sv_news *n);
/* All of it, in order; the caller frees each. NULL: nothing. */
struct sv_news *sv_news_take(struct sv_news_queue *q);

#endif
