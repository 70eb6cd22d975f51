#include "starvirt/thread.h"

#include "check.h"
#include "starvirt/clock.h"

static void a_wait_ends_with_its_time(void)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond;
    const int64_t until = sv_mono_ms() + 20;

    sv_cond_init(&cond);
    pthread_mutex_lock(&mutex);
    while (sv_cond_wait(&cond, &mutex, until))
        continue;
    CHECK(sv_mono_ms() >= until);
    pthread_mutex_unlock(&mutex);
    pthread_cond_destroy(&cond);
}

/* A crew of one thread that counts what it is given. */
struct counting {
    struct sv_crew crew;
    bool running;
    int todo, done, began;
};

static void *count(void *arg)
{
    struct counting *c = arg;

    pthread_mutex_lock(&c->crew.mutex);
    c->began++;
    for (; c->todo; c->todo--)
        c->done++;
    sv_crew_leave(&c->crew, &c->running);
    pthread_mutex_unlock(&c->crew.mutex);
    return NULL;
}

static bool give(struct counting *c)
{
    bool begun;

    pthread_mutex_lock(&c->crew.mutex);
    c->todo++;
    begun = sv_crew_wake(&c->crew, &c->running, count, c);
    pthread_mutex_unlock(&c->crew.mutex);
    return begun;
}

static void a_crew_does_all_and_is_waited_for(void)
{
    struct counting c = {.todo = 0};

    sv_crew_init(&c.crew);
    for (int i = 0; i < 1000; i++)
        give(&c);
    sv_crew_stop(&c.crew);
    CHECK_INT(c.done, 1000);
    CHECK_INT(c.todo, 0);
    CHECK_INT(c.crew.threads, 0);
    CHECK(!c.running && c.began >= 1);
    sv_crew_free(&c.crew);
}

static void a_stopped_crew_begins_nothing(void)
{
    struct counting c = {.todo = 0};

    sv_crew_init(&c.crew);
    sv_crew_stop(&c.crew);
    CHECK(!give(&c));
    CHECK_INT(c.began, 0);
    sv_crew_free(&c.crew);
}

CHECK_MAIN(T(a_wait_ends_with_its_time), T(a_crew_does_all_and_is_waited_for), T(a_stopped_crew_begins_nothing))
