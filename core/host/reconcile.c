/* Bringing rows and hosts together: a host that came back is asked what it runs; the rows follow. A domain
 * that no row knows is reported, never touched (docs/ARCHITECTURE.md, "Time of truth"). */
#include "core/host/reconcile.h"
#include "core/alarm/alarm.h"
#include "core/storage/storage.h"
#include "starvirt/log.h"
#include "starvirt/store_leftover.h"

enum { ASK_LIMIT_MS = 60 * 1000, SETTLE_TRIES = 5 };

static void log_error(const char *what, const struct sv_cloud_host *h, const struct sv_error *e)
{
    char text[256];

    sv_err_text(e, SV_LANG_EN, text, sizeof(text));
    sv_log(SV_LOG_WARN, what, "host", sv_hv_host_name(h->hv), "error", text, NULL);
}

/* --- one VM ----------------------------------------------------------------------------------------- */

static enum sv_vm_state state_of(enum sv_hv_power p)
{
    static const enum sv_vm_state map[] = {
        [SV_HV_ABSENT] = SV_VM_STOPPED, [SV_HV_OFF] = SV_VM_STOPPED, [SV_HV_RUNNING] = SV_VM_RUNNING,
        [SV_HV_PAUSED] = SV_VM_PAUSED,  [SV_HV_SAVED] = SV_VM_SAVED, [SV_HV_CRASHED] = SV_VM_STOPPED,
    };

    return map[p];
}

/* Why a stop is worth a word of its own. */
static const char *event_of(enum sv_hv_power p)
{
    return p == SV_HV_ABSENT ? "vm.missing" : p == SV_HV_CRASHED ? "vm.crashed" : "vm.state";
}

#define BIT(s) (1U << (s))
enum { SETTLED = BIT(SV_VM_STOPPED) | BIT(SV_VM_RUNNING) | BIT(SV_VM_PAUSED) | BIT(SV_VM_SAVED) };

struct settle {
    struct sv_id vm;
    enum sv_hv_power now;
    const struct sv_hv_state *live; /* NULL = not asked */
    bool locked, differs;
};

static bool live_differs(const struct sv_vm *v, const struct sv_hv_state *live)
{
    return live && live->power == SV_HV_RUNNING &&
           (live->vcpus != v->live_vcpus || live->memory != v->live_memory || live->agent != v->agent);
}

static enum sv_err look(struct sv_tx *tx, struct settle *s, struct sv_vm *v, struct sv_error *err)
{
    struct sv_lock lock;
    enum sv_err rc = sv_vm_get(tx, sv_scope_system(), &s->vm, sv_tx_arena(tx), v, err);

    if (!rc)
        rc = sv_lock_get(tx, &s->vm, &lock, &s->locked, err);
    if (rc)
        return rc;
    /* UNKNOWN hides what is stored: then writing it again is cheap and right. */
    s->differs = !s->locked && v->state != SV_VM_FAILED && v->state != SV_VM_BUILDING && v->state != SV_VM_CLONING &&
                 (v->state != state_of(s->now) || live_differs(v, s->live));
    return SV_OK;
}

static enum sv_err look_only(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_vm v;

    return look(tx, arg, &v, err);
}

static enum sv_err write_live(struct sv_tx *tx, const struct settle *s, const struct sv_vm *v, struct sv_error *err)
{
    const bool asked = s->live && s->live->power == SV_HV_RUNNING;
    enum sv_err rc;

    if (state_of(s->now) != SV_VM_RUNNING)
        return SV_OK;
    rc = sv_vm_set_live(tx, &v->id, asked ? s->live->vcpus : v->vcpus, asked ? s->live->memory : v->memory, err);
    return rc || !asked ? rc : sv_vm_set_agent(tx, &v->id, s->live->agent, err);
}

static enum sv_err write_alarm(struct sv_tx *tx, const struct settle *s, struct sv_error *err)
{
    const struct sv_alarm_new crashed = {.type = SV_ALARM_VM_CRASHED, .object = s->vm};

    if (s->now == SV_HV_CRASHED)
        return sv_alarm_raise(tx, &crashed, err);
    return s->now == SV_HV_RUNNING ? sv_alarm_relieve(tx, SV_ALARM_VM_CRASHED, &s->vm, err) : SV_OK;
}

static enum sv_err settle(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct settle *s = arg;
    struct sv_vm v;
    enum sv_err rc = look(tx, s, &v, err);

    if (rc || !s->differs)
        return rc;
    rc = sv_vm_set_state(tx, &s->vm, SETTLED, state_of(s->now), err);
    if (!rc)
        rc = sv_pending_hurry(tx, &s->vm, NULL, err);
    if (!rc)
        rc = write_live(tx, s, &v, err);
    if (!rc)
        rc = write_alarm(tx, s, err);
    if (rc || v.state == state_of(s->now) || v.state == SV_VM_UNKNOWN)
        return rc;
    return sv_cloud_event(tx, event_of(s->now), "vm", &v.id, &v.tenant, sv_vm_state_name(state_of(s->now)), err);
}

