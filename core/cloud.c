/* The cloud's life: open, start, stop. */
#include "core/internal.h"

static enum sv_err build(struct sv_cloud *c, const struct sv_cloud_options *opt, struct sv_error *err)
{
    enum sv_err rc = sv_secrets_open(c->data_dir, &c->secrets, err);

    if (!rc)
        rc = sv_db_write(c->db, sv_tenant_first, c, err);
    if (!rc)
        rc = sv_jobs_new(c->db, sv_cloud_kinds, c, &opt->jobs, &c->jobs, err);
    /* Before the hypervisors: their first events come at once. */
    if (!rc)
        rc = sv_sync_start(c, err);
    return rc ? rc : sv_hosts_open(c, opt, err);
}

enum sv_err sv_cloud_new(const struct sv_cloud_options *opt, struct sv_cloud **ret, struct sv_error *err)
{
    struct sv_cloud *c = sv_alloc(sizeof(*c));
    enum sv_err rc;

    c->data_dir = sv_strdup(opt->data_dir);
    c->import_dirs = sv_strdup(opt->import_dirs);
    c->backup_dir = opt->backup_dir ? sv_strdup(opt->backup_dir) : sv_asprintf("%s/backups", opt->data_dir);
    c->backup_keep = opt->backup_keep;
    c->db = opt->db;
    c->net = opt->net;
    c->supernet = opt->supernet;
    c->supernet_prefix = opt->supernet_prefix;
    c->vpc_prefix = opt->vpc_prefix;
    c->vcpu_overcommit = opt->vcpu_overcommit > 0 ? opt->vcpu_overcommit : 8;
    for (unsigned i = 0; i < SV_VPC_LOCKS; i++)
        pthread_mutex_init(&c->vpc_lock[i], NULL);
    sv_hosts_init(c);
    sv_addresses_init(c);
    rc = build(c, opt, err);
    if (rc) {
        sv_cloud_free(c);
        return rc;
    }
    *ret = c;
    return SV_OK;
}

enum sv_err sv_cloud_start(struct sv_cloud *c, struct sv_error *err)
{
    enum sv_err rc = sv_template_recover(c, err);

    if (!rc)
        rc = sv_storage_recover(c, err);

    if (!rc)
        rc = sv_account_recover(c, err);
    if (!rc)
        rc = sv_backup_recover(c, err);
    if (!rc)
        rc = sv_network_recover(c, err);
    return rc ? rc : sv_jobs_start(c->jobs, err);
}

void sv_cloud_stop(struct sv_cloud *c, int64_t limit_ms)
{
    if (c->jobs)
        sv_jobs_stop(c->jobs, limit_ms);
    sv_sync_stop(c);
    sv_addresses_stop(c);
}

void sv_cloud_free(struct sv_cloud *c)
{
    if (!c)
        return;
    /* Whoever asks drivers, then the drivers, then what their threads call into. */
    sv_sync_stop(c);
    sv_addresses_stop(c);
    sv_hosts_close(c);
    sv_sync_free(c);
    sv_addresses_free(c);
    if (c->jobs)
        sv_jobs_free(c->jobs);
    sv_secrets_close(c->secrets);
    for (unsigned i = 0; i < SV_VPC_LOCKS; i++)
        pthread_mutex_destroy(&c->vpc_lock[i]);
    pthread_mutex_destroy(&c->host_mutex);
    pthread_cond_destroy(&c->host_change);
    pthread_mutex_destroy(&c->agent_mutex);
    pthread_cond_destroy(&c->agent_change);
    free(c->data_dir);
    free(c->import_dirs);
    free(c->backup_dir);
    free(c);
}

struct sv_db *sv_cloud_db(struct sv_cloud *c)
{
    return c->db;
}

struct sv_jobs *sv_cloud_jobs(struct sv_cloud *c)
{
    return c->jobs;
}

unsigned sv_cloud_hosts_connected(struct sv_cloud *c, unsigned *ret_total)
{
    unsigned n = 0;

    for (unsigned i = 0; i < c->host_count; i++)
        n += sv_hv_connected(c->hosts[i].hv);
    *ret_total = c->host_count;
    return n;
}

/* --- jobs as their owners see them ------------------------------------------------------------------ */

enum sv_err sv_job_find(struct sv_tx *tx, const struct sv_actor *who, const char *startid, struct sv_arena *a,
                        struct sv_job *ret, struct sv_error *err)
{
    struct sv_id id;
    enum sv_err rc = sv_check_id(startid, SV_E_JOB_NOT_FOUND, SV_F_JOB, &id, err);

    return rc ? rc : sv_job_get(tx, sv_scope_of(who), &id, a, ret, err);
}

enum sv_err sv_job_cancel(struct sv_cloud *c, struct sv_tx *tx, const struct sv_actor *who, const char *startid,
                          enum sv_job_result *ret, struct sv_error *err)
{
    struct sv_id id;
    enum sv_err rc = sv_check_id(startid, SV_E_JOB_NOT_FOUND, SV_F_JOB, &id, err);

    return rc ? rc : sv_jobs_cancel(c->jobs, tx, sv_scope_of(who), &id, ret, err);
}
