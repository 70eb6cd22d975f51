/* Which hosts can be used, and why others cannot: what drivers tell, kept in memory for whoever asks. A host is ready
 * once what it has is in its row, not when it is connected. */
#include <stdio.h>

#include "core/host/host.h"

/* [ms] from the start on: a host that has neither come nor failed by then is not waited for */
enum { COMING_MS = 10 * 1000 };

/* What a driver told of a host before its row was tied. */
struct sv_host_early {
    const struct sv_hv_host *hv;
    enum sv_host_state state;
    char why[SV_HOST_WHY_LEN];
    struct sv_host_early *next;
};

static const char *const state_names[] = {
    [SV_HOST_CONNECTING] = "connecting",   [SV_HOST_PREPARING] = "preparing", [SV_HOST_READY] = "ready",
    [SV_HOST_UNREACHABLE] = "unreachable", [SV_HOST_LOST] = "lost",
};

const char *sv_host_state_name(enum sv_host_state s)
{
    return state_names[s];
}

static enum sv_host_state told_state(bool connected, enum sv_host_state was)
{
    if (connected)
        return SV_HOST_PREPARING;
    return was == SV_HOST_CONNECTING || was == SV_HOST_UNREACHABLE ? SV_HOST_UNREACHABLE : SV_HOST_LOST;
}

/* Under host_mutex, as all that follows until the questions. */
static void note_early(struct sv_cloud *c, const struct sv_hv_host *hv, bool connected, const char *why)
{
    struct sv_host_early *e = c->early;

    while (e && e->hv != hv)
        e = e->next;
    if (!e) {
        e = sv_alloc(sizeof(*e));
        e->hv = hv;
        e->next = c->early;
        c->early = e;
    }
    e->state = told_state(connected, e->state);
    SV_COPY(e->why, why);
}

/* Another host's handle may be where this one was. */
static void forget_early(struct sv_cloud *c, const struct sv_hv_host *hv)
{
    for (struct sv_host_early **at = &c->early, *e; (e = *at);) {
        if (e->hv != hv) {
            at = &e->next;
            continue;
        }
        *at = e->next;
        free(e);
    }
}

void sv_host_news(struct sv_cloud *c, struct sv_hv_host *hv, bool connected, const char *why)
{
    if (connected) /* some say a word then, too */
        why = "";
    pthread_mutex_lock(&c->host_mutex);
    struct sv_cloud_host *h = sv_hv_user(hv);
    if (h) {
        h->state = told_state(connected, h->state);
        h->lost_at = connected ? 0 : h->lost_at ? h->lost_at : sv_mono_ms();
        SV_COPY(h->why, why);
    } else {
        note_early(c, hv, connected, why);
    }
    pthread_cond_broadcast(&c->host_change);
    pthread_mutex_unlock(&c->host_mutex);
}

void sv_host_tied(struct sv_cloud *c, struct sv_cloud_host *h)
{
    pthread_mutex_lock(&c->host_mutex);
    sv_hv_set_user(h->hv, h);
    for (const struct sv_host_early *e = c->early; e; e = e->next) {
        if (e->hv != h->hv)
            continue;
        h->state = e->state;
        SV_COPY(h->why, e->why);
    }
    forget_early(c, h->hv);
    if (h->state == SV_HOST_CONNECTING && sv_hv_connected(h->hv))
        h->state = SV_HOST_PREPARING;
    pthread_mutex_unlock(&c->host_mutex);
}

void sv_host_early_forget(struct sv_cloud *c, const struct sv_hv_host *hv)
{
    pthread_mutex_lock(&c->host_mutex);
    forget_early(c, hv);
    pthread_mutex_unlock(&c->host_mutex);
}

void sv_host_early_free(struct sv_cloud *c)
{
    for (struct sv_host_early *e = c->early, *next; e; e = next) {
        next = e->next;
        free(e);
    }
    c->early = NULL;
}

