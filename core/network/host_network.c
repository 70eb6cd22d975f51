/* Networks on a physical interface of the machine: rows, and the jobs that make and remove them. A request is
 * answered by the end of its job: a crash in the middle is finished or undone at the next start. */
#include "core/network/network.h"
#include "starvirt/log.h"

enum { NETWORK_LIMIT_MS = 60 * 1000, RECOVER_LIMIT_MS = 30 * 1000 };

const char *const sv_host_network_types[] = {[SV_NET_FLAT] = "flat", [SV_NET_VLAN] = "vlan", NULL};

const char *sv_host_network_type(const struct sv_host_network *n)
{
    return sv_host_network_types[n->vlan ? SV_NET_VLAN : SV_NET_FLAT];
}

void sv_host_network_bridge(const struct sv_id *id, char buf[SV_NET_DEVICE_LEN + 1])
{
    sv_net_host_name(id, buf);
}

/* --- what is taken ---------------------------------------------------------------------------------- */

static enum sv_err check_word(const char *word, enum sv_field field, struct sv_error *err)
{
    return sv_net_word(word) ? SV_OK : sv_fail(err, SV_E_PARAM_CHARS, field, "A-Za-z0-9._-@");
}

static enum sv_err check_device(const char *device, struct sv_error *err)
{
    if (!device || !device[0])
        return sv_fail(err, SV_E_PARAM_MISSING, SV_F_NET_DEVICE);
    if (strlen(device) > SV_NET_DEVICE_LEN)
        return sv_fail(err, SV_E_NET_DEVICE_NAME, SV_F_NET_DEVICE, sv_dec(SV_NET_DEVICE_LEN).s);
    return check_word(device, SV_F_NET_DEVICE, err);
}

static enum sv_err check_netns(const char *netns, struct sv_error *err)
{
    if (!netns || !netns[0])
        return SV_OK;
    if (strlen(netns) > SV_NET_NETNS_LEN)
        return sv_fail(err, SV_E_PARAM_LENGTH, SV_F_NETNS, sv_dec(SV_NET_NETNS_LEN).s);
    return check_word(netns, SV_F_NETNS, err);
}

static enum sv_err check_vlan(bool tagged, int64_t vlan, struct sv_error *err)
{
    SV_AUTOFREE char *range = sv_asprintf("%d..%d", SV_NET_VLAN_MIN, SV_NET_VLAN_MAX);

    if (!tagged)
        return vlan < 0 ? SV_OK : sv_fail(err, SV_E_PARAM_CONFLICT, SV_F_NET_VLAN, sv_host_network_types[SV_NET_FLAT]);
    if (vlan < 0)
        return sv_fail(err, SV_E_PARAM_MISSING, SV_F_NET_VLAN);
    return vlan >= SV_NET_VLAN_MIN && vlan <= SV_NET_VLAN_MAX ? SV_OK
                                                              : sv_fail(err, SV_E_PARAM_RANGE, SV_F_NET_VLAN, range);
}

static enum sv_err check_type(const char *type, bool *ret_tagged, struct sv_error *err)
{
    for (unsigned i = 0; sv_host_network_types[i]; i++) {
        if (type && strcmp(type, sv_host_network_types[i]) == 0) {
            *ret_tagged = i == SV_NET_VLAN;
            return SV_OK;
        }
    }
    return sv_fail(err, SV_E_NET_TYPE, SV_F_NET_TYPE, "flat, vlan");
}

static enum sv_err check_new(const struct sv_host_network_new *in, struct sv_host_network *ret, struct sv_error *err)
{
    bool tagged = false;
    enum sv_err rc = check_type(in->type, &tagged, err);

    if (!rc && (!in->id || !sv_id_valid(in->id)))
        rc = sv_fail(err, SV_E_PARAM_FORMAT, SV_F_NETWORK, "UUID");
    if (!rc)
        rc = check_device(in->device, err);
    if (!rc)
        rc = check_netns(in->netns, err);
    if (!rc)
        rc = check_vlan(tagged, in->vlan, err);
    if (!rc)
        *ret = (struct sv_host_network){.id = sv_id_from(in->id),
                                        .device = in->device,
                                        .netns = in->netns ? in->netns : "",
                                        .vlan = tagged ? (unsigned)in->vlan : 0};
    return rc;
}

/* --- acceptance ------------------------------------------------------------------------------------- */

static enum sv_err accept_job(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const struct sv_id *id,
                              const struct sv_job_kind *kind, struct sv_id *ret, struct sv_error *err)
{
    char name[SV_NET_DEVICE_LEN + 1];
    const struct sv_job_spec spec = {
        .kind = kind, .tenant = who->tenant, .object = *id, .object_type = "network", .object_name = name};

    sv_net_host_name(id, name);
    return sv_locked_as(sv_jobs_accept(c->jobs, tx, &spec, ret, err), SV_E_HOST_NETWORK_LOCKED, SV_F_NETWORK, err);
}

