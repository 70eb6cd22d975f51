/* starvirt token reset: another DIR/admin.token, by the server that runs on the directory, or without one. */
#include "cli/cli.h"
#include "starvirt/clock.h"
#include "starvirt/control.h"
#include "starvirt/core.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 10 * 1000, LOOK_MS = 200 };

static void complain(const char *dir, const char *why)
{
    fprintf(stderr, "starvirt: %s: %s\n", dir, why);
}

/* Nobody else has the directory. */
static enum sv_err reset_alone(const char *dir, unsigned *ret_revoked, struct sv_error *err)
{
    const struct sv_db_options how = {.create = false};
    struct sv_db *db = NULL;
    enum sv_err rc = sv_db_open(dir, &how, &db, err);
    if (!rc)
        rc = sv_admin_token_reset(db, dir, ret_revoked, err);
    sv_db_close(db);
    return rc;
}

/* False: nobody listens there. Else *ret_ok, and what the server said. */
static bool ask_server(const char *dir, char *reply, size_t size, bool *ret_ok)
{
    int fd = sv_control_socket(dir, false);
    if (fd < 0)
        return false;
    size_t n = 0;
    ssize_t k = send(fd, SV_CONTROL_TOKEN_RESET, strlen(SV_CONTROL_TOKEN_RESET), MSG_NOSIGNAL);
    while (k > 0 && n < size - 1 && (k = recv(fd, reply + n, size - 1 - n, 0)) > 0)
        n += (size_t)k;
    reply[n] = '\0';
    close(fd);
    *ret_ok = n > 2 && reply[0] == '0';
    if (n <= 2)
        sv_copy(reply, size, "1 the server did not answer: is it another user's?");
    return true;
}

static int done(const char *dir, const char *revoked)
{
    printf("%s/admin.token: a new administrator's token; revoked of those before it: %s\n", dir, revoked);
    return fflush(stdout) == 0 ? SV_EXIT_OK : SV_EXIT_FAILED;
}

/* Until something happens in the directory: the socket comes, or the lock is given back. */
static void wait_for_change(int watch)
{
    char events[4096];
    struct pollfd p = {.fd = watch, .events = POLLIN};
    if (poll(&p, 1, LOOK_MS) > 0)
        (void)!read(watch, events, sizeof(events));
}

/* The one or the other; a server that starts or stops just now has the directory, and does not listen. */
static int reset(const char *dir, int watch)
{
    char reply[SV_CONTROL_MAX], text[512];
    const int64_t until = sv_mono_ms() + PATIENCE_MS;
    unsigned revoked;
    for (;;) {
        struct sv_error err = {0};
        bool ok = false;
        enum sv_err rc = reset_alone(dir, &revoked, &err);
        if (!rc)
            return done(dir, sv_dec(revoked).s);
        if (rc == SV_E_DB_LOCKED && ask_server(dir, reply, sizeof(reply), &ok)) {
            if (ok)
                return done(dir, reply + 2);
            complain(dir, reply + 2);
            return SV_EXIT_FAILED;
        }
        if (rc != SV_E_DB_LOCKED || sv_mono_ms() > until) {
            sv_err_text(&err, SV_LANG_EN, text, sizeof(text));
            complain(dir, text);
            return SV_EXIT_FAILED;
        }
        wait_for_change(watch);
    }
}

int sv_run_token_reset(struct sv_settings *s, const struct sv_api *api, const char **words, size_t n)
{
    (void)api, (void)words, (void)n;
    if (!s->data) {
        fputs("starvirt: token reset needs --data DIR\n", stderr);
        return SV_EXIT_USAGE;
    }
    SV_AUTOFREE char *db = sv_asprintf("%s/starvirt.db", s->data);
    if (access(db, F_OK) != 0) { /* before a lock is made where no server ever was */
        complain(db, strerror(errno));
        return SV_EXIT_FAILED;
    }
    int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    inotify_add_watch(watch, s->data, IN_CREATE | IN_CLOSE_WRITE); /* without it: looked at now and then */
    int code = reset(s->data, watch);
    if (watch >= 0)
        close(watch);
    return code;
}