void sv_host_prepared(struct sv_cloud *c, struct sv_cloud_host *h, const struct sv_error *failed)
{
    pthread_mutex_lock(&c->host_mutex);
    if (h->state == SV_HOST_PREPARING && failed)
        sv_err_text(failed, SV_LANG_EN, h->why, sizeof(h->why));
    if (h->state == SV_HOST_PREPARING && !failed && sv_hv_connected(h->hv)) {
        h->state = SV_HOST_READY;
        h->why[0] = '\0';
    }
    pthread_cond_broadcast(&c->host_change);
    pthread_mutex_unlock(&c->host_mutex);
}

/* --- questions ----------------------------------------------------------------------------------------- */

/* Is it about to be ready, as far as anybody knows? */
static bool is_coming(const struct sv_cloud *c, const struct sv_cloud_host *h)
{
    if (h->state == SV_HOST_CONNECTING)
        return sv_mono_ms() - c->hosts_since < COMING_MS;
    return h->state == SV_HOST_PREPARING && !h->why[0];
}

struct sv_hosts_ready sv_cloud_hosts_ready(struct sv_cloud *c)
{
    struct sv_hosts_ready r = {.total = 0};

    pthread_mutex_lock(&c->host_mutex);
    r.total = c->host_count;
    for (unsigned i = 0; i < c->host_count; i++) {
        r.ready += c->hosts[i]->state == SV_HOST_READY;
        r.coming += is_coming(c, c->hosts[i]);
    }
    pthread_mutex_unlock(&c->host_mutex);
    return r;
}

/* Without what stands behind a '?': paths and switches. */
static void plain_uri(const char *uri, char *buf, size_t size)
{
    snprintf(buf, size, "%.*s", (int)strcspn(uri, "?"), uri);
}

/* Under host_mutex. */
static struct sv_host_status status_of(const struct sv_cloud_host *h)
{
    struct sv_host_status s = {.state = h->state};

    SV_COPY(s.name, h->name);
    plain_uri(h->uri, s.uri, sizeof(s.uri));
    SV_COPY(s.why, h->why);
    return s;
}

enum sv_err sv_host_states(struct sv_cloud *c, const struct sv_actor *who,
                           void (*row)(void *arg, const struct sv_host_status *s), void *arg, struct sv_error *err)
{
    enum sv_err rc = sv_admin_only(who, err);
    SV_HOSTS hosts = {.n = 0};

    if (!rc)
        sv_hosts_hold(c, &hosts);
    for (unsigned i = 0; i < hosts.n; i++) {
        pthread_mutex_lock(&c->host_mutex);
        const struct sv_host_status s = status_of(hosts.v[i]);
        pthread_mutex_unlock(&c->host_mutex);
        row(arg, &s);
    }
    return rc;
}

struct listing {
    char text[SV_ERR_ARG_MAX];
    size_t n;
};

static void list_missing(void *arg, const struct sv_host_status *s)
{
    struct listing *l = arg;
    int more;

    if (s->state == SV_HOST_READY || l->n >= sizeof(l->text) - 1)
        return;
    more = snprintf(l->text + l->n, sizeof(l->text) - l->n, "; %s %s %s%s%s", s->name, s->uri,
                    sv_host_state_name(s->state), s->why[0] ? ": " : "", s->why);
    l->n += more > 0 ? (size_t)more : 0;
}

/* Which host and why is an administrator's business: names, addresses and a library's words. */
enum sv_err sv_host_not_ready(struct sv_cloud *c, const struct sv_actor *who, struct sv_error *err)
{
    const struct sv_hosts_ready r = sv_cloud_hosts_ready(c);
    struct listing l = {.n = 0};
    struct sv_error ignored;

    l.n = (size_t)snprintf(l.text, sizeof(l.text), "%u/%u", r.ready, r.total);
    sv_host_states(c, who, list_missing, &l, &ignored);
    return sv_fail(err, SV_E_HOST_NOT_READY, SV_F_NONE, l.text);
}

enum sv_err sv_host_none_fits(struct sv_cloud *c, const struct sv_actor *who, struct sv_error *err)
{
    const struct sv_hosts_ready r = sv_cloud_hosts_ready(c);

    return r.ready == 0 || r.coming > 0 ? sv_host_not_ready(c, who, err) : SV_E_NO_CAPACITY;
}