/* s->differs afterwards: something was written. */
static enum sv_err settle_now(struct sv_cloud *c, struct settle *s, struct sv_error *err)
{
    enum sv_err rc = sv_db_read(c->db, look_only, s, err);

    return rc || !s->differs ? rc : sv_db_write(c->db, settle, s, err);
}

enum sv_err sv_power_differs(struct sv_cloud *c, const struct sv_id *vm, enum sv_hv_power now, bool *ret_locked,
                             bool *ret_differs, struct sv_error *err)
{
    struct settle s = {.vm = *vm, .now = now};
    enum sv_err rc = sv_db_read(c->db, look_only, &s, err);

    if (rc)
        return rc;
    *ret_locked = s.locked;
    *ret_differs = s.differs;
    return SV_OK;
}

bool sv_reconcile_vm(struct sv_cloud *c, struct sv_cloud_host *h, const struct sv_id *vm, enum sv_hv_power told,
                     bool *ret_locked)
{
    struct sv_hv_state state = {0};
    struct settle s = {.vm = *vm, .live = &state, .differs = true};
    struct sv_error e;
    enum sv_err rc = SV_OK;

    for (unsigned i = 0; !rc && s.differs && i < SETTLE_TRIES; i++) {
        const struct sv_deadline d = sv_deadline_within(NULL, ASK_LIMIT_MS);
        struct sv_error *err = &e;

        rc = SV_HV_CALL(h->hv, state, vm, &state, &d);
        /* Only the event knows how it ended. */
        s.now = !rc && state.power == SV_HV_OFF && told == SV_HV_CRASHED ? told : state.power;
        if (!rc)
            rc = settle_now(c, &s, err);
    }
    if (rc && rc != SV_E_VM_NOT_FOUND)
        log_error("host.ask", h, &e);
    *ret_locked = !rc && s.locked;
    return !sv_db_outage(rc);
}

/* --- a whole host ----------------------------------------------------------------------------------- */

struct held {
    struct sv_id vm; /* empty: somebody else's domain */
    struct sv_hv_state state;
    char name[64];
    bool seen;
};

struct inventory {
    struct held *v;
    size_t n, cap;
};

static void add_held(void *arg, const struct sv_id *vm, const char *name, const struct sv_hv_state *s)
{
    struct inventory *inv = arg;
    struct held *h;

    inv->v = sv_grow(inv->v, inv->n, &inv->cap, sizeof(*inv->v));
    h = &inv->v[inv->n++];
    *h = (struct held){.vm = *vm, .state = *s};
    SV_COPY(h->name, name ? name : "");
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct held *)a)->vm.s, ((const struct held *)b)->vm.s);
}

struct pending {
    struct sv_id vm;
    struct sv_hv_state state;
};

struct comparison {
    struct sv_cloud_host *host;
    struct inventory *inv;
    struct pending *todo;
    size_t n, cap;
};

static void compare_row(void *arg, const struct sv_vm *v)
{
    struct comparison *cmp = arg;
    struct held key = {.vm = v->id};
    struct held *h = cmp->inv->n ? bsearch(&key, cmp->inv->v, cmp->inv->n, sizeof(key), by_id) : NULL;

    if (h)
        h->seen = true;
    cmp->todo = sv_grow(cmp->todo, cmp->n, &cmp->cap, sizeof(*cmp->todo));
    if (h && h->state.agent && !v->agent) /* it came up while nobody listened */
        sv_address_ask(cmp->host->cloud, cmp->host, &v->id);
    cmp->todo[cmp->n++] = (struct pending){v->id, h ? h->state : (struct sv_hv_state){.power = SV_HV_ABSENT}};
}

static enum sv_err compare(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct comparison *cmp = arg;

    return sv_vm_list_host(tx, &cmp->host->id, compare_row, cmp, err);
}

struct unknown {
    const struct held *h;
    const struct sv_cloud_host *host;
};

/* A domain whose row is being made or deleted right now belongs to that job. */
static bool has_row(struct sv_tx *tx, const struct sv_id *vm)
{
    struct sv_vm v;
    struct sv_error gone;

    return !sv_vm_get(tx, sv_scope_system(), vm, sv_tx_arena(tx), &v, &gone) &&
           (v.state != SV_VM_FAILED || !sv_id_empty(&v.host));
}

