#include "hv/libvirt/internal.h"

#include "starvirt/log.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    CALL_LIMIT_MS = 30000,
    THREADS = 8,
    POLITE_MS = 1000,      /* how long a stop waits for calls before it breaks them off */
    CLOSE_LIMIT_MS = 3000, /* and how long in all */
};

struct lv_hv {
    struct sv_hv base;
    struct sv_hv_host *only;
};

/* "qemu+ssh://user@host:22/system" -> "host"; "" without one. */
static void uri_host(const char *uri, char *buf, size_t size)
{
    const char *at = strstr(uri, "://");
    buf[0] = '\0';
    if (!at)
        return;
    at += 3;
    size_t n = strcspn(at, "/?#");
    const char *user = memchr(at, '@', n);
    if (user) {
        n -= (size_t)(user + 1 - at);
        at = user + 1;
    }
    if (at[0] == '[') {
        at++;
        n = strcspn(at, "]");
    } else {
        const char *port = memchr(at, ':', n);
        n = port ? (size_t)(port - at) : n;
    }
    SV_AUTOFREE char *host = sv_asprintf("%.*s", (int)n, at);
    sv_copy(buf, size, host);
}

static void name_host(struct lv_host *h)
{
    uri_host(h->uri, h->base.name, sizeof(h->base.name));
    h->is_test = strncmp(h->uri, "test:", 5) == 0;
    h->remote = h->base.name[0] != '\0';
    h->in_process = (h->is_test && !h->remote) || strstr(h->uri, ":///embed");
    if (h->is_test)
        SV_COPY(h->base.name, "test");
    if (!h->base.name[0] && gethostname(h->base.name, sizeof(h->base.name) - 1) != 0)
        SV_COPY(h->base.name, "localhost");
}

static struct lv_host *host_new(const char *uri, const struct sv_hv_options *opt, const struct sv_hv_events *ev)
{
    struct lv_host *h = sv_alloc(sizeof(*h));
    h->refs = 1;
    h->base.ops = &sv_hv_libvirt_ops;
    h->uri = sv_strdup(uri);
    h->call_limit_ms = opt->call_limit_ms > 0 ? opt->call_limit_ms : CALL_LIMIT_MS;
    SV_COPY(h->wanted_type, opt->domain_type && opt->domain_type[0] ? opt->domain_type : "auto");
    h->ev = *ev;
    name_host(h);
    pthread_mutex_init(&h->ev_mu, NULL);
    pthread_mutex_init(&h->mu, NULL);
    sv_cond_init(&h->woken);
    lv_pool_init(&h->pool, opt->threads_per_host ? opt->threads_per_host : THREADS);
    lv_table_init(&h->table);
    lv_places_init(&h->places);
    return h;
}

static char *image_dir_of(const struct sv_hv_options *opt)
{
    return opt->image_dir && opt->image_dir[0] ? sv_strdup(opt->image_dir) : sv_asprintf("%s/images", opt->data_dir);
}

static enum sv_err check_options(const struct sv_hv_options *opt, struct sv_error *err)
{
    static const char *const types[] = {"auto", "kvm", "qemu"};
    if (!opt->domain_type || !opt->domain_type[0])
        return SV_OK;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(opt->domain_type, types[i]) == 0)
            return SV_OK;
    return sv_fail(err, SV_E_CONFIG, SV_F_NONE, "hv.domain_type is auto, kvm or qemu");
}

static enum sv_err start_keeper(struct lv_host *h, struct sv_error *err)
{
    pthread_t t;
    if (pthread_create(&t, NULL, lv_keeper, lv_host_ref(h)) != 0) {
        lv_host_unref(h);
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "no more threads");
    }
    pthread_detach(t);
    return SV_OK;
}

