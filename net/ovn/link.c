/* OVSDB's protocol (RFC 7047): JSON-RPC without a frame over a stream. One link a call of the engine, so that calls
 * side by side wait for nobody. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/ovn/internal.h"

enum { CANCEL_MS = 50, JSON_DEPTH = 32 };

void ovn_json_put(json_object **o)
{
    json_object_put(*o);
    *o = NULL;
}

/* --- addresses --- */

/* "HOST:PORT" or "[HOST]:PORT", numeric as OVN has them. Free with freeaddrinfo(). */
static struct addrinfo *tcp_address(const char *text)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *ret = NULL;
    SV_AUTOFREE char *host = sv_strdup(text);
    char *colon = strrchr(host, ':');
    if (!colon)
        return NULL;
    *colon = '\0';
    const size_t n = strlen(host);
    char *from = host;
    if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = '\0';
        from++;
    }
    return getaddrinfo(from, colon + 1, &hints, &ret) == 0 ? ret : NULL;
}

static bool unix_address(const char *path, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    SV_COPY(ret->sun_path, path);
    return path[0] == '/' && strlen(path) < sizeof(ret->sun_path);
}

static bool remote_valid(const char *one, struct sv_buf *why)
{
    struct sockaddr_un path;
    if (strncmp(one, "unix:", 5) == 0 && unix_address(one + 5, &path))
        return true;
    if (strncmp(one, "ssl:", 4) == 0) {
        sv_buf_printf(why, "%s: ssl is not there yet, use unix: or tcp: over a network that is nobody else's", one);
        return false;
    }
    struct addrinfo *tcp = strncmp(one, "tcp:", 4) == 0 ? tcp_address(one + 4) : NULL;
    if (!tcp) {
        sv_buf_printf(why, "'%s' is neither unix:/PATH nor tcp:ADDRESS:PORT", one);
        return false;
    }
    freeaddrinfo(tcp);
    return true;
}

bool ovn_remotes_valid(const char *remotes, struct sv_buf *why)
{
    SV_AUTOFREE char *all = sv_strdup(remotes);
    char *save = NULL;
    bool any = false;
    for (char *one = strtok_r(all, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
        any = true;
        if (!remote_valid(one, why))
            return false;
    }
    if (!any)
        sv_buf_puts(why, "no address is given");
    return any;
}

/* --- waiting --- */

static const char *which(const struct ovn_link *l)
{
    return l->database == OVN_NORTH ? "northbound" : "southbound";
}

static enum sv_err silent(const struct ovn_link *l, struct sv_error *err)
{
    if (sv_deadline_cancelled(&l->deadline))
        return sv_fail(err, SV_E_JOB_CANCELLED, SV_F_NONE);
    SV_AUTOFREE char *text = sv_asprintf("OVN's %s database at %s does not answer", which(l), l->remotes);
    return sv_fail(err, SV_E_NETWORK, SV_F_NONE, text);
}

static enum sv_err broken(const struct ovn_link *l, int why, struct sv_error *err)
{
    const char *reason = why ? strerrordesc_np(why) : NULL;
    SV_AUTOFREE char *text =
        sv_asprintf("OVN's %s database at %s: %s", which(l), l->remotes, reason ? reason : "it ended the connection");
    return sv_fail(err, SV_E_NETWORK, SV_F_NONE, text);
}

static enum sv_err wait_for(const struct ovn_link *l, short events, struct sv_error *err)
{
    for (;;) {
        const int64_t left = sv_deadline_left(&l->deadline);
        struct pollfd p = {.fd = l->fd, .events = events};
        if (left == 0 || sv_deadline_cancelled(&l->deadline))
            return silent(l, err);
        const int n = poll(&p, 1, left < CANCEL_MS ? (int)left : CANCEL_MS);
        if (n > 0)
            return SV_OK;
        if (n < 0 && errno != EINTR)
            return broken(l, errno, err);
    }
}

/* --- a link --- */

static enum sv_err connect_to(struct ovn_link *l, const struct sockaddr *to, socklen_t n, struct sv_error *err)
{
    int failed = 0;
    socklen_t size = sizeof(failed);
    l->fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return broken(l, errno, err);
    if (connect(l->fd, to, n) == 0)
        return SV_OK;
    if (errno != EINPROGRESS)
        return broken(l, errno, err);
    enum sv_err rc = wait_for(l, POLLOUT, err);
    if (!rc && getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &failed, &size) != 0)
        failed = errno;
    return !rc && failed ? broken(l, failed, err) : rc;
}

static enum sv_err connect_one(struct ovn_link *l, const char *remote, struct sv_error *err)
{
    struct sockaddr_un path;
    if (strncmp(remote, "unix:", 5) == 0 && unix_address(remote + 5, &path))
        return connect_to(l, (const struct sockaddr *)&path, sizeof(path), err);
    struct addrinfo *tcp = strncmp(remote, "tcp:", 4) == 0 ? tcp_address(remote + 4) : NULL;
    if (!tcp)
        return broken(l, EINVAL, err);
    const enum sv_err rc = connect_to(l, tcp->ai_addr, tcp->ai_addrlen, err);
    freeaddrinfo(tcp);
    return rc;
}

static void hang_up(struct ovn_link *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}

