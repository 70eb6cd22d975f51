/* Who gets a place of what all tenants share. */
#include "check.h"
#include "server/share.h"
#include "starvirt/limits.h"
#include "starvirt/mem.h"

#include <pthread.h>

static struct sv_actor who(unsigned n, enum sv_role role)
{
    struct sv_actor a = {.role = role};
    snprintf(a.tenant.s, sizeof(a.tenant.s), "01890a5d-ac96-774b-bcce-%012x", n);
    return a;
}

static struct sv_supply_stats stats(struct sv_shares *s, enum sv_supply of)
{
    struct sv_supply_stats y;
    sv_shares_stats(s, of, &y);
    return y;
}

/* How many it gets; they are at `places`. */
static unsigned take_all(struct sv_shares *s, const struct sv_actor *a, struct sv_place *places, unsigned most,
                         struct sv_error *err)
{
    unsigned n = 0;
    while (n < most && sv_share_take(s, SV_SUPPLY_POLLS, a, &places[n], err) == SV_OK)
        n++;
    return n;
}

enum { SHARE = SV_MAX_POLLS / 4, RESERVE = SV_MAX_POLLS / 16 };

static void a_quarter_each(void)
{
    struct sv_shares *s = sv_shares_new(SV_MAX_CONNECTIONS);
    static struct sv_place a[SV_MAX_POLLS], b[SV_MAX_POLLS];
    const struct sv_actor one = who(1, SV_ROLE_TENANT), other = who(2, SV_ROLE_TENANT);
    struct sv_error err = {0};
    CHECK_INT(take_all(s, &one, a, SV_MAX_POLLS, &err), SHARE);
    CHECK_INT(err.code, SV_E_SHARE_USED);
    CHECK_STR(err.arg[0], "long polls");
    CHECK_STR(err.arg[1], sv_dec(SHARE).s);
    CHECK_INT(take_all(s, &other, b, SV_MAX_POLLS, &err), SHARE);
    CHECK_INT(stats(s, SV_SUPPLY_POLLS).used, 2 * SHARE);
    CHECK_INT(stats(s, SV_SUPPLY_POLLS).tenants, 2);
    CHECK_INT(stats(s, SV_SUPPLY_POLLS).refused_share, 2);
    struct sv_place upload = {0};
    CHECK_INT(sv_share_take(s, SV_SUPPLY_UPLOADS, &one, &upload, &err), SV_OK);
    sv_share_give(s, &upload);
    sv_share_give(s, &a[0]);
    sv_share_give(s, &a[0]); /* once is enough */
    CHECK_INT(stats(s, SV_SUPPLY_POLLS).used, 2 * SHARE - 1);
    CHECK_INT(sv_share_take(s, SV_SUPPLY_POLLS, &one, &a[0], &err), SV_OK);
    for (unsigned i = 0; i < SHARE; i++) {
        sv_share_give(s, &a[i]);
        sv_share_give(s, &b[i]);
    }
    CHECK_INT(stats(s, SV_SUPPLY_POLLS).used, 0);
    CHECK_INT(stats(s, SV_SUPPLY_POLLS).tenants, 0);
    sv_shares_free(s);
}

/* Four greedy ones leave something to others who have nothing; who has some gets no more of it. */
static void the_last_are_for_those_who_have_none(void)
{
    struct sv_shares *s = sv_shares_new(SV_MAX_CONNECTIONS);
    static struct sv_place all[SV_MAX_POLLS + 1];
    struct sv_error err = {0};
    unsigned n = 0;
    for (unsigned t = 1; t <= 4; t++) {
        const struct sv_actor a = who(t, SV_ROLE_TENANT);
        n += take_all(s, &a, all + n, SV_MAX_POLLS, &err);
    }
    CHECK_INT(n, SV_MAX_POLLS - RESERVE);
    CHECK_INT(err.code, SV_E_OVERLOADED);
    CHECK(strstr(err.arg[0], "long polls"));
    for (unsigned t = 5; n < SV_MAX_POLLS; t++) {
        const struct sv_actor a = who(t, SV_ROLE_TENANT);
        CHECK_INT(take_all(s, &a, all + n, 2, &err), 1);
        n++;
    }
    const struct sv_actor late = who(5000, SV_ROLE_TENANT);
    CHECK_INT(sv_share_take(s, SV_SUPPLY_POLLS, &late, &all[n], &err), SV_E_OVERLOADED);
    CHECK_INT(stats(s, SV_SUPPLY_POLLS).used, SV_MAX_POLLS);
    CHECK_INT(stats(s, SV_SUPPLY_POLLS).most, SHARE);
    while (n > 0)
        sv_share_give(s, &all[--n]);
    sv_shares_free(s);
}

