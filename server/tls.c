#include "server/tls.h"
#include "starvirt/certificate.h"
#include "starvirt/clock.h"
#include "starvirt/log.h"
#include "starvirt/mem.h"
#include "starvirt/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILE_MAX = 256 * 1024, SOON_MS = 14 * 24 * 3600 * 1000 };

/* One of the two files, as it is being looked at. */
struct pem {
    const char *option, *path;
    char *text;
};

static enum sv_err wrong(const struct pem *p, const char *why, struct sv_error *err)
{
    return sv_fail_path(err, SV_E_CONFIG, p->option, p->path, why);
}

/* Bytes read, -1 with errno. */
static ssize_t read_whole(int fd, char *buf, size_t size)
{
    size_t n = 0;
    while (n < size) {
        const ssize_t got = read(fd, buf + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    return (ssize_t)n;
}

static enum sv_err read_pem(struct pem *p, struct sv_error *err)
{
    const int fd = open(p->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return wrong(p, strerror(errno), err);
    p->text = sv_alloc(FILE_MAX + 1);
    const ssize_t n = read_whole(fd, p->text, FILE_MAX);
    const int code = errno;
    close(fd);
    if (n < 0)
        return wrong(p, strerror(code), err);
    if (n == 0)
        return wrong(p, "is empty", err);
    return n == FILE_MAX ? wrong(p, "is too large for PEM", err) : SV_OK;
}

static void warn_of_dates(const struct pem *p, const struct sv_certificate *c)
{
    const int64_t now = sv_now_ms();
    const char *event = c->from_ms > now           ? "tls.not_yet_valid"
                        : c->to_ms < now           ? "tls.expired"
                        : c->to_ms - now < SOON_MS ? "tls.expires_soon"
                                                   : NULL;
    char from[SV_TIME_LEN + 1], to[SV_TIME_LEN + 1];
    sv_time_format(c->from_ms, from);
    sv_time_format(c->to_ms, to);
    if (event)
        sv_log(SV_LOG_WARN, event, "file", p->path, "from", from, "to", to, NULL);
}

static enum sv_err look_at(const struct pem *cert, const struct pem *key, int64_t *ret_ends, struct sv_error *err)
{
    struct sv_certificate c;
    struct sv_certificate_fault fault;
    if (!sv_certificate_read(cert->text, key->text, &c, &fault))
        return wrong(fault.of_key ? key : cert, fault.why, err);
    warn_of_dates(cert, &c);
    *ret_ends = c.to_ms;
    sv_certificate_free(&c);
    return SV_OK;
}

static void free_key(char *key)
{
    if (key)
        explicit_bzero(key, strlen(key));
    free(key);
}

enum sv_err sv_tls_load(const char *cert, const char *key, struct sv_tls *ret, struct sv_error *err)
{
    struct pem c = {.option = "tls-cert", .path = cert}, k = {.option = "tls-key", .path = key};
    int64_t ends = 0;
    enum sv_err rc = read_pem(&c, err);
    if (!rc)
        rc = read_pem(&k, err);
    if (!rc)
        rc = look_at(&c, &k, &ends, err);
    if (!rc) {
        *ret = (struct sv_tls){c.text, k.text, ends};
        return SV_OK;
    }
    free(c.text);
    free_key(k.text);
    return rc;
}

void sv_tls_free(struct sv_tls *tls)
{
    free(tls->cert);
    free_key(tls->key);
    *tls = (struct sv_tls){0};
}
