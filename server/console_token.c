#include "server/console_token.h"
#include "starvirt/clock.h"
#include "starvirt/mem.h"
#include "starvirt/text.h"

#include <pthread.h>
#include <stdlib.h>

enum { RAW_LEN = SV_CONSOLE_TOKEN_LEN / 2 };

struct slot {
    unsigned char hash[SV_SHA256_LEN];
    struct sv_id tenant, vm;
    struct sv_actor who;
    int64_t expires; /* [ms] monotonic, 0 = free */
    uint64_t serial; /* which is older */
};

/* A thousand slots are looked through in microseconds: no index could tell less about what is in it. */
struct sv_console_tokens {
    pthread_mutex_t lock;
    int64_t life_ms;
    uint64_t issued;
    struct slot slots[SV_MAX_CONSOLE_TOKENS];
};

struct sv_console_tokens *sv_console_tokens_new(int64_t life_ms)
{
    struct sv_console_tokens *t = sv_alloc(sizeof(*t));
    pthread_mutex_init(&t->lock, NULL);
    t->life_ms = life_ms;
    return t;
}

void sv_console_tokens_free(struct sv_console_tokens *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    explicit_bzero(t, sizeof(*t));
    free(t);
}

static bool older(const struct slot *a, const struct slot *b)
{
    return !b || a->serial < b->serial;
}

/* A free slot, else the oldest: the tenant's own when it has its share, anybody's when all are taken. */
static struct slot *slot_for(struct sv_console_tokens *t, const struct sv_id *tenant, int64_t now)
{
    struct slot *unused = NULL, *own = NULL, *any = NULL;
    unsigned owned = 0;
    for (unsigned i = 0; i < SV_MAX_CONSOLE_TOKENS; i++) {
        struct slot *s = &t->slots[i];
        if (s->expires <= now) {
            unused = s;
            continue;
        }
        if (older(s, any))
            any = s;
        if (!sv_id_eq(&s->tenant, tenant))
            continue;
        owned++;
        if (older(s, own))
            own = s;
    }
    if (owned >= SV_MAX_CONSOLE_TOKENS_EACH)
        return own;
    return unused ? unused : any;
}

void sv_console_token_issue(struct sv_console_tokens *t, const struct sv_id *tenant, const struct sv_id *vm,
                            const struct sv_actor *who, char ret[SV_CONSOLE_TOKEN_LEN + 1])
{
    unsigned char raw[RAW_LEN];
    int64_t now = sv_mono_ms();
    sv_random(raw, sizeof(raw));
    sv_hex(raw, sizeof(raw), ret);
    explicit_bzero(raw, sizeof(raw));
    pthread_mutex_lock(&t->lock);
    struct slot *s = slot_for(t, tenant, now);
    *s = (struct slot){.tenant = *tenant, .vm = *vm, .who = *who, .expires = now + t->life_ms, .serial = t->issued++};
    sv_sha256(ret, SV_CONSOLE_TOKEN_LEN, s->hash);
    pthread_mutex_unlock(&t->lock);
}

bool sv_console_token_redeem(struct sv_console_tokens *t, const char *token, const struct sv_id *vm,
                             struct sv_id *ret_tenant, struct sv_actor *ret_who)
{
    unsigned char hash[SV_SHA256_LEN];
    struct slot found = {.expires = 0};
    sv_sha256(token, strlen(token), hash);
    pthread_mutex_lock(&t->lock);
    for (unsigned i = 0; i < SV_MAX_CONSOLE_TOKENS; i++) {
        struct slot *s = &t->slots[i];
        if (!sv_equal_const_time(s->hash, hash, sizeof(hash)) || s->expires == 0)
            continue;
        found = *s;
        *s = (struct slot){.expires = 0};
    }
    pthread_mutex_unlock(&t->lock);
    if (found.expires <= sv_mono_ms() || !sv_id_eq(&found.vm, vm))
        return false;
    *ret_tenant = found.tenant;
    *ret_who = found.who;
    return true;
}

unsigned sv_console_tokens_waiting(struct sv_console_tokens *t)
{
    unsigned n = 0;
    int64_t now = sv_mono_ms();
    pthread_mutex_lock(&t->lock);
    for (unsigned i = 0; i < SV_MAX_CONSOLE_TOKENS; i++)
        n += t->slots[i].expires > now;
    pthread_mutex_unlock(&t->lock);
    return n;
}
