/* What addresses a guest itself names: asked of its agent when it comes up, and again for a while until it has
 * one. A thread of its host's asks, one at a time, so that a host that hangs holds up nobody else. */
#include <arpa/inet.h>
#include <time.h>

#include "core/internal.h"
#include "starvirt/log.h"

/* [ms] a guest that has no address yet is asked again after the first of these, then twice as long each time */
enum { FIRST_PAUSE_MS = 2000, ASK_TIMES = 7, CALL_LIMIT_MS = 10 * 1000 };
/* [ms] a guest whose agent comes and goes is not asked more often than that */
enum { CALM_MS = 500 };
enum { TOLD_MAX = 2048, KEPT_MAX = 512 }; /* [bytes] of what a guest says, and of it what is kept */

struct asked {
    struct sv_id vm;
    int64_t due; /* monotonic */
    unsigned times;
    struct asked *next;
};

struct asked_host {
    struct sv_cloud_host *host;
    struct asked *first;
    bool running;
};

struct sv_addresses {
    pthread_mutex_t mutex;
    pthread_cond_t change;
    unsigned threads;
    bool stop;
    struct asked_host hosts[SV_MAX_HOSTS];
};

void sv_addresses_init(struct sv_cloud *c)
{
    pthread_condattr_t mono;

    c->addresses = sv_alloc(sizeof(*c->addresses));
    pthread_mutex_init(&c->addresses->mutex, NULL);
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&c->addresses->change, &mono);
    pthread_condattr_destroy(&mono);
}

/* --- what a guest said --------------------------------------------------------------------------------- */

/* A guest's word is anything: what is no address, or reaches nobody, is left out. */
static bool is_address(const char *s)
{
    unsigned char raw[16];

    if (inet_pton(AF_INET, s, raw) == 1)
        return raw[0] != 127 && raw[0] != 0 && !(raw[0] == 169 && raw[1] == 254);
    if (inet_pton(AF_INET6, s, raw) != 1)
        return false;
    return !(raw[0] == 0xfe && (raw[1] & 0xc0) == 0x80) && !IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)raw) &&
           !IN6_IS_ADDR_UNSPECIFIED((const struct in6_addr *)raw);
}

void sv_address_list(char *told, char *list, size_t size)
{
    size_t n = 0;
    char *rest = told;

    list[0] = '\0';
    for (const char *s; (s = strsep(&rest, "\n"));) {
        const size_t len = strlen(s);

        if (!is_address(s) || n + len + 2 > size)
            continue;
        if (n)
            list[n++] = ',';
        memcpy(list + n, s, len + 1);
        n += len;
    }
}

bool sv_vm_address_agrees(const struct sv_vm *vm)
{
    char ip[SV_IP4_LEN];
    const size_t n = (sv_ip4_format(vm->ip, ip), strlen(ip));

    if (!vm->guest_ips[0])
        return true;
    for (const char *p = vm->guest_ips; (p = strstr(p, ip)); p += n) {
        if ((p == vm->guest_ips || p[-1] == ',') && (p[n] == '\0' || p[n] == ','))
            return true;
    }
    return false;
}

struct write_args {
    struct sv_id vm;
    const char *list;
};

static enum sv_err write_addresses(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct write_args *a = arg;
    struct sv_vm vm;
    bool changed = false;
    enum sv_err rc = sv_vm_get(tx, sv_scope_system(), &a->vm, sv_tx_arena(tx), &vm, err);

    if (!rc)
        rc = sv_vm_set_guest_ips(tx, &a->vm, a->list, &changed, err);
    return rc || !changed ? rc : sv_cloud_event(tx, "vm.address", "vm", &vm.id, &vm.tenant, a->list, err);
}

/* True: it need not be asked again. */
static bool ask(struct sv_cloud *c, struct sv_cloud_host *h, const struct sv_id *vm)
{
    const struct sv_deadline d = sv_deadline_within(NULL, CALL_LIMIT_MS);
    char told[TOLD_MAX] = "", list[KEPT_MAX], text[256];
    struct write_args a = {*vm, list};
    struct sv_error e, *const err = &e;
    enum sv_err rc = SV_HV_CALL(h->hv, guest_addresses, vm, told, sizeof(told), &d);

    if (rc) /* an agent that comes back is asked anew; one that was busy may have time later */
        return rc != SV_E_HOST_TIMEOUT && rc != SV_E_HYPERVISOR;
    sv_address_list(told, list, sizeof(list));
    if (!list[0])
        return false;
    rc = sv_db_write(c->db, write_addresses, &a, err);
    if (rc && rc != SV_E_VM_NOT_FOUND) {
        sv_err_text(err, SV_LANG_EN, text, sizeof(text));
        sv_log(SV_LOG_ERROR, "address.write", "vm", vm->s, "error", text, NULL);
    }
    return true;
}

/* --- threads ------------------------------------------------------------------------------------------- */

