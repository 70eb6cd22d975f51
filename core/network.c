/* From rows to the data plane: what a VPC should hold is read and applied under one lock a VPC, so that
 * of two jobs the later one's wish stands. */
#include "core/internal.h"
#include "starvirt/log.h"

struct wanted {
    struct sv_id vpc;
    struct sv_net_vpc net;
    struct sv_net_nic *nics;
    size_t count, cap;
    bool found;
};

static void want_nic(void *arg, const struct sv_nic *n)
{
    struct wanted *w = arg;
    struct sv_net_nic *to;

    if (w->count == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 16;
        w->nics = sv_realloc(w->nics, w->cap * sizeof(*w->nics));
    }
    to = &w->nics[w->count++];
    *to = (struct sv_net_nic){.id = n->id, .ip = n->ip};
    memcpy(to->mac, n->mac, sizeof(to->mac));
    sv_net_hostname(&n->vm, to->hostname);
}

static enum sv_err read_wanted(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct wanted *w = arg;
    struct sv_vpc v;
    struct sv_error gone;
    enum sv_err rc = sv_vpc_get(tx, sv_scope_system(), &w->vpc, sv_tx_arena(tx), &v, &gone);

    if (rc == SV_E_VPC_NOT_FOUND || (!rc && v.deleting))
        return SV_OK;
    if (rc) {
        *err = gone;
        return rc;
    }
    w->found = true;
    w->net = (struct sv_net_vpc){.id = v.id, .base = v.base, .prefix = v.prefix};
    return sv_nic_list_vpc(tx, sv_scope_system(), &w->vpc, want_nic, w, err);
}

static pthread_mutex_t *lock_of(struct sv_cloud *c, const struct sv_id *vpc)
{
    unsigned h = 0;

    for (const char *p = vpc->s; *p; p++)
        h = h * 31 + (unsigned char)*p;
    return &c->vpc_lock[h % SV_VPC_LOCKS];
}

enum sv_err sv_network_apply(struct sv_cloud *c, const struct sv_id *vpc, const struct sv_deadline *d,
                             struct sv_error *err)
{
    struct wanted w = {.vpc = *vpc};
    pthread_mutex_t *lock = lock_of(c, vpc);
    enum sv_err rc;

    pthread_mutex_lock(lock);
    rc = sv_db_read(c->db, read_wanted, &w, err);
    if (!rc && w.found)
        rc = c->net->ops->vpc_apply(c->net, &w.net, w.nics, w.count, d, err);
    pthread_mutex_unlock(lock);
    free(w.nics);
    return rc;
}

static enum sv_err drop_row(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_vpc_delete(tx, arg, err);
}

enum sv_err sv_network_remove(struct sv_cloud *c, const struct sv_id *vpc, const struct sv_deadline *d,
                              struct sv_error *err)
{
    struct sv_id id = *vpc;
    pthread_mutex_t *lock = lock_of(c, vpc);
    enum sv_err rc;

    pthread_mutex_lock(lock);
    rc = c->net->ops->vpc_remove(c->net, vpc, d, err);
    if (!rc)
        rc = sv_db_write(c->db, drop_row, &id, err);
    pthread_mutex_unlock(lock);
    return rc;
}

struct vpc_set {
    struct sv_id id[SV_HV_MAX_NICS];
    unsigned n;
    struct sv_id vm;
};

static void add_vpc(void *arg, const struct sv_nic *n)
{
    struct vpc_set *s = arg;

    for (unsigned i = 0; i < s->n; i++) {
        if (sv_id_eq(&s->id[i], &n->vpc))
            return;
    }
    if (s->n < SV_HV_MAX_NICS)
        s->id[s->n++] = n->vpc;
}

static enum sv_err read_vpcs(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct vpc_set *s = arg;

    return sv_nic_list_vm(tx, sv_scope_system(), &s->vm, add_vpc, s, err);
}

enum sv_err sv_network_apply_vm(struct sv_cloud *c, const struct sv_id *vm, const struct sv_deadline *d,
                                struct sv_error *err)
{
    struct vpc_set s = {.vm = *vm};
    enum sv_err rc = sv_db_read(c->db, read_vpcs, &s, err);

    for (unsigned i = 0; !rc && i < s.n; i++)
        rc = sv_network_apply(c, &s.id[i], d, err);
    return rc;
}

/* --- start-up --------------------------------------------------------------------------------------- */

struct id_list {
    struct sv_id *v;
    size_t n, cap;
};

static void add_id(struct id_list *l, const struct sv_id *id)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->v = sv_realloc(l->v, l->cap * sizeof(*l->v));
    }
    l->v[l->n++] = *id;
}

static void add_deleting(void *arg, const struct sv_vpc *v)
{
    add_id(arg, &v->id);
}

static void add_present(void *arg, const struct sv_id *vpc)
{
    add_id(arg, vpc);
}

static enum sv_err read_deleting(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_vpc_list_deleting(tx, add_deleting, arg, err);
}

struct presence {
    struct sv_id id;
    bool known;
};

static enum sv_err read_known(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct presence *p = arg;
    struct sv_vpc v;
    enum sv_err rc = sv_vpc_get(tx, sv_scope_system(), &p->id, sv_tx_arena(tx), &v, err);

    p->known = rc == SV_OK;
    return rc == SV_E_VPC_NOT_FOUND ? SV_OK : rc;
}

static void log_failure(const char *what, const struct sv_id *vpc, const struct sv_error *e)
{
    char text[256];

    sv_err_text(e, SV_LANG_EN, text, sizeof(text));
    sv_log(SV_LOG_ERROR, what, "vpc", vpc->s, "error", text, NULL);
}

/* What the machine still holds is mended where the VPC is known and removed where it is not: files under
 * DIR/net are ours alone. */
static enum sv_err recover_present(struct sv_cloud *c, struct sv_error *err)
{
    struct id_list present = {0};
    enum sv_err rc = c->net->ops->list(c->net, add_present, &present, err);

    for (size_t i = 0; !rc && i < present.n; i++) {
        const struct sv_deadline d = sv_deadline_within(NULL, 30 * 1000);
        struct presence p = {.id = present.v[i]};
        struct sv_error e;
        enum sv_err one;

        rc = sv_db_read(c->db, read_known, &p, err);
        if (rc)
            break;
        one = p.known ? sv_network_apply(c, &p.id, &d, &e) : c->net->ops->vpc_remove(c->net, &p.id, &d, &e);
        if (one)
            log_failure("network.recover", &p.id, &e);
    }
    free(present.v);
    return rc;
}

enum sv_err sv_network_recover(struct sv_cloud *c, struct sv_error *err)
{
    struct id_list deleting = {0};
    enum sv_err rc = sv_db_read(c->db, read_deleting, &deleting, err);

    for (size_t i = 0; !rc && i < deleting.n; i++) {
        const struct sv_deadline d = sv_deadline_within(NULL, 30 * 1000);
        struct sv_error e;

        if (sv_network_remove(c, &deleting.v[i], &d, &e))
            log_failure("network.remove", &deleting.v[i], &e);
    }
    free(deleting.v);
    return rc ? rc : recover_present(c, err);
}
