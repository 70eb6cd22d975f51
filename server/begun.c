#include "server/begun.h"
#include "starvirt/clock.h"
#include "starvirt/log.h"
#include "starvirt/mem.h"
#include "starvirt/thread.h"

#include <pthread.h>
#include <stdlib.h>

enum { BUCKETS = 256, LOOK_MS = 500 };

struct token_watch {
    struct sv_actor who;
    struct sv_begun *first;
    struct token_watch *next, **link;
};

struct sv_begun_room {
    struct sv_db *db;
    pthread_t thread;
    atomic_uint_least64_t changes;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t sooner;
    bool due, stop;
    int64_t look_at; /* [ms] monotonic; INT64_MAX = when something changes */
    unsigned tokens, begun;
    uint64_t ended;
    struct token_watch *buckets[BUCKETS];
};

/* --- the table ------------------------------------------------------------------------------------------ */

static bool same(const struct sv_actor *a, const struct sv_actor *b)
{
    return a->role == b->role && sv_id_eq(&a->token, &b->token) && sv_id_eq(&a->tenant, &b->tenant);
}

static struct token_watch **bucket_of(struct sv_begun_room *room, const struct sv_id *token)
{
    return &room->buckets[sv_hash(token->s) % BUCKETS];
}

static struct token_watch *find(struct sv_begun_room *room, const struct sv_actor *who)
{
    struct token_watch *t = *bucket_of(room, &who->token);
    while (t && !same(&t->who, who))
        t = t->next;
    return t;
}

static struct token_watch *add_token(struct sv_begun_room *room, const struct sv_actor *who)
{
    struct token_watch **head = bucket_of(room, &who->token), *t = sv_alloc(sizeof(*t));
    *t = (struct token_watch){.who = *who, .next = *head, .link = head};
    if (t->next)
        t->next->link = &t->next;
    *head = t;
    room->tokens++;
    return t;
}

static void take_off(struct sv_begun_room *room, struct sv_begun *b)
{
    struct token_watch *t = b->of;
    *b->link = b->next;
    if (b->next)
        b->next->link = b->link;
    b->of = NULL;
    room->begun--;
    if (t->first)
        return;
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    room->tokens--;
    free(t);
}

/* --- looking tokens up ------------------------------------------------------------------------------------ */

struct verdict {
    struct sv_actor who;
    enum sv_err code;
};

struct looking {
    struct verdict *v;
    size_t n;
};

static enum sv_err look_up(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct looking *l = arg;
    for (size_t i = 0; i < l->n; i++) {
        enum sv_err rc = sv_auth_again(tx, &l->v[i].who, err);
        if (rc && rc != SV_E_TOKEN_INVALID && rc != SV_E_TOKEN_EXPIRED)
            return rc;
        l->v[i].code = rc;
    }
    return SV_OK;
}

/* Under the lock. */
static struct looking list_tokens(struct sv_begun_room *room)
{
    struct looking l = {.v = sv_alloc((room->tokens + 1) * sizeof(*l.v))};
    for (unsigned b = 0; b < BUCKETS; b++)
        for (const struct token_watch *t = room->buckets[b]; t; t = t->next)
            l.v[l.n++].who = t->who;
    return l;
}

/* Under the lock. Its watches may have gone meanwhile. */
static void end_token(struct sv_begun_room *room, const struct verdict *v)
{
    struct token_watch *t = find(room, &v->who);
    struct sv_error why = {0};
    unsigned n = 0;
    sv_fail(&why, v->code, SV_F_NONE);
    for (struct sv_begun *b = t ? t->first : NULL, *next; b; b = next) {
        next = b->next;
        take_off(room, b); /* with the last one, t is gone */
        atomic_store(&b->over, v->code);
        if (b->ended)
            b->ended(b, &why);
        n++;
    }
    room->ended += n;
    if (n)
        sv_log(SV_LOG_INFO, "token.ended", "token", v->who.token.s, "tenant", v->who.tenant.s, "why",
               sv_err_symbol(v->code), "begun", sv_dec(n).s, NULL);
}

/* Under the lock: when to look without being told. The wall clock may be set at any time. */
static void plan(struct sv_begun_room *room, const struct sv_actor *who)
{
    if (!who->expires)
        return;
    int64_t left = who->expires - sv_now_ms(), at = sv_mono_ms() + (left < 0 ? 0 : left < LOOK_MS ? left : LOOK_MS);
    if (at < room->look_at)
        room->look_at = at;
}

