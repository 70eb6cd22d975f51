/* Templates: accepted here, put on every connected host by a job, through the image gate (threats 1-8). */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/host/host.h"
#include "core/image/template.h"
#include "starvirt/store_leftover.h"
#include "starvirt/text.h"

enum { IMPORT_LIMIT_MS = 4 * 60 * 60 * 1000 };

/* --- acceptance ------------------------------------------------------------------------------------- */

/* Both as realpath() tells them. */
static bool below(const char *path, const char *dir)
{
    const size_t n = strcmp(dir, "/") == 0 ? 0 : strlen(dir);

    return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* Where import.dirs lead to now: they may be links themselves. */
static bool is_allowed(const struct sv_cloud *c, const char *real)
{
    for (const char *p = c->import_dirs; *p;) {
        const size_t n = strcspn(p, ",");
        SV_AUTOFREE char *dir = sv_asprintf("%.*s", (int)n, p), *real_dir = realpath(dir, NULL);

        if (real_dir && below(real, real_dir))
            return true;
        p += n + (p[n] == ',');
    }
    return false;
}

/* Resolved first: neither a link nor ".." may lead out of the directories allowed. */
static enum sv_err check_path(const struct sv_cloud *c, const char *path, char real[PATH_MAX], struct sv_error *err)
{
    struct stat st;

    if (path[0] != '/' || !realpath(path, real))
        return sv_fail(err, SV_E_TEMPLATE_PATH, SV_F_TEMPLATE_PATH,
                       path[0] == '/' ? strerror(errno) : "not an absolute path");
    if (stat(real, &st) < 0 || !S_ISREG(st.st_mode))
        return sv_fail(err, SV_E_TEMPLATE_PATH, SV_F_TEMPLATE_PATH, "not a regular file");
    if (!c->import_dirs || is_allowed(c, real))
        return SV_OK;
    return sv_fail(err, SV_E_TEMPLATE_PATH, SV_F_TEMPLATE_PATH, "outside of import.dirs");
}

static enum sv_err check_md5(const char *md5, struct sv_error *err)
{
    if (md5 && (strlen(md5) != 32 || md5[strspn(md5, "0123456789abcdefABCDEF")] != '\0'))
        return sv_fail(err, SV_E_PARAM_FORMAT, SV_F_CHECKSUM, "32 hex digits");
    return SV_OK;
}

/* From now on so much of it counts in its tenant's quota: QUOTA_IMAGES. One that is offered to all counts in none. */
static enum sv_err hold(struct sv_tx *tx, const struct sv_template *t, int64_t bytes, struct sv_error *err)
{
    const struct sv_amounts more = {.images = bytes - t->held};
    enum sv_err rc;

    if (sv_id_empty(&t->tenant) || !more.images)
        return SV_OK;
    rc = sv_tenant_reserve(tx, &t->tenant, &more, err);
    return rc ? rc : sv_template_hold(tx, &t->id, bytes, err);
}

enum sv_err sv_template_path(struct sv_cloud *c, const struct sv_actor *who, const char *path, struct sv_arena *a,
                             const char **ret, struct sv_error *err)
{
    char real[PATH_MAX];
    enum sv_err rc = who->role == SV_ROLE_ADMIN ? check_path(c, path, real, err) : SV_OK;

    if (!rc)
        *ret = who->role == SV_ROLE_ADMIN ? sv_arena_strdup(a, real) : path;
    return rc;
}

/* An admin's template is offered to all, a tenant's is its own. The job looks at the path once more. */
enum sv_err sv_template_import(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who,
                               const struct sv_template_new *in, struct sv_id *ret, struct sv_id *ret_startid,
                               struct sv_error *err)
{
    struct sv_template t = {.id = sv_id_new(),
                            .name = in->name,
                            .descr = in->descr ? in->descr : "",
                            .os = in->os ? in->os : "",
                            .format = in->format ? in->format : "",
                            .md5 = in->md5 ? in->md5 : "",
                            .sha256 = "",
                            .source = in->upload ? in->upload : in->path,
                            .state = SV_TEMPLATE_IMPORTING,
                            .created = sv_tx_now(tx)};
    const struct sv_job_spec job = {.kind = &sv_kind_template_import,
                                    .tenant = who->tenant,
                                    .object = t.id,
                                    .object_type = "template",
                                    .object_name = in->name,
                                    .iarg = {in->upload != NULL, 0}};
    enum sv_err rc = sv_check_name(in->name, SV_F_TEMPLATE_NAME, err);

    if (who->role != SV_ROLE_ADMIN)
        t.tenant = who->tenant;
    if (!rc)
        rc = sv_check_descr(in->descr, SV_F_NONE, err);
    if (!rc)
        rc = check_md5(in->md5, err);
    if (!rc && !in->upload && who->role != SV_ROLE_ADMIN)
        rc = sv_fail(err, SV_E_ADMIN_ONLY, SV_F_TEMPLATE_PATH);
    if (!rc)
        rc = sv_template_insert(tx, &t, err);
    if (!rc)
        rc = hold(tx, &t, in->upload ? in->upload_size : 0, err);
    if (!rc)
        rc = sv_jobs_accept(c->jobs, tx, &job, ret_startid, err);
    if (!rc)
        *ret = t.id;
    return rc;
}

/* One that is being made of a VM is no object of that job, but its argument. */
static enum sv_err check_not_made(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err)
{
    struct sv_id job;
    bool open = false;
    enum sv_err rc = sv_job_open_for(tx, id, &job, &open, err);

    if (!rc && !open)
        rc = sv_pending_of_part(tx, id, &job, &open, err);
    return rc || !open ? rc : sv_fail(err, SV_E_TEMPLATE_LOCKED, SV_F_TEMPLATE, job.s);
}

/* Tenants see the templates offered to all, but only their owner or an admin may delete one. */
enum sv_err sv_template_remove(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *id,
                               struct sv_id *ret_startid, struct sv_error *err)
{
    struct sv_id tid;
    struct sv_template t;
    enum sv_err rc = sv_check_id(id, SV_E_TEMPLATE_NOT_FOUND, SV_F_TEMPLATE, &tid, err);

    if (!rc)
        rc = sv_template_get(tx, sv_scope_of(who), &tid, sv_tx_arena(tx), &t, err);
    if (!rc && who->role != SV_ROLE_ADMIN && !sv_id_eq(&t.tenant, &who->tenant))
        rc = sv_fail(err, SV_E_ADMIN_ONLY, SV_F_TEMPLATE);
    if (!rc && t.uses > 0)
        rc = sv_fail(err, SV_E_TEMPLATE_IN_USE, SV_F_TEMPLATE, sv_dec(t.uses).s);
    if (!rc)
        rc = check_not_made(tx, &tid, err);
    if (!rc) {
        const struct sv_job_spec job = {.kind = &sv_kind_template_delete,
                                        .tenant = who->tenant,
                                        .object = tid,
                                        .object_type = "template",
                                        .object_name = t.name};

        rc =
            sv_locked_as(sv_jobs_accept(c->jobs, tx, &job, ret_startid, err), SV_E_TEMPLATE_LOCKED, SV_F_TEMPLATE, err);
    }
    return rc ? rc : sv_template_set_state(tx, &tid, SV_TEMPLATE_DELETING, err);
}

/* --- steps ------------------------------------------------------------------------------------------ */

struct read_args {
    const struct sv_id *id;
    struct sv_arena *a;
    struct sv_template *ret;
};

static enum sv_err read_template(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct read_args *r = arg;

    return sv_template_get(tx, sv_scope_system(), r->id, r->a, r->ret, err);
}

struct sv_id sv_template_of_job(const struct sv_job *job)
{
    return strcmp(job->kind, sv_kind_template_create.name) == 0 ? sv_id_from(job->sarg) : job->object;
}

enum sv_err sv_template_read(struct sv_run *r, struct sv_template *ret, struct sv_error *err)
{
    const struct sv_id id = sv_template_of_job(sv_run_job(r));
    struct read_args a = {&id, sv_run_arena(r), ret};

    return sv_db_read(sv_run_db(r), read_template, &a, err);
}

/* Looked at once more where it is read: a directory on the way may have been put elsewhere since. */
static enum sv_err still_there(struct sv_run *r, const struct sv_template *t, struct sv_error *err)
{
    char real[PATH_MAX];
    enum sv_err rc;

    if (sv_run_job(r)->iarg[0])
        return SV_OK; /* uploaded: our own directory */
    rc = check_path(sv_run_app(r), t->source, real, err);
    return rc || strcmp(real, t->source) == 0
               ? rc
               : sv_fail(err, SV_E_TEMPLATE_PATH, SV_F_TEMPLATE_PATH, "it was replaced meanwhile");
}

struct found {
    struct sv_id id;
    const char *format;
};

static enum sv_err write_format(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct found *f = arg;

    return sv_template_set_format(tx, &f->id, f->format, err);
}

/* Kept as soon as it is known: it is the one that is read from then on. */
static enum sv_err keep_format(struct sv_run *r, const struct sv_template *t, const struct sv_image *image,
                               struct sv_error *err)
{
    struct found f = {t->id, image->format};

    return t->format[0] ? SV_OK : sv_db_write(sv_run_db(r), write_format, &f, err);
}

static enum sv_err check_source(struct sv_run *r, struct sv_error *err)
{
    struct sv_template t;
    struct sv_image image;
    char md5[33];
    enum sv_err rc = sv_template_read(r, &t, err);

    if (rc)
        return rc;
    if (access(t.source, R_OK) < 0)
        return sv_fail(err, SV_E_TEMPLATE_PATH, SV_F_TEMPLATE_PATH, strerror(errno));
    rc = still_there(r, &t, err);
    if (rc)
        return rc;
    rc = sv_image_whole(t.source, t.format[0] ? t.format : NULL, &image, sv_run_deadline(r), err);
    if (!rc)
        rc = keep_format(r, &t, &image, err);
    if (rc || !t.md5[0])
        return rc;
    if (sv_file_digest(t.source, NULL, md5) < 0)
        return sv_fail(err, SV_E_TEMPLATE_PATH, SV_F_TEMPLATE_PATH, strerror(errno));
    return strcasecmp(md5, t.md5) == 0 ? SV_OK : sv_fail(err, SV_E_IMAGE_CHECKSUM, SV_F_CHECKSUM);
}

struct ready_args {
    struct sv_id id;
    int64_t size, virtual_size;
    char md5[33], sha256[65];
};

static enum sv_err write_ready(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct ready_args *a = arg;
    struct sv_template t;
    enum sv_err rc = sv_template_get(tx, sv_scope_system(), &a->id, sv_tx_arena(tx), &t, err);

    if (!rc)
        rc = hold(tx, &t, a->size, err);
    return rc ? rc : sv_template_ready(tx, &a->id, a->size, a->virtual_size, a->md5, a->sha256, err);
}

/* [ms] how long a host may take to connect before it is passed over */
enum { HOST_WAIT_MS = 15 * 1000 };

static enum sv_err write_leftover(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_leftover_add(tx, arg, err);
}

/* Calls `fn` for each host that is there. One that stays away is passed over; what `fn` would have taken
 * from it is noted as left over. None at all is a failure. */
static enum sv_err each_host(struct sv_run *r, bool removes,
                             enum sv_err (*fn)(struct sv_run *r, struct sv_hv_host *h, void *arg, struct sv_error *err),
                             void *arg, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    const struct sv_actor nobody = {.role = SV_ROLE_TENANT}; /* the log is its tenant's */
    unsigned reached = 0;
    SV_HOSTS hosts;

    sv_hosts_hold(c, &hosts);
    for (unsigned i = 0; i < hosts.n; i++) {
        const struct sv_deadline d = sv_deadline_within(sv_run_deadline(r), HOST_WAIT_MS);
        enum sv_err rc = sv_host_wait(c, hosts.v[i]->hv, &d, err);

        if (rc == SV_E_HOST_DOWN) {
            struct sv_leftover l = {
                .host = hosts.v[i]->id, .object = sv_template_of_job(sv_run_job(r)), .kind = SV_LEFTOVER_TEMPLATE};

            rc = removes ? sv_db_write(c->db, write_leftover, &l, err) : SV_OK;
            if (rc)
                return rc;
            continue;
        }
        if (!rc)
            rc = fn(r, hosts.v[i]->hv, arg, err);
        if (rc)
            return rc;
        reached++;
    }
    return reached || removes ? SV_OK : sv_host_not_ready(c, &nobody, err);
}

struct putting {
    const struct sv_template *t;
    struct ready_args *found;
    struct sv_run *r;
    unsigned hosts, before; /* all of them, and those that have it */
};

/* Of all hosts together. */
static void on_progress(void *arg, int64_t done, int64_t total)
{
    const struct putting *p = arg;

    if (total > 0 && total < INT64_MAX / SV_MAX_HOSTS)
        sv_run_progress(p->r, p->before * total + done, p->hosts * total);
}

static enum sv_err put_one(struct sv_run *r, struct sv_hv_host *h, void *arg, struct sv_error *err)
{
    struct putting *p = arg;
    const enum sv_err rc = SV_HV_CALL(h, template_put, &p->t->id, p->t->source, p->t->format[0] ? p->t->format : NULL,
                                      &p->found->size, &p->found->virtual_size, on_progress, p, sv_run_deadline(r));

    p->before++;
    return rc;
}

static enum sv_err drop_one(struct sv_run *r, struct sv_hv_host *h, void *arg, struct sv_error *err)
{
    const struct sv_id id = sv_template_of_job(sv_run_job(r));

    (void)arg;
    return SV_HV_CALL(h, template_delete, &id, sv_run_deadline(r));
}

enum sv_err sv_step_template_drop(struct sv_run *r, struct sv_error *err)
{
    return each_host(r, true, drop_one, NULL, err);
}

/* The rows learn of it in this step, not at the end: a run after a crash may find the source consumed. */
enum sv_err sv_step_template_import(struct sv_run *r, struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    struct sv_template t;
    struct ready_args a = {.id = sv_template_of_job(sv_run_job(r))};
    enum sv_err rc = sv_template_read(r, &t, err);

    if (rc || t.state == SV_TEMPLATE_READY)
        return rc;
    rc = still_there(r, &t, err);
    if (rc)
        return rc;
    if (sv_file_digest(t.source, a.sha256, a.md5) < 0)
        return sv_fail(err, SV_E_TEMPLATE_PATH, SV_F_TEMPLATE_PATH, strerror(errno));
    if (t.md5[0] && strcasecmp(a.md5, t.md5) != 0) /* what was checked is not what is here now */
        return sv_fail(err, SV_E_IMAGE_CHECKSUM, SV_F_CHECKSUM);
    rc = each_host(r, false, put_one, &(struct putting){&t, &a, r, sv_hosts_count(c), 0}, err);
    if (!rc)
        rc = sv_db_write(sv_run_db(r), write_ready, &a, err);
    if (rc)
        return rc;
    if (sv_run_job(r)->iarg[0])
        unlink(t.source);
    sv_run_note(r, SV_LOG_INFO, SV_N_IMAGE_SIZE, sv_bytes(a.virtual_size, SV_ROUND_DOWN).s, a.sha256, NULL);
    return SV_OK;
}

/* A file may be large, and its end then takes a while: not on the writer's thread. */
static enum sv_err discard_file(struct sv_run *r, struct sv_error *err)
{
    if (unlink(sv_run_job(r)->sarg) < 0 && errno != ENOENT)
        return sv_fail(err, SV_E_STORAGE, SV_F_NONE, strerror(errno));
    return SV_OK;
}

static enum sv_err accept_discard(struct sv_cloud *c, struct sv_tx *tx, const struct sv_job *of,
                                  const struct sv_template *t, struct sv_error *err)
{
    const struct sv_job_spec spec = {.kind = &sv_kind_template_discard,
                                     .tenant = of->tenant,
                                     .object = t->id,
                                     .object_type = "template",
                                     .object_name = t->name,
                                     .sarg = t->source,
                                     .own = true};
    struct sv_id startid;

    return sv_jobs_accept(c->jobs, tx, &spec, &startid, err);
}

enum sv_err sv_template_end_making(struct sv_tx *tx, const struct sv_job *job, bool done, struct sv_template *ret,
                                   struct sv_error *err)
{
    const struct sv_id id = sv_template_of_job(job);
    enum sv_err rc = sv_template_get(tx, sv_scope_system(), &id, sv_tx_arena(tx), ret, err);

    if (!rc && !done && ret->state == SV_TEMPLATE_FAILED) /* shown before what it left was undone */
        return SV_OK;
    if (!rc && !done)
        rc = sv_template_set_failed(tx, &id, job->error_symbol, job->error_args, err);
    if (!rc && !done)
        rc = hold(tx, ret, 0, err);
    return rc ? rc
              : sv_cloud_event(tx, done ? "template.ready" : "template.failed", "template", &id, &job->tenant,
                               ret->name, err);
}

enum sv_err sv_template_left(struct sv_tx *tx, const struct sv_job *job, void *app, struct sv_error *err)
{
    struct sv_template t;

    (void)app;
    return sv_template_end_making(tx, job, false, &t, err);
}

static enum sv_err end_import(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    const bool done = result == SV_JOB_DONE;
    struct sv_template t;
    enum sv_err rc = sv_template_end_making(tx, job, done, &t, err);

    return rc || done || !job->iarg[0] || !t.source[0] ? rc : accept_discard(app, tx, job, &t, err);
}

static enum sv_err end_delete(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                              struct sv_error *err)
{
    struct sv_template t;
    enum sv_err rc;

    (void)app;
    if (result != SV_JOB_DONE)
        return sv_template_set_state(tx, &job->object, SV_TEMPLATE_FAILED, err);
    rc = sv_template_get(tx, sv_scope_system(), &job->object, sv_tx_arena(tx), &t, err);
    if (!rc)
        rc = hold(tx, &t, 0, err);
    if (!rc)
        rc = sv_template_delete(tx, &job->object, err);
    return rc ? rc
              : sv_cloud_event(tx, "template.delete", "template", &job->object, &job->tenant, job->object_name, err);
}

static const struct sv_step import_steps[] = {
    {.name = "check", .title_zh = "检查镜像", .title_en = "check the image", .weight = 1, .run = check_source},
    {.name = "import",
     .title_zh = "导入镜像",
     .title_en = "import the image",
     .weight = 9,
     .run = sv_step_template_import,
     .undo = sv_step_template_drop},
};
static const struct sv_step delete_steps[] = {
    {.name = "delete",
     .title_zh = "删除镜像",
     .title_en = "delete the image",
     .weight = 1,
     .run = sv_step_template_drop},
};

static const struct sv_step discard_steps[] = {
    {.name = "discard",
     .title_zh = "删除上传的文件",
     .title_en = "delete the uploaded file",
     .weight = 1,
     .run = discard_file},
};

const struct sv_job_kind sv_kind_template_import = {.name = "template.import",
                                                    .title_zh = "导入模板",
                                                    .title_en = "import template",
                                                    .lock_code = SV_LOCK_IMPORTING,
                                                    .deadline_ms = IMPORT_LIMIT_MS,
                                                    .resumable = true,
                                                    .left = sv_template_left,
                                                    SV_STEPS(import_steps),
                                                    .end = end_import};
const struct sv_job_kind sv_kind_template_discard = {.name = "template.discard",
                                                     .title_zh = "清理上传",
                                                     .title_en = "discard an upload",
                                                     .deadline_ms = IMPORT_LIMIT_MS,
                                                     .resumable = true,
                                                     .no_cancel = true,
                                                     SV_STEPS(discard_steps)};
const struct sv_job_kind sv_kind_template_delete = {.name = "template.delete",
                                                    .title_zh = "删除模板",
                                                    .title_en = "delete template",
                                                    .lock_code = SV_LOCK_MOVING,
                                                    .deadline_ms = IMPORT_LIMIT_MS,
                                                    .resumable = true,
                                                    .no_cancel = true,
                                                    .frees = true,
                                                    .ends_object = true,
                                                    SV_STEPS(delete_steps),
                                                    .end = end_delete};