struct asker {
    struct sv_cloud *c;
    struct asked_host *of;
};

static void put(struct asked_host *of, struct asked *a)
{
    struct asked **at = &of->first;

    while (*at && (*at)->due <= a->due)
        at = &(*at)->next;
    a->next = *at;
    *at = a;
}

/* The next one when its time has come; NULL, and the thread counts no more: there is none, or it is the end. */
static struct asked *next_due(struct sv_addresses *s, struct asked_host *of)
{
    struct asked *a;

    pthread_mutex_lock(&s->mutex);
    while (!s->stop && of->first && of->first->due > sv_mono_ms()) {
        const int64_t due = of->first->due;
        const struct timespec at = {.tv_sec = due / 1000, .tv_nsec = due % 1000 * 1000000};

        pthread_cond_timedwait(&s->change, &s->mutex, &at);
    }
    a = s->stop ? NULL : of->first;
    if (a) {
        of->first = a->next;
    } else {
        of->running = false;
        s->threads--;
        pthread_cond_broadcast(&s->change);
    }
    pthread_mutex_unlock(&s->mutex);
    return a;
}

static void *ask_all(void *arg)
{
    SV_AUTOFREE struct asker *k = arg;
    struct sv_addresses *s = k->c->addresses;
    struct asked *a;

    while ((a = next_due(s, k->of))) {
        if (ask(k->c, k->of->host, &a->vm) || a->times + 1 == ASK_TIMES) {
            free(a);
            continue;
        }
        a->due = sv_mono_ms() + ((int64_t)FIRST_PAUSE_MS << a->times);
        a->times++;
        pthread_mutex_lock(&s->mutex);
        put(k->of, a);
        pthread_mutex_unlock(&s->mutex);
    }
    return NULL;
}

static struct asked_host *host_of(struct sv_addresses *s, struct sv_cloud_host *h)
{
    unsigned i = 0;

    while (s->hosts[i].host && s->hosts[i].host != h)
        i++;
    if (!s->hosts[i].host) /* its thread reads it without the mutex */
        s->hosts[i].host = h;
    return &s->hosts[i];
}

static void begin_thread(struct sv_cloud *c, struct asked_host *of)
{
    struct asker *k = sv_alloc(sizeof(*k));
    pthread_t t;

    *k = (struct asker){c, of};
    of->running = pthread_create(&t, NULL, ask_all, k) == 0;
    if (!of->running) {
        free(k);
        return;
    }
    pthread_detach(t);
    c->addresses->threads++;
}

/* Is it to be asked already? Then from the beginning, but no sooner. */
static bool ask_anew(struct asked_host *of, const struct sv_id *vm)
{
    for (struct asked **at = &of->first, *a; (a = *at); at = &a->next) {
        if (!sv_id_eq(&a->vm, vm))
            continue;
        const int64_t soon = sv_mono_ms() + CALM_MS;

        *at = a->next;
        a->due = a->due < soon ? a->due : soon;
        a->times = 0;
        put(of, a);
        return true;
    }
    return false;
}

static void add_asked(struct asked_host *of, const struct sv_id *vm)
{
    struct asked *a = sv_alloc(sizeof(*a));

    *a = (struct asked){.vm = *vm, .due = sv_mono_ms() + CALM_MS};
    put(of, a);
}

void sv_address_ask(struct sv_cloud *c, struct sv_cloud_host *h, const struct sv_id *vm)
{
    struct sv_addresses *s = c->addresses;

    if (!h->hv->ops->guest_addresses)
        return;
    pthread_mutex_lock(&s->mutex);
    if (!s->stop) {
        struct asked_host *of = host_of(s, h);

        if (!ask_anew(of, vm))
            add_asked(of, vm);
        if (!of->running)
            begin_thread(c, of);
        else
            pthread_cond_broadcast(&s->change);
    }
    pthread_mutex_unlock(&s->mutex);
}

/* A call may hang with its host for its own limit: it is waited for. */
void sv_addresses_stop(struct sv_cloud *c)
{
    struct sv_addresses *s = c->addresses;

    if (!s)
        return;
    pthread_mutex_lock(&s->mutex);
    s->stop = true;
    pthread_cond_broadcast(&s->change);
    while (s->threads)
        pthread_cond_wait(&s->change, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
}

/* Once no driver can call any more. */
void sv_addresses_free(struct sv_cloud *c)
{
    struct sv_addresses *s = c->addresses;

    if (!s)
        return;
    sv_addresses_stop(c);
    for (unsigned i = 0; i < SV_MAX_HOSTS; i++) {
        for (struct asked *a = s->hosts[i].first, *next; a; a = next) {
            next = a->next;
            free(a);
        }
    }
    pthread_mutex_destroy(&s->mutex);
    pthread_cond_destroy(&s->change);
    free(s);
    c->addresses = NULL;
}