static void settle(struct sv_begun_room *room, const struct looking *l, bool known)
{
    room->look_at = known ? INT64_MAX : sv_mono_ms() + LOOK_MS;
    for (size_t i = 0; i < l->n; i++) {
        if (known && l->v[i].code)
            end_token(room, &l->v[i]);
        else
            plan(room, &l->v[i].who);
    }
}

static void look(struct sv_begun_room *room)
{
    struct looking l = list_tokens(room);
    struct sv_error err = {0};
    room->due = false;
    pthread_mutex_unlock(&room->lock);
    /* A database that cannot be read tells nothing about a token: it is asked again. */
    bool known = l.n == 0 || sv_db_read(room->db, look_up, &l, &err) == SV_OK;
    pthread_mutex_lock(&room->lock);
    settle(room, &l, known);
    free(l.v);
}

static void *run(void *arg)
{
    struct sv_begun_room *room = arg;
    pthread_setname_np(pthread_self(), "begun");
    pthread_mutex_lock(&room->lock);
    while (!room->stop) {
        if (room->due || sv_mono_ms() >= room->look_at)
            look(room);
        else
            sv_cond_wait(&room->sooner, &room->lock, room->look_at);
    }
    pthread_mutex_unlock(&room->lock);
    return NULL;
}

/* --- in --------------------------------------------------------------------------------------------------- */

static void look_soon(struct sv_begun_room *room)
{
    room->due = true;
    pthread_cond_signal(&room->sooner);
}

void sv_begun_changed(struct sv_begun_room *room)
{
    atomic_fetch_add(&room->changes, 1);
    pthread_mutex_lock(&room->lock);
    look_soon(room);
    pthread_mutex_unlock(&room->lock);
}

uint64_t sv_begun_seen(struct sv_begun_room *room)
{
    return atomic_load(&room->changes);
}

void sv_begun_watch(struct sv_begun_room *room, struct sv_begun *b, const struct sv_actor *who, uint64_t seen,
                    void (*ended)(struct sv_begun *b, const struct sv_error *why))
{
    pthread_mutex_lock(&room->lock);
    if (!b->of) {
        struct token_watch *t = find(room, who);
        if (!t)
            t = add_token(room, who);
        atomic_store(&b->over, SV_OK);
        b->ended = ended;
        b->of = t;
        b->link = &t->first;
        b->next = t->first;
        if (b->next)
            b->next->link = &b->next;
        t->first = b;
        room->begun++;
        int64_t before = room->look_at;
        plan(room, who);
        if (seen != atomic_load(&room->changes))
            look_soon(room);
        else if (room->look_at < before)
            pthread_cond_signal(&room->sooner);
    }
    pthread_mutex_unlock(&room->lock);
}

void sv_begun_forget(struct sv_begun_room *room, struct sv_begun *b)
{
    if (!room) /* a connection of the time before the database was open */
        return;
    pthread_mutex_lock(&room->lock);
    if (b->of)
        take_off(room, b);
    pthread_mutex_unlock(&room->lock);
}

void sv_begun_stats(struct sv_begun_room *room, struct sv_begun_stats *ret)
{
    pthread_mutex_lock(&room->lock);
    *ret = (struct sv_begun_stats){.tokens = room->tokens, .begun = room->begun, .ended = room->ended};
    pthread_mutex_unlock(&room->lock);
}

/* --- life --------------------------------------------------------------------------------------------------- */

struct sv_begun_room *sv_begun_room_new(struct sv_db *db)
{
    struct sv_begun_room *room = sv_alloc(sizeof(*room));
    room->db = db;
    room->look_at = INT64_MAX;
    pthread_mutex_init(&room->lock, NULL);
    sv_cond_init(&room->sooner);
    if (pthread_create(&room->thread, NULL, run, room) != 0)
        abort(); /* at start-up only; without it no revocation would end anything */
    return room;
}

void sv_begun_room_stop(struct sv_begun_room *room)
{
    if (!room)
        return;
    pthread_mutex_lock(&room->lock);
    bool first = !room->stop;
    room->stop = true;
    pthread_cond_signal(&room->sooner);
    pthread_mutex_unlock(&room->lock);
    if (first)
        pthread_join(room->thread, NULL);
}

void sv_begun_room_free(struct sv_begun_room *room)
{
    if (!room)
        return;
    sv_begun_room_stop(room);
    pthread_cond_destroy(&room->sooner);
    pthread_mutex_destroy(&room->lock);
    free(room);
}
