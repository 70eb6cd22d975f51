#include "starvirt/net.h"

#include "starvirt/mem.h"

static const struct sv_net_ops *const engines[] = {&sv_net_none_ops, &sv_net_linux_ops};

enum sv_err sv_net_open(const char *name, const struct sv_net_options *opt, struct sv_net **ret, struct sv_error *err)
{
    for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i]->open(opt, ret, err);
    SV_AUTOFREE char *why = strcmp(name, "ovn") == 0
                                ? sv_strdup("--network ovn is not there yet, use linux or none")
                                : sv_asprintf("--network %.40s is unknown, use linux or none", name);
    return sv_fail(err, SV_E_CONFIG, SV_F_NONE, why);
}

void sv_net_close(struct sv_net *net)
{
    if (net)
        net->ops->close(net);
}

void sv_net_hostname(const struct sv_id *vm, char buf[64])
{
    /* The tail of a UUIDv7 is its random part; its head is the time and much the same for all. */
    sv_copy(buf, 64, "vm-");
    sv_copy(buf + 3, 61, sv_id_empty(vm) ? "none" : vm->s + SV_ID_LEN - 8);
}
