/* Storages that an administrator adds, removes and measures (StarVCenter 2.16 and ours). Each is answered by the end
 * of its job: a crash in the middle is finished or undone at the next start. */
#include "core/storage/storage.h"
#include "starvirt/store_leftover.h"
#include "starvirt/store_secret.h"

enum { STORAGE_LIMIT_MS = 2 * 60 * 1000, REFRESH_LIMIT_MS = 30 * 1000 };

/* --- which hosts ------------------------------------------------------------------------------------ */

/* A directory is one host's; what lies on the network is every host's unless one is named. */
static enum sv_err choose_host(struct sv_cloud *c, struct sv_tx *tx, const char *named, bool network,
                               struct sv_id *ret_host, bool *ret_shared, struct sv_error *err)
{
    SV_HOSTS hosts = {.n = 0};
    struct sv_host host;
    enum sv_err rc;

    *ret_shared = !named && network;
    if (named) {
        rc = sv_check_id(named, SV_E_HOST_NOT_FOUND, SV_F_HOST, ret_host, err);
        return rc ? rc : sv_host_get(tx, ret_host, sv_tx_arena(tx), &host, err);
    }
    sv_hosts_hold(c, &hosts);
    if (hosts.n == 0)
        return sv_fail(err, SV_E_NO_CAPACITY, SV_F_HOST, "no hosts");
    if (!network && hosts.n > 1)
        return sv_fail(err, SV_E_PARAM_MISSING, SV_F_HOST);
    *ret_host = hosts.v[0]->id;
    for (unsigned i = hosts.n; network && i-- > 0;) {
        if (sv_hv_connected(hosts.v[i]->hv))
            *ret_host = hosts.v[i]->id;
    }
    return SV_OK;
}

static bool reaches(const struct sv_storage *s, const struct sv_cloud_host *h)
{
    return s->shared || sv_id_eq(&s->host, &h->id);
}

/* --- acceptance ------------------------------------------------------------------------------------- */

static enum sv_err accept_job(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                              const struct sv_storage *s, const struct sv_job_kind *kind, struct sv_id *ret,
                              struct sv_error *err)
{
    const struct sv_job_spec spec = {.kind = kind,
                                     .tenant = who->tenant,
                                     .object = s->id,
                                     .host = s->host,
                                     .object_type = "storage",
                                     .object_name = s->name};

    return sv_jobs_accept(c->jobs, tx, &spec, ret, err);
}

enum sv_err sv_storage_add(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                           const struct sv_storage_new *in, struct sv_id *ret, struct sv_id *ret_startid,
                           struct sv_error *err)
{
    struct sv_storage s = {.id = sv_id_new(),
                           .name = in->name,
                           .descr = in->descr ? in->descr : "",
                           .location = in->location,
                           .use = in->use,
                           .monitors = "",
                           .pool = "",
                           .user = "",
                           .created = sv_tx_now(tx)};
    bool ceph;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = sv_storage_check_new(c, in, &s.type, err);
    ceph = !rc && sv_storage_kind(s.type) == SV_HV_POOL_RBD;
    if (!rc)
        rc = choose_host(c, tx, in->host, strcmp(s.type, "dir") != 0, &s.host, &s.shared, err);
    if (rc)
        return rc;
    if (ceph) {
        s.monitors = in->monitors;
        s.pool = in->pool;
        s.user = in->user;
    }
    rc = sv_storage_insert(tx, &s, err);
    if (!rc)
        rc = accept_job(c, tx, who, &s, &sv_kind_storage_add, ret_startid, err);
    if (!rc && ceph)
        rc = sv_secret_put(c->secrets, tx, &s.id, SV_SECRET_CEPH, in->key, err);
    if (!rc)
        *ret = s.id;
    return rc;
}

/* One that is being added or removed is not there for anybody else. */
static enum sv_err find_storage(struct sv_tx *tx, const char *id, struct sv_storage *ret, struct sv_error *err)
{
    struct sv_id sid;
    enum sv_err rc = sv_check_id(id, SV_E_STORAGE_NOT_FOUND, SV_F_STORAGE, &sid, err);

    if (!rc)
        rc = sv_storage_get(tx, &sid, sv_tx_arena(tx), ret, err);
    return rc || ret->ready ? rc : sv_fail(err, SV_E_STORAGE_NOT_FOUND, SV_F_STORAGE);
}

