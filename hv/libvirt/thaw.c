#include "hv/libvirt/internal.h"

#include "starvirt/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

/* The watchdog's own life (freeze.c), in a process of its own that has nothing but the URI and an id. */

enum {
    TRY_AGAIN_MS = 1000,
    ONCE_MORE_MS = 3000, /* a freeze that was on its way to libvirt may have come in after the thaw */
    GIVE_UP_S = 600,
};

/* The copy has begun and the guest was thawed. False: the other end is gone, or takes too long. */
static bool told(void)
{
    char word = 0;
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    const struct sv_deadline d = sv_deadline_within(NULL, LV_THAW_ANYHOW_S * 1000);
    int r;
    do {
        r = poll(&p, 1, (int)sv_deadline_left(&d));
    } while (r < 0 && errno == EINTR);
    return r > 0 && read(STDIN_FILENO, &word, 1) == 1 && word == LV_THAW_OK;
}

static bool thaw(const char *uri, const char *domain)
{
    bool done = false;
    virConnectPtr conn = virConnectOpen(uri);
    if (!conn)
        return false;
    LV_DOMAIN d = virDomainLookupByUUIDString(conn, domain);
    if (!d)
        done = virGetLastErrorCode() == VIR_ERR_NO_DOMAIN;
    else if (virDomainIsActive(d) == 0)
        done = true; /* nobody is left to be frozen */
    else
        done = virDomainFSThaw(d, NULL, 0, 0) >= 0;
    lv_domain_free(&d);
    virConnectClose(conn);
    return done;
}

static void be_deaf(void)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaction(numbers[i], &ignore, NULL);
}

static void quiet(void *arg, virErrorPtr e)
{
    (void)arg;
    (void)e;
}

int sv_hv_thaw(const char *uri, const char *domain)
{
    be_deaf(); /* who ends a server ends all of its processes */
    if (told())
        return 0;
    alarm(GIVE_UP_S); /* libvirt may hang for ever */
    virSetErrorFunc(NULL, quiet);
    bool done = false;
    for (int i = 0; !done && i < GIVE_UP_S; i++) {
        done = thaw(uri, domain);
        if (!done)
            poll(NULL, 0, TRY_AGAIN_MS);
    }
    if (done) {
        poll(NULL, 0, ONCE_MORE_MS);
        thaw(uri, domain);
    }
    sv_log(done ? SV_LOG_WARN : SV_LOG_ERROR, "hv.watchdog", "vm", domain, "result", done ? "thawed" : "given up",
           NULL);
    return done ? 0 : 1;
}
