/* Telling web hooks: a thread for each, so that one that is slow or dead delays no other. In order, each until it was
 * taken (at least once: who receives it drops repeats by the delivery's id), with back-off, for a day at most. What is
 * to be told is a row, written with the alarm. */
#include <stdio.h>
#include <time.h>

#include "core/alarm/internal.h"
#include "starvirt/log.h"

enum { CALL_LIMIT_MS = 10 * 1000, RETRY_FIRST_MS = 1000, RETRY_MAX_MS = 10 * 60 * 1000, OUTAGE_MS = 1000 };
static const int64_t give_up_ms = 24LL * 3600 * 1000;

/* --- the message ---------------------------------------------------------------------------------------- */

/* RFC 3339, UTC. 0: null. */
static void put_time(struct sv_json *j, const char *key, int64_t ms)
{
    const time_t s = (time_t)(ms / 1000);
    struct tm tm;
    char text[40];
    size_t n;

    if (ms == 0 || !gmtime_r(&s, &tm)) {
        sv_json_null(j, key);
        return;
    }
    n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof(text) - n, ".%03dZ", (int)(ms % 1000));
    sv_json_str(j, key, text);
}

static void put_text(struct sv_json *j, const struct sv_alarm *a)
{
    char text[SV_ALARM_TEXT_LEN];

    sv_json_obj(j, "text");
    sv_alarm_text(a, SV_LANG_ZH, text, sizeof(text));
    sv_json_str(j, "zh", text);
    sv_alarm_text(a, SV_LANG_EN, text, sizeof(text));
    sv_json_str(j, "en", text);
    sv_json_end_obj(j);
}

static const char *event_of(const struct sv_alarm_delivery *d)
{
    return d->relieved ? "relieved" : "raised";
}

void sv_alarm_body(const struct sv_alarm_delivery *d, struct sv_buf *out)
{
    const struct sv_alarm *a = &d->alarm;
    struct sv_json j;

    sv_json_init(&j, out);
    sv_json_obj(&j, NULL);
    sv_json_str(&j, "event", event_of(d));
    sv_json_str(&j, "id", a->id.s);
    sv_json_str(&j, "type", sv_alarm_kind(a->type)->symbol);
    sv_json_str(&j, "level", sv_alarm_level_name(a->level));
    sv_json_obj(&j, "object");
    sv_json_str(&j, "type", sv_alarm_object_name(a->object_type, SV_LANG_EN));
    sv_json_str(&j, "id", a->object.s);
    sv_json_str(&j, "name", a->object_name);
    sv_json_end_obj(&j);
    sv_json_str(&j, "tenant", a->tenant.s);
    put_text(&j, a);
    put_time(&j, "raised_at", a->created);
    put_time(&j, "relieved_at", d->relieved ? a->relieved : 0);
    sv_json_str(&j, "relieved_by", sv_alarm_way_name(d->relieved ? a->way : SV_ALARM_OPEN));
    sv_json_end_obj(&j);
}

/* --- one try -------------------------------------------------------------------------------------------- */

struct next {
    const char *url;
    bool found;
    int64_t seq, due, since; /* since: [ms UTC] of what it tells */
    unsigned tries;
    char delivery[SV_ID_LEN + 16];
    struct sv_buf body;
};

static enum sv_err read_next(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct next *n = arg;
    struct sv_alarm_delivery d;
    enum sv_err rc = sv_alarm_delivery_next(tx, n->url, &d, &n->found, err);

    if (rc || !n->found)
        return rc;
    n->seq = d.seq;
    n->due = d.due;
    n->tries = d.tries;
    n->since = d.relieved ? d.alarm.relieved : d.alarm.created;
    snprintf(n->delivery, sizeof(n->delivery), "%s-%s", d.alarm.id.s, event_of(&d));
    sv_alarm_body(&d, &n->body);
    return SV_OK;
}

static int64_t pause_after(unsigned tries)
{
    const int64_t ms = (int64_t)RETRY_FIRST_MS << (tries < 10 ? tries : 10);

    return ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS;
}

static enum sv_err write_sent(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct next *n = arg;

    return sv_alarm_delivery_drop(tx, n->seq, err);
}

static enum sv_err write_later(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct next *n = arg;

    return sv_alarm_delivery_later(tx, n->seq, sv_tx_now(tx) + pause_after(n->tries), err);
}