enum sv_err sv_storage_modify(struct sv_tx *tx, const struct sv_actor *who, const char *id, const char *name,
                              const char *descr, const enum sv_storage_use *use, struct sv_error *err)
{
    struct sv_storage s;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = sv_check_name(name, SV_F_STORAGE_NAME, err);
    if (!rc)
        rc = sv_check_descr(descr, SV_F_NONE, err);
    if (!rc && use)
        rc = sv_storage_check_use(*use, err);
    if (!rc)
        rc = find_storage(tx, id, &s, err);
    return rc ? rc : sv_storage_update(tx, &s.id, name, descr, use, err);
}

enum sv_err sv_storage_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                              struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_storage s;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = find_storage(tx, id, &s, err);
    if (!rc && s.own)
        rc = sv_fail(err, SV_E_STORAGE_IN_USE, SV_F_STORAGE, "the image directory of a host");
    if (!rc)
        rc = sv_storage_unused(tx, &s.id, err);
    if (!rc)
        rc = sv_storage_set_ready(tx, &s.id, false, err); /* nothing new goes there */
    return rc ? rc : accept_job(c, tx, who, &s, &sv_kind_storage_remove, ret_startid, err);
}

/* How full it is, asked by a job: a storage may hang. */
enum sv_err sv_storage_refresh(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                               struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_storage s;
    const struct sv_hv_host *h;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = find_storage(tx, id, &s, err);
    if (rc)
        return rc;
    h = sv_cloud_host_hv(c, &s.host);
    if (!h || !sv_hv_connected(h))
        return sv_fail(err, SV_E_HOST_DOWN, SV_F_STORAGE, h ? sv_hv_host_name(h) : s.host.s);
    return accept_job(c, tx, who, &s, &sv_kind_storage_refresh, ret_startid, err);
}

/* --- steps ------------------------------------------------------------------------------------------ */

static enum sv_err begin(struct sv_run *r, struct sv_storage *s, struct sv_hv_host **h, struct sv_error *err)
{
    enum sv_err rc = sv_run_host(r, h, err);

    return rc ? rc : sv_storage_read(sv_run_app(r), &sv_run_job(r)->object, sv_run_arena(r), s, err);
}

/* Its own host (`h`) in any case, the others as far as they are connected: they are told when they come. */
static bool is_told(const struct sv_storage *s, const struct sv_cloud_host *one, const struct sv_hv_host *h)
{
    return reaches(s, one) && (one->hv == h || sv_hv_connected(one->hv));
}

static enum sv_err open_it(struct sv_run *r, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    struct sv_storage s;
    struct sv_hv_host *h;
    enum sv_err rc = begin(r, &s, &h, err);
    SV_HOSTS hosts;

    sv_hosts_hold(c, &hosts);
    for (unsigned i = 0; !rc && i < hosts.n; i++) {
        if (is_told(&s, hosts.v[i], h))
            rc = sv_storage_open(c, hosts.v[i]->hv, &s.id, sv_run_arena(r), sv_run_deadline(r), err);
    }
    return rc ? rc : sv_storage_measure(c, h, &s.id, sv_run_deadline(r), err);
}

struct own_usage {
    struct sv_id id;
    struct sv_hv_info info;
};

static enum sv_err write_own(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct own_usage *u = arg;

    return sv_storage_set_usage(tx, &u->id, u->info.storage_size, u->info.storage_used, err);
}

static enum sv_err measure(struct sv_run *r, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    struct sv_storage s;
    struct own_usage own;
    struct sv_hv_host *h;
    enum sv_err rc = begin(r, &s, &h, err);

    if (rc)
        return rc;
    if (s.own) {
        own.id = s.id;
        rc = SV_HV_CALL(h, info, &own.info, sv_run_deadline(r));
        return rc ? rc : sv_db_write(c->db, write_own, &own, err);
    }
    rc = sv_storage_open(c, h, &s.id, sv_run_arena(r), sv_run_deadline(r), err);
    return rc ? rc : sv_storage_measure(c, h, &s.id, sv_run_deadline(r), err);
}