enum sv_err sv_host_network_create(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                                   const struct sv_host_network_new *in, struct sv_id *ret, struct sv_id *ret_startid,
                                   struct sv_error *err)
{
    struct sv_host_network n = {.vlan = 0};
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = check_new(in, &n, err);
    n.created = sv_tx_now(tx);
    if (!rc)
        rc = sv_host_network_insert(tx, &n, err);
    if (!rc)
        rc = accept_job(c, tx, who, &n.id, &sv_kind_network_create, ret_startid, err);
    if (!rc)
        *ret = n.id;
    return rc;
}

/* One that is being made or removed is there for nobody else; whoever wants to remove it hears of the job. */
static enum sv_err find_any(struct sv_tx *tx, const char *id, struct sv_host_network *ret, struct sv_error *err)
{
    struct sv_id nid;
    enum sv_err rc = sv_check_id(id, SV_E_HOST_NETWORK_NOT_FOUND, SV_F_NETWORK, &nid, err);

    return rc ? rc : sv_host_network_get(tx, &nid, sv_tx_arena(tx), ret, err);
}

enum sv_err sv_host_network_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                                   struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_host_network n;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = find_any(tx, id, &n, err);
    if (!rc)
        rc = accept_job(c, tx, who, &n.id, &sv_kind_network_delete, ret_startid, err);
    return rc ? rc : sv_host_network_set_ready(tx, &n.id, false, err);
}

enum sv_err sv_host_network_find(struct sv_tx *tx, const struct sv_actor *who, const char *id,
                                 struct sv_host_network *ret, struct sv_error *err)
{
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = find_any(tx, id, ret, err);
    return rc || ret->ready ? rc : sv_fail(err, SV_E_HOST_NETWORK_NOT_FOUND, SV_F_NETWORK);
}

enum sv_err sv_host_network_search(struct sv_tx *tx, const struct sv_actor *who, const struct sv_page *p,
                                   void (*row)(void *arg, const struct sv_host_network *n), void *arg,
                                   uint64_t *ret_total, struct sv_error *err)
{
    enum sv_err rc = sv_admin_only(who, err);

    return rc ? rc : sv_host_network_list(tx, p, row, arg, ret_total, err);
}

/* --- steps ------------------------------------------------------------------------------------------ */

static void wanted_of(const struct sv_host_network *n, struct sv_net_host *ret)
{
    *ret = (struct sv_net_host){.id = n->id, .type = n->vlan ? SV_NET_VLAN : SV_NET_FLAT, .vlan = n->vlan};
    SV_COPY(ret->device, n->device);
    SV_COPY(ret->netns, n->netns);
}

struct wanted {
    struct sv_id id;
    struct sv_net_host net;
};

static enum sv_err read_wanted(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct wanted *w = arg;
    struct sv_host_network n;
    enum sv_err rc = sv_host_network_get(tx, &w->id, sv_tx_arena(tx), &n, err);

    if (!rc)
        wanted_of(&n, &w->net);
    return rc;
}

static enum sv_err engine_apply(struct sv_cloud *c, const struct sv_net_host *net, const struct sv_deadline *d,
                                struct sv_error *err)
{
    enum sv_err rc;

    pthread_mutex_lock(&c->host_network_lock);
    rc = c->net->ops->host_apply(c->net, net, d, err);
    pthread_mutex_unlock(&c->host_network_lock);
    return rc;
}

static enum sv_err engine_remove(struct sv_cloud *c, const struct sv_id *id, const struct sv_deadline *d,
                                 struct sv_error *err)
{
    enum sv_err rc;

    pthread_mutex_lock(&c->host_network_lock);
    rc = c->net->ops->host_remove(c->net, id, d, err);
    pthread_mutex_unlock(&c->host_network_lock);
    return rc;
}

static enum sv_err make_it(struct sv_run *r, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    struct wanted w = {.id = sv_run_job(r)->object};
    enum sv_err rc = sv_db_read(c->db, read_wanted, &w, err);

    return rc ? rc : engine_apply(c, &w.net, sv_run_deadline(r), err);
}

static enum sv_err take_it_down(struct sv_run *r, struct sv_error *err)
{
    return engine_remove(sv_run_app(r), &sv_run_job(r)->object, sv_run_deadline(r), err);
}

/* --- ends ------------------------------------------------------------------------------------------- */

