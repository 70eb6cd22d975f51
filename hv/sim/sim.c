/* sim://: opening, closing, and the driver's row. */
#include "hv/sim/internal.h"
#include "starvirt/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    DEFAULT_CALL_LIMIT_MS = 30000,
    DEFAULT_SLOTS = 8,
};

static bool apply(void *arg, unsigned type, const struct sim_key *k, const unsigned char *p, size_t n)
{
    struct sim_host *h = arg;

    if (type == SIM_REC_VOLUME || type == SIM_REC_DROP || type == SIM_REC_CONTENT)
        return sim_volume_apply(h, type, k, p, n);
    return sim_domain_apply(h, type, k, p, n);
}

static void each(void *arg, struct sim_rewrite *w)
{
    struct sim_host *h = arg;

    sim_domain_each(h, w);
    sim_volume_each(h, w);
}

static size_t live_records(const struct sim_host *h)
{
    return 2 * h->domains.n + 2 * h->volumes.n + h->snapshot_count;
}

enum sv_err sim_record(struct sim_host *h, unsigned type, const struct sim_key *k, const void *p, size_t n,
                       struct sv_error *err)
{
    struct sv_error why;

    /* Before the change: what is rewritten is what memory holds. */
    if (sim_journal_bloated(&h->journal, live_records(h), false) &&
        sim_journal_rewrite(&h->journal, each, h, &why) != SV_OK) {
        sv_log(SV_LOG_WARN, "sim.journal_not_rewritten", "host", h->base.name, "why", why.arg[0], NULL);
        h->journal.records = 0; /* not again with every change */
    }
    return sim_journal_add(&h->journal, type, k, p, n, err);
}

static struct sim_host *host_new(struct sim *s, unsigned index)
{
    struct sim_host *h = sv_alloc(sizeof(*h));

    h->base.ops = s->base.ops;
    h->base.hv = &s->base;
    h->base.index = index;
    snprintf(h->base.name, sizeof(h->base.name), "%s%u", s->conf.name, index + 1);
    h->sim = s;
    h->journal.fd = -1;
    h->random = ((uint64_t)s->conf.seed << 32) + index;
    h->delay_us = s->conf.delay_us;
    h->jitter_us = s->conf.jitter_us;
    memcpy(h->fail, s->conf.fail, sizeof(h->fail));
    pthread_mutex_init(&h->lock, NULL);
    sv_cond_init(&h->gate);
    sv_cond_init(&h->change);
    return h;
}