/* Its scheme and host; what follows may be a secret. */
static void plain_url(const char *url, char *buf, size_t size)
{
    const char *host = strstr(url, "://");
    const size_t head = host ? (size_t)(host - url) + 3 : 0;
    const char *at = strrchr(url, '@');

    host =
        at && at > url + head && !memchr(url + head, '/', (size_t)(at - url - (ptrdiff_t)head)) ? at + 1 : url + head;
    snprintf(buf, size, "%.*s%.*s", (int)head, url, (int)strcspn(host, "/?#"), host);
}

static void log_failure(const struct next *n, const struct sv_error *e, bool given_up)
{
    char hook[128], why[256];

    plain_url(n->url, hook, sizeof(hook));
    sv_err_text(e, SV_LANG_EN, why, sizeof(why));
    sv_log(given_up ? SV_LOG_ERROR : SV_LOG_WARN, given_up ? "alarm.hook.given_up" : "alarm.hook.failed", "hook", hook,
           "delivery", n->delivery, "tries", sv_dec(n->tries + 1).s, "error", why, NULL);
}

static void note(struct sv_alarms *s, bool sent, bool given_up)
{
    pthread_mutex_lock(&s->mutex);
    s->stats.sent += sent;
    s->stats.failures += !sent;
    s->stats.given_up += given_up;
    pthread_mutex_unlock(&s->mutex);
}

/* What was done is written, for as long as that takes: a kill before tells it twice. False: it was not. */
static bool send_one(struct sv_cloud *c, struct next *n)
{
    const struct sv_alarms *s = c->alarms;
    const struct sv_hook_message m = {n->url, n->delivery, n->body.p, n->body.n};
    struct sv_deadline d = sv_deadline_within(NULL, CALL_LIMIT_MS);
    struct sv_error e, ignored;
    enum sv_err rc;
    bool given_up;

    d.cancel = &s->stopping;
    rc = s->opt.send(s->opt.send_arg, &m, &d, &e);
    if (rc && atomic_load(&s->stopping))
        return false;
    given_up = rc && sv_sure_ms() - n->since > give_up_ms;
    if (rc)
        log_failure(n, &e, given_up);
    note(c->alarms, !rc, given_up);
    return sv_db_write(c->db, !rc || given_up ? write_sent : write_later, n, &ignored) == SV_OK;
}

/* --- the threads ---------------------------------------------------------------------------------------- */

/* Until there may be more to tell, or the time has come. */
static void wait_for_more(struct sv_alarms *s, uint64_t seen, int64_t mono_ms)
{
    pthread_mutex_lock(&s->mutex);
    while (!s->stop && s->posted == seen && sv_cond_wait(&s->change, &s->mutex, mono_ms))
        continue;
    pthread_mutex_unlock(&s->mutex);
}

static uint64_t posted(struct sv_alarms *s)
{
    uint64_t n;

    pthread_mutex_lock(&s->mutex);
    n = s->posted;
    pthread_mutex_unlock(&s->mutex);
    return n;
}

/* [ms] until it is due; a wall clock that was set back makes nobody wait for longer than a pause may be. */
static int64_t until_due(const struct next *n)
{
    const int64_t left = n->due - sv_now_ms();

    return left < 0 || left > RETRY_MAX_MS ? 0 : left;
}

static void *tell_hook(void *arg)
{
    const struct sv_alarm_hook *h = arg;
    struct sv_cloud *c = h->cloud;
    struct sv_alarms *s = c->alarms;

    while (!atomic_load(&s->stopping)) {
        const uint64_t seen = posted(s);
        struct next n = {.url = h->url};
        struct sv_error e;

        if (sv_db_read(c->db, read_next, &n, &e) || (n.found && until_due(&n) == 0 && !send_one(c, &n)))
            wait_for_more(s, seen, sv_mono_ms() + OUTAGE_MS);
        else if (!n.found)
            wait_for_more(s, seen, INT64_MAX);
        else if (until_due(&n) > 0)
            wait_for_more(s, seen, sv_mono_ms() + until_due(&n));
        sv_buf_free(&n.body);
    }
    return NULL;
}

enum sv_err sv_alarm_hooks_start(struct sv_cloud *c, struct sv_error *err)
{
    struct sv_alarms *s = c->alarms;

    for (unsigned i = 0; i < s->hook_count; i++) {
        if (pthread_create(&s->hooks[i].thread, NULL, tell_hook, &s->hooks[i]) != 0)
            return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "no thread");
        s->hooks[i].started = true;
    }
    return SV_OK;
}

void sv_alarm_hooks_join(struct sv_cloud *c)
{
    struct sv_alarms *s = c->alarms;

    for (unsigned i = 0; i < s->hook_count; i++) {
        if (s->hooks[i].started)
            pthread_join(s->hooks[i].thread, NULL);
        s->hooks[i].started = false;
    }
}
