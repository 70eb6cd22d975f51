/* The event loop that libvirt is given, asked through libvirt's own functions. */
#include "hv/libvirt/internal.h"

#include "tests/unit/check.h"

#include <unistd.h>

static struct {
    pthread_mutex_t mu;
    pthread_cond_t changed;
    unsigned calls, drops, turns;
    int events;
} seen = {.mu = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void reset(void)
{
    pthread_mutex_lock(&seen.mu);
    seen.calls = seen.drops = 0;
    seen.events = 0;
    pthread_mutex_unlock(&seen.mu);
}

static void note(unsigned *count)
{
    pthread_mutex_lock(&seen.mu);
    (*count)++;
    pthread_cond_broadcast(&seen.changed);
    pthread_mutex_unlock(&seen.mu);
}

static void until(const unsigned *count, unsigned n)
{
    pthread_mutex_lock(&seen.mu);
    while (*count < n)
        pthread_cond_wait(&seen.changed, &seen.mu);
    pthread_mutex_unlock(&seen.mu);
}

/* Until it was called with this event. */
static void until_event(int event)
{
    pthread_mutex_lock(&seen.mu);
    while (!(seen.events & event))
        pthread_cond_wait(&seen.changed, &seen.mu);
    pthread_mutex_unlock(&seen.mu);
}

static void dropped(void *arg)
{
    CHECK(arg == &seen);
    note(&seen.drops);
}

static void on_socket(int watch, int fd, int events, void *arg)
{
    char c;
    (void)watch;
    CHECK(arg == &seen);
    if (events & VIR_EVENT_HANDLE_READABLE && read(fd, &c, 1) < 0)
        CHECK(false);
    pthread_mutex_lock(&seen.mu);
    seen.events = events;
    pthread_mutex_unlock(&seen.mu);
    note(&seen.calls);
}

static void on_timer(int timer, void *arg)
{
    CHECK(arg == &seen);
    if (seen.calls == 2) /* from within: it has its last turn now */
        CHECK_INT(virEventRemoveTimeout(timer), 0);
    note(&seen.calls);
}

static void once(int timer, void *arg)
{
    (void)arg;
    CHECK_INT(virEventRemoveTimeout(timer), 0);
    note(&seen.turns);
}

/* Until the loop has had a turn: a timer of its own says so. */
static void turn(void)
{
    static unsigned turns;
    CHECK(virEventAddTimeout(0, once, NULL, NULL) > 0);
    until(&seen.turns, ++turns);
}

static void sockets(void)
{
    int pipes[2];
    CHECK_INT(pipe(pipes), 0);
    reset();
    int id = virEventAddHandle(pipes[0], VIR_EVENT_HANDLE_READABLE, on_socket, &seen, dropped);
    CHECK(id > 0);
    CHECK_INT(write(pipes[1], "a", 1), 1);
    until(&seen.calls, 1);
    until_event(VIR_EVENT_HANDLE_READABLE);
    /* Without events it is left alone, whatever comes. */
    virEventUpdateHandle(id, 0);
    turn();
    CHECK_INT(write(pipes[1], "b", 1), 1);
    turn();
    CHECK_INT(seen.calls, 1);
    virEventUpdateHandle(id, VIR_EVENT_HANDLE_READABLE);
    until(&seen.calls, 2);
    CHECK_INT(seen.drops, 0);
    CHECK_INT(virEventRemoveHandle(id), 0);
    CHECK_INT(virEventRemoveHandle(id), -1);
    until(&seen.drops, 1);
    CHECK_INT(write(pipes[1], "c", 1), 1);
    turn();
    CHECK_INT(seen.calls, 2);
    close(pipes[0]);
    close(pipes[1]);
}

static void hangups(void)
{
    int pipes[2];
    CHECK_INT(pipe(pipes), 0);
    reset();
    int id = virEventAddHandle(pipes[1], VIR_EVENT_HANDLE_WRITABLE, on_socket, &seen, dropped);
    until_event(VIR_EVENT_HANDLE_WRITABLE);
    close(pipes[0]);
    until_event(VIR_EVENT_HANDLE_ERROR);
    CHECK_INT(virEventRemoveHandle(id), 0);
    until(&seen.drops, 1);
    close(pipes[1]);
}

static void timers(void)
{
    reset();
    int id = virEventAddTimeout(-1, on_timer, &seen, dropped);
    CHECK(id > 0);
    turn();
    CHECK_INT(seen.calls, 0);
    int64_t t0 = sv_mono_ms();
    virEventUpdateTimeout(id, 30);
    until(&seen.calls, 3);
    CHECK(sv_mono_ms() - t0 >= 90);
    until(&seen.drops, 1);
    turn();
    CHECK_INT(seen.calls, 3);
    CHECK_INT(virEventRemoveTimeout(id), -1);
}

/* More than fit at first, and none is lost. */
static void many(void)
{
    enum { MANY = 100 };
    int ids[MANY];
    reset();
    for (int i = 0; i < MANY; i++)
        ids[i] = virEventAddTimeout(-1, on_timer, &seen, dropped);
    for (int i = 0; i < MANY; i++)
        CHECK_INT(virEventRemoveTimeout(ids[i]), 0);
    until(&seen.drops, MANY);
    CHECK_INT(seen.calls, 0);
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {T(sockets), T(hangups), T(timers), T(many)};
    CHECK(lv_library_ready());
    return check_run(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
