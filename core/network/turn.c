/* One at a time for each unit of networks: what reads its wish and tells the engine. A unit whose engine call hangs
 * holds up nobody but itself. */
#include "core/network/network.h"
#include "starvirt/thread.h"

struct sv_turns {
    pthread_mutex_t mutex;
    pthread_cond_t given;
    struct sv_turn *held;
};

enum { LOOK_MS = 100 }; /* how often a canceller is asked after */

void sv_turns_init(struct sv_cloud *c)
{
    c->turns = sv_alloc(sizeof(*c->turns));
    pthread_mutex_init(&c->turns->mutex, NULL);
    sv_cond_init(&c->turns->given);
}

void sv_turns_end(struct sv_cloud *c)
{
    pthread_mutex_destroy(&c->turns->mutex);
    pthread_cond_destroy(&c->turns->given);
    free(c->turns);
}

static bool is_held(const struct sv_turns *t, const struct sv_id *unit)
{
    const struct sv_turn *h = t->held;

    while (h && !sv_id_eq(&h->unit, unit))
        h = h->next;
    return h != NULL;
}

enum sv_err sv_turn_take(struct sv_cloud *c, const struct sv_id *unit, const struct sv_deadline *d, struct sv_turn *ret,
                         struct sv_error *err)
{
    struct sv_turns *t = c->turns;
    bool mine;

    pthread_mutex_lock(&t->mutex);
    while (is_held(t, unit) && !sv_deadline_over(d) && !sv_deadline_cancelled(d))
        sv_cond_wait(&t->given, &t->mutex, sv_deadline_within(d, LOOK_MS).mono_ms);
    mine = !is_held(t, unit);
    if (mine) {
        *ret = (struct sv_turn){.unit = *unit, .next = t->held};
        t->held = ret;
    }
    pthread_mutex_unlock(&t->mutex);
    return mine ? SV_OK : sv_fail(err, SV_E_NETWORK, SV_F_NONE, "another change of it did not end in time");
}

void sv_turn_give(struct sv_cloud *c, struct sv_turn *turn)
{
    struct sv_turns *t = c->turns;
    struct sv_turn **at = &t->held;

    pthread_mutex_lock(&t->mutex);
    while (*at != turn)
        at = &(*at)->next;
    *at = turn->next;
    pthread_cond_broadcast(&t->given);
    pthread_mutex_unlock(&t->mutex);
}