static enum sv_err close_it(struct sv_run *r, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    struct sv_storage s;
    struct sv_hv_host *h;
    enum sv_err rc = begin(r, &s, &h, err);
    SV_HOSTS hosts;

    sv_hosts_hold(c, &hosts);
    for (unsigned i = 0; !rc && i < hosts.n; i++) {
        if (is_told(&s, hosts.v[i], h))
            rc = SV_HV_CALL(hosts.v[i]->hv, pool_close, &s.id, sv_run_deadline(r));
    }
    return rc;
}

/* --- ends ------------------------------------------------------------------------------------------- */

/* Hosts that could not be told close it when they come back. */
static enum sv_err leave_open(struct sv_cloud *c, struct sv_tx *tx, const struct sv_storage *s, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    SV_HOSTS hosts;

    sv_hosts_hold(c, &hosts);
    for (unsigned i = 0; !rc && i < hosts.n; i++) {
        const struct sv_leftover l = {.host = hosts.v[i]->id, .object = s->id, .kind = SV_LEFTOVER_STORAGE};

        if (reaches(s, hosts.v[i]) && !sv_hv_connected(hosts.v[i]->hv))
            rc = sv_leftover_add(tx, &l, err);
    }
    return rc;
}

static enum sv_err forget(struct sv_cloud *c, struct sv_tx *tx, const struct sv_job *job, struct sv_error *err)
{
    struct sv_storage s;
    enum sv_err rc = sv_storage_get(tx, &job->object, sv_tx_arena(tx), &s, err);

    if (!rc)
        rc = leave_open(c, tx, &s, err);
    if (!rc)
        rc = sv_sealed_drop(tx, &s.id, SV_SECRET_CEPH, err);
    return rc ? rc : sv_storage_delete(tx, &s.id, err);
}

static enum sv_err end_add(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                           struct sv_error *err)
{
    enum sv_err rc;

    if (result != SV_JOB_DONE)
        return forget(app, tx, job, err);
    rc = sv_storage_set_ready(tx, &job->object, true, err);
    return rc ? rc : sv_cloud_event(tx, "storage.add", "storage", &job->object, &job->tenant, job->object_name, err);
}

static enum sv_err end_remove(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    enum sv_err rc;

    if (result != SV_JOB_DONE)
        return sv_storage_set_ready(tx, &job->object, true, err);
    rc = forget(app, tx, job, err);
    return rc ? rc : sv_cloud_event(tx, "storage.remove", "storage", &job->object, &job->tenant, job->object_name, err);
}

/* --- rows ------------------------------------------------------------------------------------------- */

static const struct sv_step storage_add_steps[] = {
    {.name = "open",
     .title_zh = "打开存储",
     .title_en = "open the storage",
     .weight = 1,
     .run = open_it,
     .undo = close_it},
};
static const struct sv_step storage_remove_steps[] = {
    {.name = "close",
     .title_zh = "关闭存储",
     .title_en = "close the storage",
     .weight = 1,
     .run = close_it,
     .undo = open_it},
};

static const struct sv_step storage_refresh_steps[] = {
    {.name = "measure", .title_zh = "查询容量", .title_en = "ask how full it is", .weight = 1, .run = measure},
};

const struct sv_job_kind sv_kind_storage_add = {.name = "storage.add",
                                                .title_zh = "新增存储",
                                                .title_en = "add storage",
                                                .lock_code = SV_LOCK_MOVING,
                                                .deadline_ms = STORAGE_LIMIT_MS,
                                                .resumable = true,
                                                SV_STEPS(storage_add_steps),
                                                .end = end_add};
const struct sv_job_kind sv_kind_storage_remove = {.name = "storage.remove",
                                                   .title_zh = "移除存储",
                                                   .title_en = "remove storage",
                                                   .lock_code = SV_LOCK_MOVING,
                                                   .deadline_ms = STORAGE_LIMIT_MS,
                                                   .resumable = true,
                                                   SV_STEPS(storage_remove_steps),
                                                   .end = end_remove};
const struct sv_job_kind sv_kind_storage_refresh = {.name = "storage.refresh",
                                                    .title_zh = "刷新存储",
                                                    .title_en = "refresh storage",
                                                    .lock_code = SV_LOCK_MOVING,
                                                    .deadline_ms = REFRESH_LIMIT_MS,
                                                    .resumable = true,
                                                    SV_STEPS(storage_refresh_steps)};
