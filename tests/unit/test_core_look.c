/* Looks at what may hang: who asked hears of the end, what was seen is kept, and the end waits for no look that hangs.
 */
#include "check.h"
#include "core/run/run.h"
#include "starvirt/clock.h"
#include "starvirt/thread.h"

/* What a look finds, and whether it is let through. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t change;
    int value;
    int looks, news;
    bool shut;
    char key[SV_LOOK_KEY_LEN];
} world = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static struct sv_cloud cloud;
static const struct sv_id here = {"here"}, there = {"there"}, thing = {"thing"}, other = {"other"};

static void *question(void *arg)
{
    (void)arg;
    return sv_alloc(sizeof(int));
}

static void look_at(void *seen)
{
    pthread_mutex_lock(&world.mutex);
    world.looks++;
    pthread_cond_broadcast(&world.change);
    while (world.shut)
        pthread_cond_wait(&world.change, &world.mutex);
    *(int *)seen = world.value;
    pthread_mutex_unlock(&world.mutex);
}

static bool answers(const void *seen, void *arg)
{
    *(int *)arg = *(const int *)seen;
    return true;
}

static const struct sv_look_kind kind = {
    .news = "test", .question = question, .look = look_at, .answers = answers, .free = free};

static void hear(void *arg, const char *key)
{
    (void)arg;
    pthread_mutex_lock(&world.mutex);
    world.news++;
    SV_COPY(world.key, key);
    pthread_cond_broadcast(&world.change);
    pthread_mutex_unlock(&world.mutex);
}

static void begin(void)
{
    sv_cond_init(&world.change);
    world.value = 7;
    world.looks = world.news = 0;
    world.shut = false;
    sv_looks_init(&cloud, hear, NULL);
}

static void wait_for(const int *count, int at_least)
{
    const int64_t until = sv_mono_ms() + 20000;

    pthread_mutex_lock(&world.mutex);
    while (*count < at_least)
        CHECK(sv_cond_wait(&world.change, &world.mutex, until));
    pthread_mutex_unlock(&world.mutex);
}

static void shut(bool is)
{
    pthread_mutex_lock(&world.mutex);
    world.shut = is;
    pthread_cond_broadcast(&world.change);
    pthread_mutex_unlock(&world.mutex);
}

/* What is known of the object since then; -1: nothing. */
static int known(const struct sv_id *place, const struct sv_id *object, struct sv_look *look)
{
    int value = -1;

    return sv_looked(&cloud, &kind, place, object, look, &value) ? value : -1;
}

static void who_asked_is_told(void)
{
    struct sv_look look = {.since_us = sv_mono_us()}, again = look;

    begin();
    CHECK_INT(known(&here, &thing, &look), -1);
    CHECK(look.later);
    CHECK_STR(look.key, "test:thing");
    wait_for(&world.news, 1);
    CHECK_STR(world.key, "test:thing");
    CHECK_INT(known(&here, &thing, &again), 7);
    CHECK(!again.later);
    CHECK(sv_looks_free(&cloud));
    CHECK_INT(world.looks, 1);
}

static void what_was_seen_before_is_no_answer(void)
{
    struct sv_look look = {.since_us = sv_mono_us()}, later;

    begin();
    known(&here, &thing, &look);
    wait_for(&world.news, 1);
    world.value = 8;
    later = (struct sv_look){.since_us = sv_mono_us()};
    CHECK_INT(known(&here, &thing, &later), -1);
    wait_for(&world.news, 2);
    CHECK_INT(known(&here, &thing, &later), 8);
    CHECK(sv_looks_free(&cloud));
}

static void the_last_time_nobody_waits(void)
{
    struct sv_look look = {.since_us = sv_mono_us(), .last = true};

    begin();
    CHECK_INT(known(&here, &thing, &look), -1);
    CHECK(!look.later);
    CHECK(sv_looks_free(&cloud));
}

static void a_place_that_hangs_holds_up_no_other(void)
{
    struct sv_look look = {.since_us = sv_mono_us()};

    begin();
    shut(true);
    known(&here, &thing, &look);
    wait_for(&world.looks, 1);
    known(&here, &other, &look); /* waits for that thread */
    known(&there, &thing, &look);
    wait_for(&world.looks, 2);
    shut(false);
    wait_for(&world.news, 3);
    CHECK_INT(world.looks, 3);
    CHECK_INT(known(&here, &other, &look), 7);
    CHECK(sv_looks_free(&cloud));
}

/* The last one: its thread stays. */
static void the_end_waits_for_none_that_hangs(void)
{
    struct sv_look look = {.since_us = sv_mono_us()};
    int64_t began;

    begin();
    shut(true);
    known(&here, &thing, &look);
    wait_for(&world.looks, 1);
    began = sv_mono_ms();
    CHECK(!sv_looks_free(&cloud));
    CHECK(sv_mono_ms() - began < 15000);
}

CHECK_MAIN(T(who_asked_is_told), T(what_was_seen_before_is_no_answer), T(the_last_time_nobody_waits),
           T(a_place_that_hangs_holds_up_no_other), T(the_end_waits_for_none_that_hangs))
