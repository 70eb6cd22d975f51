/* Hosts as they are told (StarVCenter 2.14): their rows, and what is known of them now. */
#include "core/host/host.h"

#include <stdio.h>

enum { FRESH_MS = 60 * 1000 }; /* a loss that is younger may be over in a moment */

/* "qemu+tls://10.0.0.5:16514/system?x" is at 10.0.0.5; "" here. */
static void address_of(const char *uri, char *buf, size_t size)
{
    const char *at = strstr(uri, "://");
    const size_t all = at ? strcspn(at + 3, "/?") : 0;

    buf[0] = '\0';
    if (!all)
        return;
    at += 3;
    const char *user = memchr(at, '@', all);
    const char *host = user ? user + 1 : at;
    size_t n = all - (size_t)(host - at);
    if (host[0] == '[') {
        host++;
        n = strcspn(host, "]/");
    } else {
        const char *port = memchr(host, ':', n);
        n = port ? (size_t)(port - host) : n;
    }
    snprintf(buf, size, "%.*s", (int)n, host);
}

static enum sv_host_code code_of(const struct sv_cloud_host *h)
{
    switch (h->state) {
    case SV_HOST_CONNECTING:
        return SV_HOST_CODE_LOOKING;
    case SV_HOST_PREPARING:
    case SV_HOST_READY:
        return SV_HOST_CODE_RUNS;
    case SV_HOST_UNREACHABLE:
        return SV_HOST_CODE_LOST;
    case SV_HOST_LOST:
        return sv_mono_ms() - h->lost_at < FRESH_MS ? SV_HOST_CODE_LOOKING : SV_HOST_CODE_LOST;
    }
    return SV_HOST_CODE_STOPPED;
}

static void look(struct sv_cloud *c, const struct sv_host *row, struct sv_host_shown *s)
{
    SV_HOST h = sv_host_hold(c, &row->id);

    *s = (struct sv_host_shown){.row = row, .code = SV_HOST_CODE_STOPPED};
    snprintf(s->uri, sizeof(s->uri), "%.*s", (int)strcspn(row->uri, "?"), row->uri);
    address_of(row->uri, s->address, sizeof(s->address));
    if (!h)
        return;
    pthread_mutex_lock(&c->host_mutex);
    s->code = code_of(h);
    s->given = h->given;
    SV_COPY(s->why, h->why);
    if (h->told) {
        SV_COPY(s->kernel, h->info.kernel);
        s->cores = h->info.sockets * h->info.cores;
    }
    pthread_mutex_unlock(&c->host_mutex);
}

struct search {
    struct sv_cloud *c;
    struct sv_id id;
    const char *ip;
    const struct sv_page *page;
    void (*row)(void *arg, const struct sv_host_shown *h);
    void *arg;
    uint64_t n;
};

/* There are a thousand at most. */
static void show(void *arg, const struct sv_host *row)
{
    struct search *s = arg;
    struct sv_host_shown h;
    uint64_t at;

    if (!sv_id_empty(&s->id) && !sv_id_eq(&s->id, &row->id))
        return;
    look(s->c, row, &h);
    if (s->ip && strcmp(s->ip, h.address) != 0)
        return;
    at = s->n++;
    if (!s->page->limit || (at >= (uint64_t)s->page->offset && at < (uint64_t)(s->page->offset + s->page->limit)))
        s->row(s->arg, &h);
}

enum sv_err sv_host_search(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *host,
                           const char *ip, const struct sv_page *p,
                           void (*row)(void *arg, const struct sv_host_shown *h), void *arg, uint64_t *ret_total,
                           struct sv_error *err)
{
    struct search s = {.c = c, .ip = ip, .page = p, .row = row, .arg = arg};
    struct sv_error none;
    enum sv_err rc = sv_admin_only(who, err);

    *ret_total = 0;
    if (rc || (host && sv_check_id(host, SV_E_HOST_NOT_FOUND, SV_F_HOST, &s.id, &none)))
        return rc; /* a search for what is no id finds nothing */
    rc = sv_host_list(tx, show, &s, err);
    *ret_total = s.n;
    return rc;
}
