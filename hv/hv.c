#include "starvirt/hv.h"

#include "starvirt/mem.h"
#include "starvirt/path.h"

#include <string.h>

static const struct sv_hv_ops *const drivers[] = {&sv_hv_sim_ops, &sv_hv_libvirt_ops};

static bool takes(const struct sv_hv_ops *ops, const char *uri)
{
    for (const char *const *s = ops->schemes; *s; s++)
        if (strncmp(uri, *s, strlen(*s)) == 0)
            return true;
    return false;
}

static const struct sv_hv_ops *driver_of(const char *uri)
{
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
        if (takes(drivers[i], uri))
            return drivers[i];
    return NULL;
}

static const char no_driver[] = "no driver for this hypervisor URI, expected qemu:///system, sim:// or test:///default";

enum sv_err sv_hv_check(const char *uri, const char **ret_driver, unsigned *ret_hosts, struct sv_error *err)
{
    const struct sv_hv_ops *driver = driver_of(uri);

    if (!driver)
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, no_driver);
    const enum sv_err rc = driver->check(uri, ret_hosts, err);
    if (!rc)
        *ret_driver = driver->name;
    return rc;
}

enum sv_err sv_hv_open(const char *uri, const struct sv_hv_options *opt, const struct sv_hv_events *ev,
                       struct sv_hv **ret, struct sv_error *err)
{
    struct sv_error why = {0};
    const struct sv_hv_ops *driver = driver_of(uri);
    if (!driver)
        return sv_fail_path(err, SV_E_CONFIG, "connect", uri, no_driver);
    const enum sv_err rc = driver->open(uri, opt, ev, ret, &why);
    if (rc == SV_E_CONFIG)
        return sv_fail_path(err, rc, "connect", uri, why.arg[0]);
    if (rc && err)
        *err = why;
    return rc;
}

void sv_hv_close(struct sv_hv *hv)
{
    if (hv)
        hv->ops->close(hv);
}

unsigned sv_hv_host_count(const struct sv_hv *hv)
{
    return hv->host_count;
}

struct sv_hv_host *sv_hv_host_at(struct sv_hv *hv, unsigned i)
{
    return i < hv->host_count ? hv->hosts[i] : NULL;
}

const char *sv_hv_host_name(const struct sv_hv_host *h)
{
    return h->name;
}

const char *sv_hv_driver_name(const struct sv_hv_host *h)
{
    return h->ops->name;
}

int64_t sv_hv_least_memory(const struct sv_hv_host *h)
{
    return h->ops->least_memory;
}

unsigned sv_hv_host_index(const struct sv_hv_host *h)
{
    return h->index;
}

bool sv_hv_connected(const struct sv_hv_host *h)
{
    return h->connected;
}

void sv_hv_set_user(struct sv_hv_host *h, void *user)
{
    h->user = user;
}

void *sv_hv_user(const struct sv_hv_host *h)
{
    return h->user;
}

enum sv_err sv_hv_ready(struct sv_hv_host *h, bool has_function, struct sv_error *err)
{
    if (!has_function)
        return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, h->ops->name);
    if (!h->connected)
        return sv_fail(err, SV_E_HOST_DOWN, SV_F_NONE, h->name);
    return SV_OK;
}