static enum sv_err forget(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    const enum sv_err rc = sv_host_network_delete(tx, id, err);

    return rc == SV_E_HOST_NETWORK_NOT_FOUND ? SV_OK : rc; /* its making was undone with its removal */
}

static enum sv_err end_create(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    enum sv_err rc;

    (void)app;
    if (result != SV_JOB_DONE)
        return forget(tx, &job->object, err);
    rc = sv_host_network_set_ready(tx, &job->object, true, err);
    return rc ? rc : sv_cloud_event(tx, "network.create", "network", &job->object, &job->tenant, job->object_name, err);
}

static enum sv_err end_delete(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    enum sv_err rc;

    (void)app;
    if (result != SV_JOB_DONE)
        return sv_host_network_set_ready(tx, &job->object, true, err);
    rc = forget(tx, &job->object, err);
    return rc ? rc : sv_cloud_event(tx, "network.delete", "network", &job->object, &job->tenant, job->object_name, err);
}

/* --- rows ------------------------------------------------------------------------------------------- */

static const struct sv_step create_steps[] = {
    {.name = "make",
     .title_zh = "创建网桥",
     .title_en = "make the bridge",
     .weight = 1,
     .run = make_it,
     .undo = take_it_down},
};
static const struct sv_step delete_steps[] = {
    {.name = "remove",
     .title_zh = "移除网桥",
     .title_en = "remove the bridge",
     .weight = 1,
     .run = take_it_down,
     .undo = make_it},
};

const struct sv_job_kind sv_kind_network_create = {.name = "network.create",
                                                   .title_zh = "创建网络",
                                                   .title_en = "create network",
                                                   .lock_code = SV_LOCK_INSTALLING,
                                                   .deadline_ms = NETWORK_LIMIT_MS,
                                                   .resumable = true,
                                                   SV_STEPS(create_steps),
                                                   .end = end_create};
const struct sv_job_kind sv_kind_network_delete = {.name = "network.delete",
                                                   .title_zh = "删除网络",
                                                   .title_en = "delete network",
                                                   .lock_code = SV_LOCK_MOVING,
                                                   .deadline_ms = NETWORK_LIMIT_MS,
                                                   .resumable = true,
                                                   .frees = true,
                                                   .ends_object = true,
                                                   SV_STEPS(delete_steps),
                                                   .end = end_delete};

/* --- start-up --------------------------------------------------------------------------------------- */

struct net_list {
    struct sv_net_host *v;
    size_t n, cap;
};

static void add_wanted(void *arg, const struct sv_host_network *n)
{
    struct net_list *l = arg;

    l->v = sv_grow(l->v, l->n, &l->cap, sizeof(*l->v));
    wanted_of(n, &l->v[l->n++]);
}

static void add_held(void *arg, const struct sv_id *id)
{
    add_wanted(arg, &(struct sv_host_network){.id = *id, .device = "", .netns = ""});
}

static enum sv_err read_ready(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_page all = {0};
    uint64_t total;

    return sv_host_network_list(tx, &all, add_wanted, arg, &total, err);
}

static void log_failure(const char *what, const struct sv_id *id, const struct sv_error *e)
{
    char text[256];

    sv_err_text(e, SV_LANG_EN, text, sizeof(text));
    sv_log(SV_LOG_ERROR, what, "network", id->s, "error", text, NULL);
}

/* Of one that a job is about to make or remove again the job sees to it. */
static void remove_unknown(struct sv_cloud *c, const struct sv_id *id)
{
    const struct sv_deadline d = sv_deadline_within(NULL, RECOVER_LIMIT_MS);
    struct wanted w = {.id = *id};
    struct sv_error e;
    enum sv_err rc = sv_db_read(c->db, read_wanted, &w, &e);

    if (rc == SV_E_HOST_NETWORK_NOT_FOUND)
        rc = engine_remove(c, id, &d, &e);
    if (rc)
        log_failure("network.remove", id, &e);
}

/* First what has no row: it may be in the way of what has one. */
enum sv_err sv_host_network_recover(struct sv_cloud *c, struct sv_error *err)
{
    struct net_list held = {0}, ready = {0};
    enum sv_err rc = c->net->ops->host_list(c->net, add_held, &held, err);

    for (size_t i = 0; !rc && i < held.n; i++)
        remove_unknown(c, &held.v[i].id);
    if (!rc)
        rc = sv_db_read(c->db, read_ready, &ready, err);
    for (size_t i = 0; !rc && i < ready.n; i++) {
        const struct sv_deadline d = sv_deadline_within(NULL, RECOVER_LIMIT_MS);
        struct sv_error e;

        if (engine_apply(c, &ready.v[i], &d, &e))
            log_failure("network.recover", &ready.v[i].id, &e);
    }
    free(held.v);
    free(ready.v);
    return rc;
}
