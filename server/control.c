#include "server/control.h"
#include "starvirt/control.h"
#include "starvirt/core.h"
#include "starvirt/log.h"
#include "starvirt/mem.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_S = 5 };

struct sv_control {
    struct sv_db *db;
    char *dir;
    int fd, stop;
    pthread_t thread;
};

/* --- requests -------------------------------------------------------------------------------------------- */

static enum sv_err reset_token(struct sv_control *c, char *text, size_t size, struct sv_error *err)
{
    unsigned revoked;
    enum sv_err rc = sv_admin_token_reset(c->db, c->dir, &revoked, err);
    if (rc)
        return rc;
    sv_log(SV_LOG_WARN, "token.reset", "revoked", sv_dec(revoked).s, NULL);
    snprintf(text, size, "%u", revoked);
    return SV_OK;
}

static const struct {
    const char *word;
    enum sv_err (*run)(struct sv_control *c, char *text, size_t size, struct sv_error *err);
} requests[] = {{SV_CONTROL_TOKEN_RESET, reset_token}};

static void run_request(struct sv_control *c, const char *word, char *reply, size_t size)
{
    char text[SV_CONTROL_MAX - 2];
    struct sv_error err = {0};
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        if (strcmp(requests[i].word, word) != 0)
            continue;
        if (requests[i].run(c, text, sizeof(text), &err) == SV_OK) {
            snprintf(reply, size, "0 %s", text);
            return;
        }
        sv_err_text(&err, SV_LANG_EN, text, sizeof(text));
        snprintf(reply, size, "1 %s", text);
        return;
    }
    snprintf(reply, size, "1 this server does not know '%.32s'", word);
}

/* The mode of a socket does not count everywhere. */
static bool is_owner(int fd)
{
    struct ucred who;
    socklen_t n = sizeof(who);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && (who.uid == geteuid() || who.uid == 0);
}

static void serve(struct sv_control *c, int fd)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    char word[SV_CONTROL_MAX], reply[SV_CONTROL_MAX];
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    ssize_t n = is_owner(fd) ? recv(fd, word, sizeof(word) - 1, 0) : -1;
    if (n > 0) {
        word[n] = '\0';
        word[strcspn(word, "\n")] = '\0';
        run_request(c, word, reply, sizeof(reply));
        (void)send(fd, reply, strlen(reply), MSG_NOSIGNAL);
    }
    close(fd);
}

static void *run(void *arg)
{
    struct sv_control *c = arg;
    struct pollfd fds[] = {{.fd = c->stop, .events = POLLIN}, {.fd = c->fd, .events = POLLIN}};
    pthread_setname_np(pthread_self(), "control");
    for (;;) {
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[0].revents)
            return NULL;
        int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            serve(c, fd);
    }
}

/* --- life ------------------------------------------------------------------------------------------------- */

struct sv_control *sv_control_start(struct sv_db *db, const char *dir)
{
    struct sv_control *c = sv_alloc(sizeof(*c));
    *c = (struct sv_control){.db = db, .dir = sv_strdup(dir), .stop = eventfd(0, EFD_CLOEXEC)};
    c->fd = sv_control_socket(dir, true); /* with the umask of the process: for its user alone */
    if (c->fd >= 0 && c->stop >= 0 && pthread_create(&c->thread, NULL, run, c) == 0)
        return c;
    sv_log(SV_LOG_WARN, "control.none", "why", strerror(errno), NULL);
    if (c->fd >= 0)
        close(c->fd);
    if (c->stop >= 0)
        close(c->stop);
    free(c->dir);
    free(c);
    return NULL;
}

void sv_control_stop(struct sv_control *c)
{
    const uint64_t one = 1;
    if (!c)
        return;
    while (write(c->stop, &one, sizeof(one)) < 0)
        ;
    pthread_join(c->thread, NULL);
    SV_AUTOFREE char *path = sv_asprintf("%s/control", c->dir);
    unlink(path);
    close(c->fd);
    close(c->stop);
    free(c->dir);
    free(c);
}
