/* No network: every NIC is a tap that leads nowhere. For hosts whose network somebody else runs, and for
 * the simulator. */
#include "starvirt/mem.h"
#include "starvirt/net.h"

static enum sv_err none_open(const struct sv_net_options *opt, struct sv_net **ret, struct sv_error *err)
{
    (void)opt;
    (void)err;
    struct sv_net *net = sv_alloc(sizeof(*net));
    net->ops = &sv_net_none_ops;
    *ret = net;
    return SV_OK;
}

static void none_close(struct sv_net *net)
{
    sv_freep(&net);
}

static enum sv_err none_apply(struct sv_net *net, const struct sv_net_vpc *vpc, const struct sv_net_nic *nics, size_t n,
                              const struct sv_deadline *d, struct sv_error *err)
{
    (void)net;
    (void)vpc;
    (void)nics;
    (void)n;
    (void)d;
    (void)err;
    return SV_OK;
}

static enum sv_err none_remove(struct sv_net *net, const struct sv_id *vpc, const struct sv_deadline *d,
                               struct sv_error *err)
{
    (void)net;
    (void)vpc;
    (void)d;
    (void)err;
    return SV_OK;
}

static void none_attach(struct sv_net *net, const struct sv_id *vpc, const struct sv_id *nic, struct sv_hv_nic *ret)
{
    (void)net;
    (void)vpc;
    (void)nic;
    ret->kind = SV_HV_NIC_ISOLATED;
    ret->bridge[0] = '\0';
    ret->tap[0] = '\0';
}

static enum sv_err none_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *vpc), void *arg,
                             struct sv_error *err)
{
    (void)net;
    (void)row;
    (void)arg;
    (void)err;
    return SV_OK;
}

/* Books only: core keeps the rows. */
static enum sv_err none_host_apply(struct sv_net *net, const struct sv_net_host *want, const struct sv_deadline *d,
                                   struct sv_error *err)
{
    (void)net;
    (void)want;
    (void)d;
    (void)err;
    return SV_OK;
}

const struct sv_net_ops sv_net_none_ops = {
    .name = "none",
    .books_only = true,
    .open = none_open,
    .close = none_close,
    .vpc_apply = none_apply,
    .vpc_remove = none_remove,
    .attach = none_attach,
    .list = none_list,
    .host_apply = none_host_apply,
    .host_remove = none_remove,
    .host_list = none_list,
};
