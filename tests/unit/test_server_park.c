#include "check.h"
#include "server/park.h"
#include "starvirt/clock.h"
#include "starvirt/mem.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static unsigned woken_count;

static void woken(struct sv_waiter *w)
{
    (void)w;
    pthread_mutex_lock(&lock);
    woken_count++;
    pthread_cond_broadcast(&change);
    pthread_mutex_unlock(&lock);
}

static void wait_woken(unsigned n)
{
    pthread_mutex_lock(&lock);
    while (woken_count < n)
        pthread_cond_wait(&change, &lock);
    pthread_mutex_unlock(&lock);
}

static struct sv_waiter waiter(const char *key, int64_t ms)
{
    struct sv_waiter w = {.deadline = sv_mono_ms() + ms, .woken = woken};
    SV_COPY(w.key, key);
    return w;
}

static void wakes_its_key_only(void)
{
    struct sv_park *p = sv_park_new();
    struct sv_waiter a = waiter("job:a", 60000), b = waiter("job:b", 60000);
    woken_count = 0;
    CHECK(sv_park_add(p, &a) && sv_park_add(p, &b));
    CHECK(sv_park_sleep(p, &a) && sv_park_sleep(p, &b));
    sv_park_wake(p, "job:a");
    wait_woken(1);
    CHECK(!a.over);
    CHECK_INT(sv_park_count(p), 1);
    sv_park_stop(p);
    wait_woken(2);
    CHECK(b.over);
    sv_park_free(p);
    CHECK_INT(woken_count, 2);
}

/* The change comes between looking and sleeping. */
static void no_lost_wake(void)
{
    struct sv_park *p = sv_park_new();
    struct sv_waiter a = waiter("job:a", 60000);
    woken_count = 0;
    CHECK(sv_park_add(p, &a));
    sv_park_wake(p, "job:a");
    CHECK(!sv_park_sleep(p, &a));
    CHECK_INT(sv_park_count(p), 0);
    sv_park_wake(p, "job:a");
    sv_park_free(p);
    CHECK_INT(woken_count, 0);
}

static void deadline(void)
{
    struct sv_park *p = sv_park_new();
    struct sv_waiter a = waiter("job:a", 30), b = waiter("events", 60000);
    woken_count = 0;
    CHECK(sv_park_add(p, &b) && sv_park_sleep(p, &b));
    CHECK(sv_park_add(p, &a) && sv_park_sleep(p, &a)); /* sooner than what the timer sleeps for */
    wait_woken(1);
    CHECK(a.over && sv_mono_ms() >= a.deadline);
    CHECK_INT(sv_park_count(p), 1);
    sv_park_stop(p);
    sv_park_free(p);
}

static void events_come_together(void)
{
    struct sv_park *p = sv_park_new();
    struct sv_waiter a = waiter("events", 60000);
    woken_count = 0;
    CHECK(sv_park_add(p, &a) && sv_park_sleep(p, &a));
    for (int i = 0; i < 1000; i++)
        sv_park_wake(p, "events");
    wait_woken(1);
    CHECK(!a.over);
    int64_t before = sv_mono_ms();
    CHECK(sv_park_add(p, &a) && sv_park_sleep(p, &a));
    sv_park_wake(p, "events");
    wait_woken(2);
    CHECK(sv_mono_ms() - before < 10000);
    sv_park_free(p);
    CHECK_INT(woken_count, 2);
}

static void stop(void)
{
    struct sv_park *p = sv_park_new();
    struct sv_waiter a = waiter("job:a", 60000), b = waiter("job:b", 60000);
    CHECK(sv_park_add(p, &b));
    sv_park_stop(p);
    CHECK(!sv_park_sleep(p, &b) && b.over);
    CHECK(!sv_park_add(p, &a));
    sv_park_free(p);
}

/* One of two with the same key; before it sleeps, while it does, and when it is not there any more. */
static void hurry(void)
{
    struct sv_park *p = sv_park_new();
    struct sv_waiter a = waiter("job:a", 60000), b = waiter("job:a", 60000);
    woken_count = 0;
    sv_park_hurry(p, &a);
    CHECK(sv_park_add(p, &a) && sv_park_add(p, &b) && sv_park_sleep(p, &b));
    sv_park_hurry(p, &a);
    CHECK(!sv_park_sleep(p, &a) && a.over);
    CHECK_INT(sv_park_count(p), 1);
    CHECK(sv_park_add(p, &a) && sv_park_sleep(p, &a));
    CHECK(!a.over);
    sv_park_hurry(p, &a);
    wait_woken(1);
    CHECK(a.over && !b.over);
    sv_park_hurry(p, &a);
    sv_park_free(p);
    CHECK_INT(woken_count, 2);
}

enum { ROUNDS = 20000 };
static struct sv_park *raced;

static void *keep_waking(void *arg)
{
    const unsigned *seen = arg;
    for (;;) {
        pthread_mutex_lock(&lock);
        bool over = *seen >= ROUNDS;
        pthread_mutex_unlock(&lock);
        if (over)
            return NULL;
        sv_park_wake(raced, "job:x");
    }
}

/* Waking and falling asleep at the same time: each round ends, by one way or the other. */
static void race(void)
{
    static unsigned rounds;
    pthread_t waker;
    raced = sv_park_new();
    woken_count = 0;
    CHECK(pthread_create(&waker, NULL, keep_waking, &rounds) == 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct sv_waiter w = waiter("job:x", 60000);
        pthread_mutex_lock(&lock);
        unsigned before = woken_count;
        pthread_mutex_unlock(&lock);
        CHECK(sv_park_add(raced, &w));
        if (sv_park_sleep(raced, &w))
            wait_woken(before + 1);
        pthread_mutex_lock(&lock);
        rounds++;
        pthread_mutex_unlock(&lock);
    }
    pthread_join(waker, NULL);
    CHECK_INT(sv_park_count(raced), 0);
    sv_park_free(raced);
}

CHECK_MAIN(T(wakes_its_key_only), T(no_lost_wake), T(deadline), T(events_come_together), T(stop), T(hurry), T(race))
