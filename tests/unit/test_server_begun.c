/* What was begun with a token ends with it: told once, by the rule that lets requests in. */
#include <pthread.h>
#include <sched.h>

#include "server/links.h"
#include "starvirt/clock.h"
#include "store_fixture.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;

struct thing {
    struct sv_begun begun; /* first */
    enum sv_err told;
    unsigned times;
};

static void ended(struct sv_begun *b, const struct sv_error *reason)
{
    struct thing *t = (struct thing *)(void *)b;
    pthread_mutex_lock(&lock);
    t->told = reason->code;
    t->times++;
    pthread_cond_broadcast(&change);
    pthread_mutex_unlock(&lock);
}

static enum sv_err wait_told(const struct thing *t)
{
    pthread_mutex_lock(&lock);
    while (t->times == 0)
        pthread_cond_wait(&change, &lock);
    pthread_mutex_unlock(&lock);
    CHECK_INT(atomic_load(&t->begun.over), t->told);
    return t->told;
}

struct order {
    struct sv_actor *who;
    int64_t life_ms; /* 0 = for good */
};

static unsigned char next_hash;

static enum sv_err make_token(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct order *o = arg;
    const unsigned char hash[32] = {++next_hash};
    struct sv_token t = {.id = sv_id_new(), .role = SV_ROLE_TENANT, .descr = "", .created = sv_tx_now(tx)};
    (void)err;
    t.tenant = sv_id_empty(&o->who->tenant) ? add_tenant(tx, t.id.s, &no_limit) : o->who->tenant;
    t.expires = o->life_ms ? t.created + o->life_ms : 0;
    WORKS(sv_token_insert(tx, &t, hash, &why));
    *o->who = (struct sv_actor){.role = t.role, .tenant = t.tenant, .token = t.id, .expires = t.expires};
    return SV_OK;
}

static struct sv_actor token(struct sv_db *db, const struct sv_id *tenant, int64_t life_ms)
{
    struct sv_actor who = {.tenant = {.s = ""}};
    struct order o = {&who, life_ms};
    if (tenant)
        who.tenant = *tenant;
    WORKS(sv_db_write(db, make_token, &o, &why));
    return who;
}

static enum sv_err delete_token(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_token_delete(tx, sv_scope_system(), arg, err);
}

static enum sv_err delete_tenant(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_tenant_delete(tx, sv_scope_system(), arg, err);
}

static void changed(void *arg)
{
    sv_begun_changed(arg);
}

struct place {
    struct fixture f;
    struct sv_db *db;
    struct sv_begun_room *room;
};

static struct place open_place(void)
{
    struct place p = {.f = fixture_new()};
    p.db = p.f.db;
    p.room = sv_begun_room_new(p.db);
    sv_db_on_tokens(p.db, changed, p.room);
    return p;
}

static void close_place(struct place *p)
{
    struct sv_begun_stats stats;
    sv_begun_stats(p->room, &stats);
    CHECK_INT(stats.begun, 0);
    CHECK_INT(stats.tokens, 0);
    sv_begun_room_stop(p->room);
    fixture_remove(&p->f);
    sv_begun_room_free(p->room);
}

static void each_way_a_token_goes(void)
{
    struct place p = open_place();
    struct sv_actor revoked = token(p.db, NULL, 0), orphan = token(p.db, NULL, 0), brief = token(p.db, NULL, 300);
    struct sv_actor stays = token(p.db, &revoked.tenant, 0), other = stays;
    struct thing a = {.times = 0}, a2 = a, b = a, c = a, d = a, e = a, left = a;
    other.role = SV_ROLE_ADMIN; /* as if its role had been changed */
    uint64_t seen = sv_begun_seen(p.room);
    sv_begun_watch(p.room, &a.begun, &revoked, seen, ended);
    sv_begun_watch(p.room, &a2.begun, &revoked, seen, ended);
    sv_begun_watch(p.room, &left.begun, &revoked, seen, ended);
    sv_begun_watch(p.room, &b.begun, &orphan, seen, ended);
    sv_begun_watch(p.room, &c.begun, &brief, seen, ended);
    sv_begun_watch(p.room, &d.begun, &stays, seen, ended);
    sv_begun_watch(p.room, &e.begun, &other, seen, ended);
    sv_begun_forget(p.room, &left.begun);
    WORKS(sv_db_write(p.db, delete_token, &revoked.token, &why));
    CHECK_INT(wait_told(&a), SV_E_TOKEN_INVALID);
    CHECK_INT(wait_told(&a2), SV_E_TOKEN_INVALID);
    CHECK_INT(wait_told(&e), SV_E_TOKEN_INVALID);
    WORKS(sv_db_write(p.db, delete_tenant, &orphan.tenant, &why));
    CHECK_INT(wait_told(&b), SV_E_TOKEN_INVALID);
    CHECK_INT(wait_told(&c), SV_E_TOKEN_EXPIRED);
    CHECK_INT(d.times, 0);
    CHECK_INT(left.times, 0);
    CHECK_INT(atomic_load(&left.begun.over), SV_OK);
    sv_begun_forget(p.room, &d.begun);
    CHECK(a.times == 1 && a2.times == 1 && b.times == 1 && c.times == 1 && e.times == 1);
    close_place(&p);
}

static void gone_before_it_is_watched(void)
{
    struct place p = open_place();
    struct sv_actor who = token(p.db, NULL, 0);
    struct thing late = {.times = 0};
    uint64_t seen = sv_begun_seen(p.room); /* and here the token is looked at, and good */
    WORKS(sv_db_write(p.db, delete_token, &who.token, &why));
    sv_begun_watch(p.room, &late.begun, &who, seen, ended);
    CHECK_INT(wait_told(&late), SV_E_TOKEN_INVALID);
    close_place(&p);
}

static void standing_of_a_connection(void)
{
    struct place p = open_place();
    struct sv_links *links = sv_links_new(16);
    struct sv_actor first = token(p.db, NULL, 0), second = token(p.db, NULL, 0);
    const struct sv_peer peer = {.net = {[15] = 1}};
    struct sv_link *link = sv_link_open(links, -1, &peer);
    struct thing witness = {.times = 0};
    sv_link_shown(link, p.room, &first, sv_begun_seen(p.room));
    CHECK(atomic_load(&link->good));
    sv_link_shown(link, p.room, &second, sv_begun_seen(p.room)); /* the one shown last counts */
    WORKS(sv_db_write(p.db, delete_token, &first.token, &why));
    sv_begun_watch(p.room, &witness.begun, &second, sv_begun_seen(p.room), ended);
    CHECK(atomic_load(&link->good));
    WORKS(sv_db_write(p.db, delete_token, &second.token, &why));
    wait_told(&witness);
    while (atomic_load(&link->begun.over) == SV_OK || atomic_load(&link->good))
        sched_yield();
    sv_link_forget(link, p.room);
    sv_link_close(links, link);
    sv_links_free(links);
    close_place(&p);
}

CHECK_MAIN(T(each_way_a_token_goes), T(gone_before_it_is_watched), T(standing_of_a_connection))
