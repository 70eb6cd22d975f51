/* Clients that go while nobody reads from them. */
#include "check.h"
#include "server/hangup.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static unsigned gone_count;

static void gone(struct sv_watch *w)
{
    (void)w;
    pthread_mutex_lock(&lock);
    gone_count++;
    pthread_cond_broadcast(&change);
    pthread_mutex_unlock(&lock);
}

static void wait_gone(unsigned n)
{
    pthread_mutex_lock(&lock);
    while (gone_count < n)
        pthread_cond_wait(&change, &lock);
    pthread_mutex_unlock(&lock);
}

static void pair(int *ends)
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
}

static void closed_or_half_closed(void)
{
    struct sv_hangups *h = sv_hangups_new();
    int a[2], b[2], c[2];
    pair(a);
    pair(b);
    pair(c);
    struct sv_watch one = {.fd = a[0], .gone = gone}, two = {.fd = b[0], .gone = gone},
                    stays = {.fd = c[0], .gone = gone};
    gone_count = 0;
    sv_hangup_watch(h, &one);
    sv_hangup_watch(h, &two);
    sv_hangup_watch(h, &stays);
    CHECK_INT(sv_hangups_count(h), 3);
    CHECK(write(c[1], "x", 1) == 1); /* what it sends is no hang-up */
    close(a[1]);
    wait_gone(1);
    CHECK(shutdown(b[1], SHUT_WR) == 0);
    wait_gone(2);
    sv_hangup_forget(h, &one);
    sv_hangup_forget(h, &two);
    CHECK_INT(sv_hangups_count(h), 1);
    sv_hangup_forget(h, &stays);
    sv_hangup_forget(h, &stays);
    close(c[1]);
    sv_hangups_free(h);
    CHECK_INT(gone_count, 2);
    close(a[0]);
    close(b[0]);
    close(b[1]);
    close(c[0]);
}

static void gone_before(void)
{
    struct sv_hangups *h = sv_hangups_new();
    int a[2];
    pair(a);
    close(a[1]);
    struct sv_watch w = {.fd = a[0], .gone = gone};
    gone_count = 0;
    sv_hangup_watch(h, &w);
    wait_gone(1);
    sv_hangup_forget(h, &w);
    sv_hangups_free(h);
    close(a[0]);
}

/* Once forgotten a watch may go, and its number be another's. */
static void race(void)
{
    struct sv_hangups *h = sv_hangups_new();
    for (unsigned i = 0; i < 5000; i++) {
        int a[2];
        pair(a);
        struct sv_watch *w = malloc(sizeof(*w));
        CHECK(w);
        *w = (struct sv_watch){.fd = a[0], .gone = gone};
        sv_hangup_watch(h, w);
        close(a[1]);
        sv_hangup_forget(h, w);
        memset(w, 0xff, sizeof(*w));
        free(w);
        close(a[0]);
    }
    CHECK_INT(sv_hangups_count(h), 0);
    sv_hangups_free(h);
}

CHECK_MAIN(T(closed_or_half_closed), T(gone_before), T(race))