static void host_free(struct sim_host *h)
{
    sim_journal_close(&h->journal);
    sim_table_free(&h->domains, sim_domain_free);
    sim_table_free(&h->volumes, sim_volume_free);
    sim_pools_forget(h);
    pthread_cond_destroy(&h->gate);
    pthread_cond_destroy(&h->change);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

/* Replays the host's journal and connects: a simulated connection takes no time, so it is there before
 * the caller sees the host, and its event follows from the driver's thread. */
static enum sv_err host_open(struct sim_host *h, const char *data_dir, struct sv_error *err)
{
    enum sv_err rc = sim_journal_open(&h->journal, data_dir, h->base.name, apply, h, err);
    struct sim_domain *d;

    if (!rc && sim_journal_bloated(&h->journal, live_records(h), true))
        rc = sim_journal_rewrite(&h->journal, each, h, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&h->lock);
    for (size_t pos = 0; (d = sim_table_next(&h->domains, &pos));)
        sim_guest_revive(h, d);
    sim_link(h, "connected");
    sim_hang(h, h->sim->conf.hang[h->base.index]);
    pthread_mutex_unlock(&h->lock);
    return SV_OK;
}

static void sim_close(struct sv_hv *hv)
{
    struct sim *s = sim_of(hv);

    sim_watch_stop(s);
    for (unsigned i = 0; i < hv->host_count; i++)
        sim_host_drain(sim_host_of(hv->hosts[i]));
    sim_driver_stop(&s->driver);
    sim_screens_free(s->screens);
    for (unsigned i = 0; i < hv->host_count; i++)
        host_free(sim_host_of(hv->hosts[i]));
    sim_templates_close(s);
    sim_driver_free(&s->driver);
    pthread_mutex_destroy(&s->templates.lock);
    free(hv->hosts);
    free(s);
}

static struct sim *sim_new(const struct sim_conf *conf, const struct sv_hv_options *opt, const struct sv_hv_events *ev)
{
    struct sim *s = sv_alloc(sizeof(*s));

    s->base.ops = &sv_hv_sim_ops;
    s->conf = *conf;
    s->call_limit_ms = opt->call_limit_ms ? opt->call_limit_ms : DEFAULT_CALL_LIMIT_MS;
    s->slots = opt->threads_per_host ? opt->threads_per_host : DEFAULT_SLOTS;
    s->templates.journal.fd = -1;
    pthread_mutex_init(&s->templates.lock, NULL);
    sim_driver_init(&s->driver, ev);
    s->screens = sim_screens_new();
    s->base.hosts = sv_alloc(conf->hosts * sizeof(struct sv_hv_host *));
    for (; s->base.host_count < conf->hosts; s->base.host_count++)
        s->base.hosts[s->base.host_count] = &host_new(s, s->base.host_count)->base;
    return s;
}

static enum sv_err begin(struct sim *s, const char *data_dir, struct sv_error *err)
{
    enum sv_err rc = sim_templates_open(s, data_dir, err);

    for (unsigned i = 0; !rc && i < s->base.host_count; i++)
        rc = host_open(sim_host_of(s->base.hosts[i]), data_dir, err);
    if (!rc && s->conf.control)
        rc = sim_watch_start(s, data_dir, err);
    return rc ? rc : sim_driver_start(&s->driver, err);
}

static enum sv_err sim_open(const char *uri, const struct sv_hv_options *opt, const struct sv_hv_events *ev,
                            struct sv_hv **ret, struct sv_error *err)
{
    struct sim_conf conf;
    enum sv_err rc = sim_conf_parse(uri, &conf, err);

    if (rc)
        return rc;
    struct sim *s = sim_new(&conf, opt, ev);
    *ret = &s->base; /* before the first event can ask for it */
    rc = begin(s, opt->data_dir, err);
    if (rc) {
        *ret = NULL;
        sim_close(&s->base);
    }
    return rc;
}

static enum sv_err sim_check(const char *uri, unsigned *ret_hosts, struct sv_error *err)
{
    struct sim_conf conf;
    const enum sv_err rc = sim_conf_parse(uri, &conf, err);

    if (!rc)
        *ret_hosts = conf.hosts;
    return rc;
}

static enum sv_err sim_info(struct sv_hv_host *hh, struct sv_hv_info *ret, const struct sv_deadline *dl,
                            struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    const struct sim_conf *conf = &h->sim->conf;
    const enum sv_err rc = sim_enter(h, SIM_CALL_info, dl, err);

    if (rc)
        return rc;
    *ret = (struct sv_hv_info){
        .vcpus = sim_conf_vcpus(conf, h->base.index),
        .memory = sim_conf_memory(conf, h->base.index),
        .storage_size = h->sim->conf.storage,
        .storage_used = h->storage_used,
        .mhz = 1000,
        .sockets = 1,
        .cores = (int)sim_conf_vcpus(conf, h->base.index),
        .threads = 1,
        .cpu_model = "simulated",
        .cpu_vendor = "simulated",
        .os_version = "starvirt simulator " STARVIRT_VERSION,
        .virt_version = "sim " STARVIRT_VERSION,
        .domain_type = "sim",
        .kernel = "simulated",
    };
    sim_leave(h);
    return SV_OK;
}

static const char *const schemes[] = {"sim://", NULL};

const struct sv_hv_ops sv_hv_sim_ops = {
    .name = "sim",
    .schemes = schemes,
    .least_memory = SV_MIN_MEMORY,
    .open = sim_open,
    .check = sim_check,
    .close = sim_close,
    .info = sim_info,
    .volume_create = sim_volume_create,
    .volume_delete = sim_volume_delete,
    .template_put = sim_template_put,
    .template_delete = sim_template_delete,
    .define = sim_define,
    .undefine = sim_undefine,
    .start = sim_start,
    .destroy = sim_destroy,
    .shutdown = sim_shutdown,
    .reboot = sim_reboot,
    .reset = sim_reset,
    .wait_power = sim_wait_power,
    .wait_reboot = sim_wait_reboot,
    .suspend = sim_suspend,
    .resume = sim_resume,
    .set_vcpus = sim_set_vcpus,
    .set_memory = sim_set_memory,
    .disk_attach = sim_disk_attach,
    .disk_detach = sim_disk_detach,
    .volume_resize = sim_volume_resize,
    .nic_attach = sim_nic_attach,
    .nic_detach = sim_nic_detach,
    .set_password = sim_set_password,
    .set_time = sim_set_time,
    .agent_sync = sim_agent_sync,
    .set_vnc_password = sim_set_vnc_password,
    .guest_addresses = sim_guest_addresses,
    .console_address = sim_console_address,
    .console_open = sim_console_open,
    .snapshot_create = sim_snapshot_create,
    .snapshot_restore = sim_snapshot_restore,
    .snapshot_delete = sim_snapshot_delete,
    .copy_out = sim_copy_out,
    .copy_abort = sim_copy_abort,
    .copy_in = sim_copy_in,
    .pool_open = sim_pool_open,
    .pool_close = sim_pool_close,
    .pool_info = sim_pool_info,
    .state = sim_state,
    .list = sim_list,
    .usage = sim_usage,
    .list_volumes = sim_list_volumes,
    .control = sim_control,
};
