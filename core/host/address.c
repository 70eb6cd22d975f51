/* What addresses a guest itself names: asked of its agent when it comes up, and again for a while until it has
 * one. A thread of its host's asks, one at a time, so that a host that hangs holds up nobody else. */
#include <arpa/inet.h>

#include "core/host/host.h"
#include "starvirt/log.h"
#include "starvirt/thread.h"

/* [ms] a guest that has no address yet is asked again after the first of these, then twice as long each time */
enum { FIRST_PAUSE_MS = 2000, ASK_TIMES = 7, CALL_LIMIT_MS = 10 * 1000 };
/* [ms] a guest whose agent comes and goes is not asked more often than that */
enum { CALM_MS = 500 };
/* [bytes] of what is looked through, thousands of addresses, and of what is kept of it */
enum { TOLD_MAX = 256 * 1024, KEPT_MAX = 512 };

struct asked {
    struct sv_id vm;
    int64_t due; /* monotonic */
    unsigned times;
    struct asked *next;
};

struct sv_host_addresses {
    struct sv_host_addresses *next;
    struct sv_cloud_host *host;
    struct asked *first;
    bool running;
};

struct sv_addresses {
    struct sv_crew crew;             /* its mutex guards all of this */
    struct sv_host_addresses *hosts; /* of every host that was ever asked */
};

void sv_addresses_init(struct sv_cloud *c)
{
    c->addresses = sv_alloc(sizeof(*c->addresses));
    sv_crew_init(&c->addresses->crew);
}

/* --- what a guest said --------------------------------------------------------------------------------- */

/* A guest's word is anything: what is no address, or reaches nobody, is left out. One spelling of an address. */
static bool read_address(const char *s, size_t len, char text[INET6_ADDRSTRLEN])
{
    unsigned char raw[16];

    if (len >= INET6_ADDRSTRLEN)
        return false;
    sv_copy(text, len + 1, s);
    if (inet_pton(AF_INET, text, raw) == 1)
        return raw[0] != 127 && raw[0] != 0 && !(raw[0] == 169 && raw[1] == 254);
    if (inet_pton(AF_INET6, text, raw) != 1 || (raw[0] == 0xfe && (raw[1] & 0xc0) == 0x80) ||
        IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)raw) || IN6_IS_ADDR_UNSPECIFIED((const struct in6_addr *)raw))
        return false;
    return inet_ntop(AF_INET6, raw, text, INET6_ADDRSTRLEN) != NULL;
}

/* The next one of the list, behind *at; false at its end. */
static bool next_address(const char **at, char text[INET6_ADDRSTRLEN])
{
    while (**at) {
        const char *line = *at;
        const size_t len = strcspn(line, "\n");

        *at = line + len + (line[len] == '\n');
        if (read_address(line, len, text))
            return true;
    }
    return false;
}

static bool has_address(const char *list, const char *address)
{
    const size_t n = strlen(address);

    for (const char *p = list; (p = strstr(p, address)); p += n) {
        if ((p == list || p[-1] == ',') && (p[n] == '\0' || p[n] == ','))
            return true;
    }
    return false;
}

static bool is_own(const uint32_t *own, unsigned own_count, const char *text)
{
    char ip[SV_IP4_LEN];

    for (unsigned i = 0; i < own_count; i++) {
        sv_ip4_format(own[i], ip);
        if (strcmp(ip, text) == 0)
            return true;
    }
    return false;
}

struct kept {
    char *list;
    size_t n, size;
};

static void keep(struct kept *k, const char *text, size_t reserved)
{
    const size_t len = strlen(text);

    if (k->n + len + 2 + reserved > k->size || has_address(k->list, text))
        return;
    if (k->n)
        k->list[k->n++] = ',';
    memcpy(k->list + k->n, text, len + 1);
    k->n += len;
}

void sv_address_list(const char *told, const uint32_t *own, unsigned own_count, char *list, size_t size)
{
    char text[INET6_ADDRSTRLEN];
    struct kept mine = {list, 0, size}, all = mine;
    size_t reserved;

    list[0] = '\0';
    for (const char *at = told; next_address(&at, text);)
        if (is_own(own, own_count, text))
            keep(&mine, text, 0);
    reserved = mine.n ? mine.n + 1 : 0;
    list[0] = '\0';
    for (const char *at = told; next_address(&at, text);) {
        const size_t part = strlen(text) + 1;

        if (is_own(own, own_count, text) && !has_address(list, text))
            reserved -= part < reserved ? part : reserved;
        keep(&all, text, reserved);
    }
}

bool sv_vm_address_agrees(const struct sv_vm *vm)
{
    char ip[SV_IP4_LEN];

    sv_ip4_format(vm->ip, ip);
    return !vm->guest_ips[0] || has_address(vm->guest_ips, ip);
}

struct own {
    uint32_t ip[SV_HV_MAX_NICS];
    unsigned n;
};

static void add_own(void *arg, const struct sv_nic *n)
{
    struct own *own = arg;

    if (own->n < SV_HV_MAX_NICS)
        own->ip[own->n++] = n->ip;
}

struct write_args {
    struct sv_id vm;
    const char *told;
    bool any; /* out: there was an address among it */
};