static enum sv_err write_unknown(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct unknown *u = arg;
    const struct sv_id nobody = {.s = ""};
    const char *domain = sv_id_empty(&u->h->vm) ? u->h->name : u->h->vm.s;

    if (!sv_id_empty(&u->h->vm) && has_row(tx, &u->h->vm))
        return SV_OK;
    sv_log(SV_LOG_WARN, "host.unknown_domain", "host", sv_hv_host_name(u->host->hv), "domain", domain, NULL);
    return sv_cloud_event(tx, "host.unknown_domain", "host", &u->host->id, &nobody, domain, err);
}

/* One of ours that went since the list was made is nothing to report. */
static enum sv_err report_unknown(struct sv_cloud *c, const struct sv_cloud_host *host, const struct held *held,
                                  struct sv_error *err)
{
    const struct sv_deadline d = sv_deadline_within(NULL, ASK_LIMIT_MS);
    struct unknown u = {held, host};
    struct sv_hv_state now = held->state;
    enum sv_err rc = SV_OK;

    if (!sv_id_empty(&held->vm))
        rc = SV_HV_CALL(host->hv, state, &held->vm, &now, &d);
    return rc || now.power == SV_HV_ABSENT ? rc : sv_db_write(c->db, write_unknown, &u, err);
}

struct capacity {
    const struct sv_cloud *c;
    const struct sv_cloud_host *host;
    struct sv_hv_info info;
};

static enum sv_err write_connected(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct capacity *a = arg;
    const struct sv_hv_info *i = &a->info;
    const struct sv_id nobody = {.s = ""};
    struct sv_id storage;
    enum sv_err rc;

    /* Lost while it answered: the loss is told behind us or was told before; either way it stands. */
    if (!sv_hv_connected(a->host->hv))
        return sv_fail(err, SV_E_HOST_DOWN, SV_F_HOST, sv_hv_host_name(a->host->hv));
    rc = sv_host_set_capacity(tx, &a->host->id,
                              &(struct sv_host_capacity){.vcpus = i->vcpus,
                                                         .memory = i->memory,
                                                         .sockets = i->sockets,
                                                         .cpu_vendor = i->cpu_vendor,
                                                         .cpu_model = i->cpu_model,
                                                         .os_version = i->os_version,
                                                         .virt_version = i->virt_version},
                              sv_vcpu_overcommit(a->c), err);
    if (!rc)
        rc = sv_storage_own(tx, &a->host->id, &storage, err);
    if (!rc)
        rc = sv_storage_set_usage(tx, &storage, i->storage_size, i->storage_used, err);
    if (!rc)
        rc = sv_host_set_connected(tx, &a->host->id, true, err);
    if (!rc)
        rc = sv_alarm_relieve(tx, SV_ALARM_HOST_LOST, &a->host->id, err);
    return rc ? rc
              : sv_cloud_event(tx, "host.connected", "host", &a->host->id, &nobody, sv_hv_host_name(a->host->hv), err);
}

/* The list is old by now, and a job or an event may have been faster: what differs is asked again before it
 * is written, and after that until nothing differs. Whatever changes later is told by an event. */
static enum sv_err settle_listed(struct sv_cloud *c, const struct comparison *cmp, struct pending *p,
                                 struct sv_error *err)
{
    struct settle s = {.vm = p->vm, .now = p->state.power, .live = &p->state};
    enum sv_err rc = sv_db_read(c->db, look_only, &s, err);

    for (unsigned i = 0; !rc && s.differs && i < SETTLE_TRIES; i++) {
        const struct sv_deadline d = sv_deadline_within(NULL, ASK_LIMIT_MS);

        rc = SV_HV_CALL(cmp->host->hv, state, &p->vm, &p->state, &d);
        s.now = p->state.power;
        if (!rc)
            rc = settle_now(c, &s, err);
    }
    return rc == SV_E_VM_NOT_FOUND ? SV_OK : rc; /* deleted meanwhile */
}

static enum sv_err settle_all(struct sv_cloud *c, struct comparison *cmp, struct sv_error *err)
{
    enum sv_err rc = SV_OK;

    for (size_t i = 0; !rc && i < cmp->n; i++)
        rc = settle_listed(c, cmp, &cmp->todo[i], err);
    for (size_t i = 0; !rc && i < cmp->inv->n; i++) {
        if (!cmp->inv->v[i].seen)
            rc = report_unknown(c, cmp->host, &cmp->inv->v[i], err);
    }
    return rc;
}

/* --- leftovers -------------------------------------------------------------------------------------- */

struct leftovers {
    const struct sv_id *host;
    struct sv_leftover *v;
    size_t n, cap;
};

static void add_leftover(void *arg, const struct sv_leftover *l)
{
    struct leftovers *all = arg;

    all->v = sv_grow(all->v, all->n, &all->cap, sizeof(*all->v));
    all->v[all->n++] = *l;
}

