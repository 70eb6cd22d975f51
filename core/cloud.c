/* The cloud's life: open, start, stop. */
#include "core/alarm/alarm.h"
#include "core/balance/balance.h"
#include "core/copy/copy.h"
#include "core/firewall/firewall.h"
#include "core/host/host.h"
#include "core/image/image.h"
#include "core/monitor/monitor.h"
#include "core/network/network.h"
#include "core/storage/storage.h"
#include "core/tenant/tenant.h"
#include "core/vm/vm.h"

static enum sv_err build(struct sv_cloud *c, const struct sv_cloud_options *opt, struct sv_error *err)
{
    struct sv_jobs_options jobs = opt->jobs;
    enum sv_err rc = sv_secrets_open(c->data_dir, &c->secrets, err);

    jobs.released = sv_sync_released;
    if (!rc)
        rc = sv_secrets_take(c->secrets, c->db, err);
    if (!rc)
        rc = sv_db_try(c->db, sv_tenant_first, c, err); /* a start that must write waits as a whole */
    if (!rc)
        rc = sv_jobs_new(c->db, sv_cloud_kinds, c, &jobs, &c->jobs, err);
    /* Before the hypervisors: their first events come at once. */
    if (!rc)
        rc = sv_sync_start(c, err);
    return rc ? rc : sv_hosts_open(c, opt, err);
}

enum sv_err sv_cloud_new(const struct sv_cloud_options *opt, struct sv_cloud **ret, struct sv_error *err)
{
    struct sv_cloud *c = sv_alloc(sizeof(*c));
    enum sv_err rc;

    c->company = &sv_backup_company;
    c->data_dir = sv_strdup(opt->data_dir);
    c->real_dir = realpath(c->data_dir, NULL);
    c->import_dirs = sv_strdup(opt->import_dirs);
    c->backup_dir = opt->backup_dir ? sv_strdup(opt->backup_dir) : sv_asprintf("%s/backups", opt->data_dir);
    c->backup_keep = opt->backup_keep;
    c->monitor_ms = opt->monitor_s * 1000;
    c->db = opt->db;
    c->net = opt->net;
    c->supernet = opt->supernet;
    c->supernet_prefix = opt->supernet_prefix;
    c->vpc_prefix = opt->vpc_prefix;
    c->placement = opt->placement;
    c->vcpu_overcommit = opt->vcpu_overcommit > 0 ? opt->vcpu_overcommit : 8;
    pthread_mutex_init(&c->host_network_lock, NULL);
    pthread_mutex_init(&c->online.mutex, NULL);
    sv_turns_init(c);
    sv_keeper_new(c, opt->news, opt->news_arg);
    sv_hosts_init(c);
    c->hv_options = opt->hv;
    sv_host_door_new(c);
    sv_rooms_init(c);
    sv_addresses_init(c);
    sv_looks_init(c, opt->news, opt->news_arg);
    sv_alarms_init(c, &opt->alarm);
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
        rc = sv_backup_recover(c, err);
    if (!rc)
        rc = sv_network_recover(c, err);
    if (!rc)
        rc = sv_host_network_recover(c, err);
    if (!rc)
        rc = sv_keeper_start(c, err);
    if (!rc)
        rc = sv_balance_start(c, err);
    if (!rc)
        rc = sv_alarms_start(c, err);
    if (!rc)
        rc = sv_monitor_start(c, c->monitor_ms, err);
    return rc ? rc : sv_jobs_start(c->jobs, err);
}

void sv_cloud_stop(struct sv_cloud *c, int64_t limit_ms)
{
    if (c->jobs)
        sv_jobs_stop(c->jobs, limit_ms);
    sv_keeper_stop(c);
    sv_monitor_stop(c);
    sv_sync_stop(c);
    sv_addresses_stop(c);
    sv_balance_stop(c);
    sv_alarms_stop(c);
}

bool sv_cloud_free(struct sv_cloud *c)
{
    bool left;

    if (!c)
        return true;
    sv_keeper_stop(c);
    sv_monitor_free(c);
    /* Whoever asks drivers, then the drivers, then what their threads call into. */
    sv_sync_stop(c);
    sv_addresses_stop(c);
    sv_hosts_close(c);
    sv_sync_free(c);
    sv_addresses_free(c);
    sv_host_door_free(c);
    sv_hosts_free(c);
    left = !sv_looks_free(c);
    sv_balance_free(c);
    sv_alarms_free(c);
    if (c->jobs)
        sv_jobs_free(c->jobs);
    sv_secrets_close(c->secrets);
    pthread_mutex_destroy(&c->host_network_lock);
    sv_keeper_free(c);
    sv_turns_end(c);
    pthread_mutex_destroy(&c->online.mutex);
    free(c->online.v);
    sv_hosts_end(c);
    sv_rooms_end(c);
    free(c->data_dir);
    free(c->real_dir);
    free(c->import_dirs);
    free(c->backup_dir);
    free(c);
    return !left;
}

struct sv_db *sv_cloud_db(struct sv_cloud *c)
{
    return c->db;
}

struct sv_jobs *sv_cloud_jobs(struct sv_cloud *c)
{
    return c->jobs;
}
