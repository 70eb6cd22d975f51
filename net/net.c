#include "starvirt/net.h"

#include <ctype.h>

#include "starvirt/mem.h"

static const struct sv_net_ops *const engines[] = {&sv_net_none_ops, &sv_net_sim_ops, &sv_net_linux_ops,
                                                   &sv_net_ovn_ops};

enum sv_err sv_net_open(const char *name, const struct sv_net_options *opt, struct sv_net **ret, struct sv_error *err)
{
    for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i]->open(opt, ret, err);
    SV_AUTOFREE char *why = sv_asprintf("--network %.40s is unknown, use linux, ovn, sim or none", name);
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

void sv_net_tap(const struct sv_id *nic, char buf[SV_NET_DEVICE_LEN + 1])
{
    /* Its random part, which fits. */
    sv_copy(buf, SV_NET_DEVICE_LEN + 1, "svt");
    sv_copy(buf + 3, SV_NET_DEVICE_LEN - 2, sv_id_valid(nic->s) ? nic->s + SV_ID_LEN - 12 : "");
}

void sv_net_host_name(const struct sv_id *id, char buf[SV_NET_DEVICE_LEN + 1])
{
    /* The caller's own UUID may be of a version whose tail is the same for all of one machine: FNV-1a over it all. */
    uint64_t h = 0xcbf29ce484222325;
    unsigned char tail[6];
    for (const char *p = id->s; *p; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3;
    for (unsigned i = 0; i < sizeof(tail); i++)
        tail[i] = (unsigned char)((h ^ h >> 48) >> (8 * i));
    sv_copy(buf, SV_NET_DEVICE_LEN + 1, "svh");
    sv_hex(tail, sizeof(tail), buf + 3);
}

bool sv_net_word(const char *name)
{
    if (!isalnum((unsigned char)name[0]) && name[0] != '.')
        return false;
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._-@", *p))
            return false;
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}