static enum sv_err lv_open_uri(const char *uri, const struct sv_hv_options *opt, const struct sv_hv_events *ev,
                               struct sv_hv **ret, struct sv_error *err)
{
    enum sv_err rc = check_options(opt, err);
    if (!rc)
        rc = lv_check_uri(uri, err);
    if (rc)
        return rc;
    if (!lv_library_ready())
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "the libvirt library does not start");
    struct lv_hv *hv = sv_alloc(sizeof(*hv));
    struct lv_host *h = host_new(uri, opt, ev);
    h->image_dir = image_dir_of(opt);
    hv->only = &h->base;
    hv->base = (struct sv_hv){.ops = &sv_hv_libvirt_ops, .hosts = &hv->only, .host_count = 1};
    h->base.hv = &hv->base;
    rc = h->remote ? SV_OK : lv_volume_prepare(h->image_dir, err);
    if (!rc)
        rc = start_keeper(h, err);
    if (rc) {
        lv_host_unref(h);
        free(hv);
        return rc;
    }
    *ret = &hv->base;
    return SV_OK;
}

static void lv_close_uri(struct sv_hv *base)
{
    struct lv_hv *hv = (struct lv_hv *)base;
    struct lv_host *h = lv_host_of(hv->only);
    const struct sv_deadline d = sv_deadline_within(NULL, CLOSE_LIMIT_MS);
    pthread_mutex_lock(&h->ev_mu);
    h->ev_off = true;
    pthread_mutex_unlock(&h->ev_mu);
    lv_table_close(&h->table);
    lv_pool_close(&h->pool, POLITE_MS);
    pthread_mutex_lock(&h->mu);
    h->closing = true;
    pthread_cond_broadcast(&h->woken);
    pthread_mutex_unlock(&h->mu);
    lv_links_cut(h);
    lv_pool_close(&h->pool, sv_deadline_left(&d));
    pthread_mutex_lock(&h->mu);
    while (!h->keeper_ended && !sv_deadline_over(&d))
        lv_cond_wait(&h->woken, &h->mu, NULL, sv_deadline_left(&d));
    pthread_mutex_unlock(&h->mu);
    lv_host_unref(h);
    free(hv);
}

static const char *const schemes[] = {"qemu:", "qemu+", "test:", "test+", NULL};

const struct sv_hv_ops sv_hv_libvirt_ops = {
    .name = "libvirt",
    .schemes = schemes,
    .least_memory = LV_LEAST_MEMORY,
    .open = lv_open_uri,
    .check = lv_check_asked_uri,
    .close = lv_close_uri,
    .info = lv_info,
    .volume_create = lv_volume_create,
    .volume_delete = lv_volume_delete,
    .template_put = lv_template_put,
    .template_delete = lv_template_delete,
    .define = lv_define,
    .undefine = lv_undefine,
    .start = lv_start,
    .destroy = lv_destroy,
    .shutdown = lv_shutdown,
    .reboot = lv_reboot,
    .reset = lv_reset,
    .wait_power = lv_wait_power,
    .wait_reboot = lv_wait_reboot,
    .suspend = lv_suspend,
    .resume = lv_resume,
    .set_vcpus = lv_set_vcpus,
    .set_memory = lv_set_memory,
    .disk_attach = lv_disk_attach,
    .disk_detach = lv_disk_detach,
    .volume_resize = lv_volume_resize,
    .nic_attach = lv_nic_attach,
    .nic_detach = lv_nic_detach,
    .set_password = lv_set_password,
    .set_time = lv_set_time,
    .agent_sync = lv_agent_sync,
    .set_vnc_password = lv_set_vnc_password,
    .guest_addresses = lv_guest_addresses,
    .snapshot_create = lv_snapshot_create,
    .snapshot_restore = lv_snapshot_restore,
    .snapshot_delete = lv_snapshot_delete,
    .copy_out = lv_copy_out,
    .copy_abort = lv_copy_abort,
    .copy_in = lv_copy_in,
    .console_address = lv_console_address,
    .console_open = lv_console_open,
    .pool_open = lv_place_open,
    .pool_close = lv_place_close,
    .pool_info = lv_place_info,
    .state = lv_state,
    .list = lv_list,
    .usage = lv_usage,
    .list_volumes = lv_list_volumes,
};