static void an_administrator_takes_three_quarters(void)
{
    struct sv_shares *s = sv_shares_new(SV_MAX_CONNECTIONS);
    static struct sv_place a[SV_MAX_POLLS];
    struct sv_place one = {0};
    struct sv_error err = {0};
    const struct sv_actor admin = who(1, SV_ROLE_ADMIN), tenant = who(2, SV_ROLE_TENANT);
    CHECK_INT(take_all(s, &admin, a, SV_MAX_POLLS, &err), 3 * SHARE);
    CHECK_INT(err.code, SV_E_SHARE_USED);
    CHECK_INT(sv_share_take(s, SV_SUPPLY_POLLS, &tenant, &one, &err), SV_OK);
    sv_share_give(s, &one);
    for (unsigned i = 0; i < 3 * SHARE; i++)
        sv_share_give(s, &a[i]);
    sv_shares_free(s);
}

/* However few there are, there is one. */
static void scaled_down(void)
{
    struct sv_shares *s = sv_shares_new(64);
    struct sv_place p = {0}, q = {0};
    struct sv_error err = {0};
    const struct sv_actor one = who(1, SV_ROLE_TENANT), admin = who(2, SV_ROLE_ADMIN);
    CHECK_INT(stats(s, SV_SUPPLY_POLLS).limit, SV_MAX_POLLS / 64);
    CHECK_INT(stats(s, SV_SUPPLY_UPLOADS).limit, 1);
    CHECK_INT(sv_share_take(s, SV_SUPPLY_UPLOADS, &one, &p, &err), SV_OK);
    CHECK_INT(sv_share_take(s, SV_SUPPLY_UPLOADS, &one, &q, &err), SV_E_SHARE_USED);
    CHECK_INT(sv_share_take(s, SV_SUPPLY_UPLOADS, &admin, &q, &err), SV_E_OVERLOADED);
    sv_share_give(s, &p);
    CHECK_INT(sv_share_take(s, SV_SUPPLY_UPLOADS, &admin, &q, &err), SV_OK);
    sv_share_give(s, &q);
    sv_shares_free(s);
}

static struct sv_shares *raced;

static void *take_and_give(void *arg)
{
    const struct sv_actor a = who(*(const unsigned *)arg, SV_ROLE_TENANT);
    for (unsigned i = 0; i < 20000; i++) {
        struct sv_place p = {0};
        struct sv_error err = {0};
        CHECK_INT(sv_share_take(raced, SV_SUPPLY_CONSOLES, &a, &p, &err), SV_OK);
        sv_share_give(raced, &p);
    }
    return NULL;
}

static void race(void)
{
    static const unsigned tenants[] = {1, 1, 2, 3};
    pthread_t threads[4];
    raced = sv_shares_new(SV_MAX_CONNECTIONS);
    for (unsigned i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, take_and_give, (void *)(uintptr_t)&tenants[i]) == 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(stats(raced, SV_SUPPLY_CONSOLES).used, 0);
    sv_shares_free(raced);
}

CHECK_MAIN(T(a_quarter_each), T(the_last_are_for_those_who_have_none), T(an_administrator_takes_three_quarters),
           T(scaled_down), T(race))