static unsigned words_of(const char *list)
{
    unsigned n = 1;
    for (; *list; list++)
        n += *list == ',';
    return n;
}

/* A machine that is switched off says nothing: each address gets its part of the time, the last one all of the rest. */
enum sv_err ovn_link_open(struct ovn_link *l, enum ovn_database database, const char *remotes,
                          const struct sv_deadline *d, struct sv_error *err)
{
    SV_AUTOFREE char *all = sv_strdup(remotes);
    char *save = NULL;
    unsigned left = words_of(remotes);
    enum sv_err rc = SV_E_NETWORK;
    *l = (struct ovn_link){
        .fd = -1, .database = database, .deadline = *d, .remotes = remotes, .reader = json_tokener_new_ex(JSON_DEPTH)};
    for (char *one = strtok_r(all, ",", &save); one && rc == SV_E_NETWORK; one = strtok_r(NULL, ",", &save)) {
        hang_up(l);
        l->deadline = sv_deadline_within(d, sv_deadline_left(d) / left);
        rc = connect_one(l, one, err);
        left -= left > 1;
    }
    l->deadline = *d;
    return rc;
}

void ovn_link_close(struct ovn_link *l)
{
    hang_up(l);
    if (l->reader)
        json_tokener_free(l->reader);
    l->reader = NULL;
}

static enum sv_err write_all(struct ovn_link *l, const char *p, size_t n, struct sv_error *err)
{
    while (n > 0) {
        const ssize_t done = send(l->fd, p, n, MSG_NOSIGNAL);
        if (done > 0) {
            p += done;
            n -= (size_t)done;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR)
            return broken(l, errno, err);
        enum sv_err rc = wait_for(l, POLLOUT, err);
        if (rc)
            return rc;
    }
    return SV_OK;
}

static enum sv_err read_more(struct ovn_link *l, struct sv_error *err)
{
    for (;;) {
        const ssize_t n = recv(l->fd, l->piece, sizeof(l->piece), 0);
        if (n > 0) {
            l->begin = 0;
            l->end = (size_t)n;
            return SV_OK;
        }
        if (n == 0)
            return broken(l, 0, err);
        if (errno != EAGAIN && errno != EINTR)
            return broken(l, errno, err);
        enum sv_err rc = wait_for(l, POLLIN, err);
        if (rc)
            return rc;
    }
}

/* One message; what came behind it stays in the piece. */
static enum sv_err read_message(struct ovn_link *l, json_object **ret, struct sv_error *err)
{
    json_tokener_reset(l->reader);
    for (;;) {
        enum sv_err rc = l->begin == l->end ? read_more(l, err) : SV_OK;
        if (rc)
            return rc;
        *ret = json_tokener_parse_ex(l->reader, l->piece + l->begin, (int)(l->end - l->begin));
        const enum json_tokener_error how = json_tokener_get_error(l->reader);
        if (how != json_tokener_success && how != json_tokener_continue)
            return broken(l, EPROTO, err);
        l->begin += json_tokener_get_parse_end(l->reader);
        if (*ret)
            return SV_OK;
    }
}

static const char *member(json_object *o, const char *key)
{
    json_object *v = json_object_is_type(o, json_type_object) ? json_object_object_get(o, key) : NULL;
    return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

static enum sv_err refused(struct ovn_link *l, json_object *o, struct sv_error *err)
{
    l->refused = true;
    const char *what = member(o, "error"), *more = member(o, "details");
    SV_AUTOFREE char *text = sv_asprintf("OVN's %s database refused: %s%s%s", which(l), what ? what : "no reason given",
                                         more ? ": " : "", more ? more : "");
    return sv_fail(err, SV_E_NETWORK, SV_F_NONE, text);
}

static enum sv_err check_results(struct ovn_link *l, json_object *results, struct sv_error *err)
{
    for (size_t i = 0; i < json_object_array_length(results); i++) {
        json_object *one = json_object_array_get_idx(results, i);
        if (json_object_is_type(one, json_type_object) && json_object_object_get_ex(one, "error", NULL))
            return refused(l, one, err);
    }
    return SV_OK;
}

static enum sv_err read_answer(struct ovn_link *l, json_object **ret, struct sv_error *err)
{
    for (;;) {
        OVN_AUTOJSON json_object *message = NULL;
        json_object *results = NULL;
        enum sv_err rc = read_message(l, &message, err);
        if (rc)
            return rc;
        if (member(message, "method")) { /* "are you there" */
            static const char yes[] = "{\"id\":\"echo\",\"result\":[],\"error\":null}";
            rc = write_all(l, yes, strlen(yes), err);
            if (rc)
                return rc;
            continue;
        }
        if (!json_object_is_type(message, json_type_object) ||
            !json_object_object_get_ex(message, "result", &results) || !json_object_is_type(results, json_type_array))
            return refused(l, message, err);
        rc = check_results(l, results, err);
        if (!rc)
            *ret = json_object_get(results);
        return rc;
    }
}

enum sv_err ovn_transact(struct ovn_link *l, const char *params, json_object **ret, struct sv_error *err)
{
    SV_AUTOFREE char *text = sv_asprintf("{\"id\":0,\"method\":\"transact\",\"params\":%s}", params);
    l->refused = false;
    enum sv_err rc = write_all(l, text, strlen(text), err);
    return rc ? rc : read_answer(l, ret, err);
}
