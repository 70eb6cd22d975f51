/* Looking at what may hang, by threads that nobody needs for anything else: one a place, while there are questions
 * about it. */
#include <stdio.h>

#include "core/run/run.h"
#include "starvirt/thread.h"

enum { STOP_LIMIT_MS = 2000, KEEP_US = 60 * 1000 * 1000 };

/* What is asked about one object in one place. */
struct item {
    struct sv_id object;
    void *todo;  /* to be looked at; NULL = nobody asks */
    void *found; /* as last seen, by a look that began at `since` [us] */
    int64_t since;
    bool busy;
    struct item *next;
};
struct place {
    struct sv_looks *all;
    const struct sv_look_kind *kind;
    struct sv_id id;
    bool running;
    struct item *items;
    struct place *next;
};
struct sv_looks {
    struct sv_crew crew; /* its mutex guards all of it; not held while something is looked at */
    struct place *places;
    void (*news)(void *arg, const char *key);
    void *news_arg;
};

static void item_free(const struct sv_look_kind *kind, struct item *i)
{
    if (i->todo)
        kind->free(i->todo);
    if (i->found)
        kind->free(i->found);
    free(i);
}

static void key_of(const struct sv_look_kind *kind, const struct sv_id *object, char key[SV_LOOK_KEY_LEN])
{
    snprintf(key, SV_LOOK_KEY_LEN, "%s:%s", kind->news, object->s);
}

/* --- the thread of a place ---------------------------------------------------------------------------- */

static struct item *due(const struct place *p)
{
    struct item *i = p->items;

    while (i && !i->todo)
        i = i->next;
    return i;
}

/* An item that is busy stays where it is. */
static void look(struct place *p, struct item *i)
{
    struct sv_looks *s = p->all;
    void *seen = i->todo;
    const int64_t began = sv_mono_us();
    char key[SV_LOOK_KEY_LEN];

    key_of(p->kind, &i->object, key);
    i->todo = NULL;
    i->busy = true;
    pthread_mutex_unlock(&s->crew.mutex);
    p->kind->look(seen);
    pthread_mutex_lock(&s->crew.mutex);
    if (i->found)
        p->kind->free(i->found);
    i->found = seen;
    i->since = began;
    i->busy = false;
    if (s->crew.stop || !s->news)
        return;
    pthread_mutex_unlock(&s->crew.mutex);
    s->news(s->news_arg, key);
    pthread_mutex_lock(&s->crew.mutex);
}

static void *look_main(void *arg)
{
    struct place *p = arg;
    struct sv_crew *crew = &p->all->crew;
    struct item *i;

    pthread_mutex_lock(&crew->mutex);
    while (!crew->stop && (i = due(p)))
        look(p, i);
    sv_crew_leave(crew, &p->running);
    pthread_mutex_unlock(&crew->mutex);
    return NULL;
}

/* --- asking ------------------------------------------------------------------------------------------- */

static void forget_old(struct place *p, int64_t now)
{
    for (struct item **at = &p->items; *at;) {
        struct item *i = *at;

        if (i->todo || i->busy || i->since > now - KEEP_US) {
            at = &i->next;
            continue;
        }
        *at = i->next;
        item_free(p->kind, i);
    }
}

static struct place *place_of(struct sv_looks *s, const struct sv_look_kind *kind, const struct sv_id *id)
{
    struct place *p = s->places;

    while (p && !(p->kind == kind && sv_id_eq(&p->id, id)))
        p = p->next;
    if (p)
        return p;
    p = sv_alloc(sizeof(*p));
    *p = (struct place){.all = s, .kind = kind, .id = *id, .next = s->places};
    s->places = p;
    return p;
}

static struct item *item_of(struct place *p, const struct sv_id *object)
{
    struct item *i = p->items;

    while (i && !sv_id_eq(&i->object, object))
        i = i->next;
    if (i)
        return i;
    i = sv_alloc(sizeof(*i));
    *i = (struct item){.object = *object, .next = p->items};
    p->items = i;
    return i;
}

static void ask(struct place *p, struct item *i, void *todo)
{
    if (i->todo)
        p->kind->free(i->todo);
    i->todo = todo;
    forget_old(p, sv_mono_us());
    sv_crew_wake(&p->all->crew, &p->running, look_main, p);
}

bool sv_looked(struct sv_cloud *c, const struct sv_look_kind *kind, const struct sv_id *place,
               const struct sv_id *object, struct sv_look *look, void *arg)
{
    struct sv_looks *s = c->looks;
    struct place *p;
    struct item *i;
    bool known;

    pthread_mutex_lock(&s->crew.mutex);
    p = place_of(s, kind, place);
    i = item_of(p, object);
    known = i->found && i->since >= look->since_us && kind->answers(i->found, arg);
    if (!known)
        ask(p, i, kind->question(arg));
    pthread_mutex_unlock(&s->crew.mutex);
    if (!known && !look->last) {
        look->later = true;
        key_of(kind, object, look->key);
    }
    return known;
}

/* --- life --------------------------------------------------------------------------------------------- */

void sv_looks_init(struct sv_cloud *c, void (*news)(void *arg, const char *key), void *arg)
{
    struct sv_looks *s = sv_alloc(sizeof(*s));

    sv_crew_init(&s->crew);
    s->news = news;
    s->news_arg = arg;
    c->looks = s;
}

bool sv_looks_free(struct sv_cloud *c)
{
    struct sv_looks *s = c->looks;

    if (!s)
        return true;
    c->looks = NULL;
    if (!sv_crew_stop_within(&s->crew, STOP_LIMIT_MS))
        return false;
    for (struct place *p = s->places, *next; p; p = next) {
        next = p->next;
        for (struct item *i = p->items, *after; i; i = after) {
            after = i->next;
            item_free(p->kind, i);
        }
        free(p);
    }
    sv_crew_free(&s->crew);
    free(s);
    return true;
}