/* What the VM was given is looked for in all that the guest said, and only then that is cut. */
static enum sv_err write_addresses(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct write_args *a = arg;
    struct sv_vm vm;
    struct own own = {.n = 0};
    char list[KEPT_MAX];
    bool changed = false;
    enum sv_err rc = sv_vm_get(tx, sv_scope_system(), &a->vm, sv_tx_arena(tx), &vm, err);

    if (!rc)
        rc = sv_nic_list_vm(tx, sv_scope_system(), &a->vm, add_own, &own, err);
    if (rc)
        return rc;
    sv_address_list(a->told, own.ip, own.n, list, sizeof(list));
    a->any = list[0] != '\0';
    if (a->any)
        rc = sv_vm_set_guest_ips(tx, &a->vm, list, &changed, err);
    return rc || !changed ? rc : sv_cloud_event(tx, "vm.address", "vm", &vm.id, &vm.tenant, list, err);
}

/* Between two of them: half an address may be another one. */
static void cut(char *told, const struct sv_id *vm)
{
    char *end = told + TOLD_MAX;

    while (end > told && *end != '\n')
        end--;
    *end = '\0';
    sv_log(SV_LOG_WARN, "address.many", "vm", vm->s, NULL);
}

/* True: it need not be asked again. */
static bool ask(struct sv_cloud *c, struct sv_cloud_host *h, const struct sv_id *vm)
{
    const struct sv_deadline d = sv_deadline_within(NULL, CALL_LIMIT_MS);
    SV_AUTOFREE char *told = NULL;
    char text[256];
    struct write_args a = {.vm = *vm};
    struct sv_error e, *const err = &e;
    enum sv_err rc;

    if (!sv_host_use(h)) /* it was removed */
        return true;
    rc = SV_HV_CALL(h->hv, guest_addresses, vm, &told, &d);
    sv_host_let_go(&h);

    if (rc || !told) /* an agent that comes back is asked anew; one that was busy may have time later */
        return rc != SV_E_HOST_TIMEOUT && rc != SV_E_HYPERVISOR;
    if (strlen(told) > TOLD_MAX) /* the writer's time is everybody's */
        cut(told, vm);
    a.told = told;
    rc = sv_db_write(c->db, write_addresses, &a, err);
    if (rc && rc != SV_E_VM_NOT_FOUND) {
        sv_err_text(err, SV_LANG_EN, text, sizeof(text));
        sv_log(SV_LOG_ERROR, "address.write", "vm", vm->s, "error", text, NULL);
    }
    return rc || a.any;
}

/* --- threads ------------------------------------------------------------------------------------------- */

struct asker {
    struct sv_cloud *c;
    struct sv_host_addresses *of;
};

static void put(struct sv_host_addresses *of, struct asked *a)
{
    struct asked **at = &of->first;

    while (*at && (*at)->due <= a->due)
        at = &(*at)->next;
    a->next = *at;
    *at = a;
}

/* The next one when its time has come; NULL, and the thread counts no more: there is none, or it is the end. */
static struct asked *next_due(struct sv_addresses *s, struct sv_host_addresses *of)
{
    struct asked *a;

    pthread_mutex_lock(&s->crew.mutex);
    while (!s->crew.stop && of->first && of->first->due > sv_mono_ms())
        sv_cond_wait(&s->crew.change, &s->crew.mutex, of->first->due);
    a = s->crew.stop ? NULL : of->first;
    if (a)
        of->first = a->next;
    else
        sv_crew_leave(&s->crew, &of->running);
    pthread_mutex_unlock(&s->crew.mutex);
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
        pthread_mutex_lock(&s->crew.mutex);
        put(k->of, a);
        pthread_mutex_unlock(&s->crew.mutex);
    }
    return NULL;
}

static struct sv_host_addresses *host_of(struct sv_addresses *s, struct sv_cloud_host *h)
{
    if (!h->addresses) {
        h->addresses = sv_alloc(sizeof(*h->addresses));
        h->addresses->host = h;
        h->addresses->next = s->hosts;
        s->hosts = h->addresses;
    }
    return h->addresses;
}

/* Is it to be asked already? Then from the beginning, but no sooner. */
static bool ask_anew(struct sv_host_addresses *of, const struct sv_id *vm)
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

static void add_asked(struct sv_host_addresses *of, const struct sv_id *vm)
{
    struct asked *a = sv_alloc(sizeof(*a));

    *a = (struct asked){.vm = *vm, .due = sv_mono_ms() + CALM_MS};
    put(of, a);
}

void sv_address_ask(struct sv_cloud *c, struct sv_cloud_host *h, const struct sv_id *vm)
{
    struct sv_addresses *s = c->addresses;

    pthread_mutex_lock(&s->crew.mutex);
    if (!s->crew.stop) {
        struct sv_host_addresses *of = host_of(s, h);
        struct asker *k = sv_alloc(sizeof(*k));

        if (!ask_anew(of, vm))
            add_asked(of, vm);
        *k = (struct asker){c, of};
        if (!sv_crew_wake(&s->crew, &of->running, ask_all, k))
            free(k);
    }
    pthread_mutex_unlock(&s->crew.mutex);
}

/* A call may hang with its host for its own limit: it is waited for. */
void sv_addresses_stop(struct sv_cloud *c)
{
    if (c->addresses)
        sv_crew_stop(&c->addresses->crew);
}

/* Once no driver can call any more. */
void sv_addresses_free(struct sv_cloud *c)
{
    struct sv_addresses *s = c->addresses;

    if (!s)
        return;
    sv_addresses_stop(c);
    for (struct sv_host_addresses *h = s->hosts, *other; h; h = other) {
        other = h->next;
        for (struct asked *a = h->first, *next; a; a = next) {
            next = a->next;
            free(a);
        }
        free(h);
    }
    sv_crew_free(&s->crew);
    free(s);
    c->addresses = NULL;
}