static enum sv_err read_leftovers(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct leftovers *all = arg;

    return sv_leftover_list(tx, all->host, add_leftover, all, err);
}

static enum sv_err forget_leftover(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_leftover_delete(tx, arg, err);
}

static enum sv_err remove_one(struct sv_hv_host *h, const struct sv_leftover *l, const struct sv_deadline *d,
                              struct sv_error *err)
{
    enum sv_err rc = SV_OK;

    switch (l->kind) {
    case SV_LEFTOVER_DOMAIN:
        rc = SV_HV_CALL(h, destroy, &l->object, d);
        return rc ? rc : SV_HV_CALL(h, undefine, &l->object, d);
    case SV_LEFTOVER_VOLUME:
        return SV_HV_CALL(h, volume_delete, &l->object, d);
    case SV_LEFTOVER_TEMPLATE:
        return SV_HV_CALL(h, template_delete, &l->object, d);
    case SV_LEFTOVER_COPY: /* of this VM, which may be frozen for it */
        return SV_HV_CALL(h, copy_abort, &l->object, d);
    case SV_LEFTOVER_SNAPSHOT:
        return SV_HV_CALL(h, snapshot_delete, &l->vm, &l->object, d);
    case SV_LEFTOVER_STORAGE:
        return SV_HV_CALL(h, pool_close, &l->object, d);
    }
    return rc;
}

/* What was created on this host and given up while it could not be reached. Ids are never used again, so
 * nothing of today can be hit. */
static enum sv_err remove_leftovers(struct sv_cloud *c, struct sv_cloud_host *h, bool volumes, struct sv_error *err)
{
    struct leftovers all = {.host = &h->id};
    enum sv_err rc = sv_db_read(c->db, read_leftovers, &all, err);

    for (size_t i = 0; !rc && i < all.n; i++) {
        const struct sv_deadline d = sv_deadline_within(NULL, ASK_LIMIT_MS);

        if (all.v[i].kind == SV_LEFTOVER_VOLUME && !volumes)
            continue;
        rc = remove_one(h->hv, &all.v[i], &d, err);
        if (!rc)
            rc = sv_db_write(c->db, forget_leftover, &all.v[i], err);
        if (!rc)
            sv_log(SV_LOG_INFO, "host.leftover_removed", "host", sv_hv_host_name(h->hv), "object", all.v[i].object.s,
                   NULL);
    }
    free(all.v);
    return rc;
}

/* Connected first, so that what is settled is seen as it is and not as unknown. */
static enum sv_err reconcile(struct sv_cloud *c, struct sv_cloud_host *h, struct inventory *inv, struct comparison *cmp,
                             struct sv_error *err)
{
    const struct sv_deadline d = sv_deadline_within(NULL, ASK_LIMIT_MS);
    struct capacity cap = {.c = c, .host = h};
    enum sv_err rc = SV_HV_CALL(h->hv, info, &cap.info, &d);

    if (!rc)
        rc = SV_HV_CALL(h->hv, list, add_held, inv, &d);
    if (rc)
        return rc;
    if (inv->n)
        qsort(inv->v, inv->n, sizeof(*inv->v), by_id);
    sv_host_told(c, h, &cap.info);
    rc = sv_db_write(c->db, write_connected, &cap, err);
    if (!rc)
        sv_host_prepared(c, h, NULL);
    if (!rc)
        rc = sv_db_read(c->db, compare, cmp, err);
    return rc ? rc : settle_all(c, cmp, err);
}

static void log_failure(const char *what, const struct sv_cloud_host *h, const struct sv_error *e)
{
    char text[256];

    sv_err_text(e, SV_LANG_EN, text, sizeof(text));
    sv_log(SV_LOG_WARN, what, "host", sv_hv_host_name(h->hv), "error", text, NULL);
}

bool sv_reconcile_host(struct sv_cloud *c, struct sv_cloud_host *h)
{
    struct inventory inv = {0};
    struct comparison cmp = {.host = h, .inv = &inv};
    struct sv_error e = {0};
    const bool plain = !sv_storages_any(c, &h->id);
    enum sv_err rc;

    /* A leftover that does not go yet is tried again at the next connect; the host is of use all the same. */
    if (remove_leftovers(c, h, plain, &e))
        log_failure("host.leftover", h, &e);
    rc = reconcile(c, h, &inv, &cmp, &e);
    if (rc) {
        log_failure("host.reconcile", h, &e);
        sv_host_prepared(c, h, &e);
    }
    /* A storage that hangs does not keep its host away; of one that does not open nobody knows what is left. */
    if (!plain && !rc && sv_storages_connect(c, h) && remove_leftovers(c, h, true, &e))
        log_failure("host.leftover", h, &e);
    free(inv.v);
    free(cmp.todo);
    return !rc;
}
