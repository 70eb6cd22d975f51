/* What somebody else did to filters of NICs and to groups is seen, and mended by applying them again. */
#include "net_sandbox.h"
#include "starvirt/clock.h"

#define ID(n)                                                                                                          \
    {                                                                                                                  \
        "01900000-0000-7000-8000-00000000000" #n                                                                       \
    }

static const struct sv_id group_id = {"01900000-0000-7000-8000-00000000006a"};
static const struct sv_net_port_range port_80 = {80, 80};
static const struct sv_net_rule in_tcp = {.id = ID(b), .in = true, .proto = SV_NET_TCP, .ports = {&port_80, 1}};
static const struct sv_net_rule in_udp = {.id = ID(a), .in = true, .proto = SV_NET_UDP, .ports = {&port_80, 1}};
static const struct sv_net_filter open_1 = {
    .nic = ID(1), .vpc = ID(9), .mac = {0x52, 0x54, 0, 0, 0, 1}, .ip = 0x0A800005, .gateway = 0x0A800001, .on = true};
static const struct sv_net_filter open_2 = {
    .nic = ID(2), .vpc = ID(9), .mac = {0x52, 0x54, 0, 0, 0, 2}, .ip = 0x0A800006, .gateway = 0x0A800001, .on = true};

static void apply(const struct sv_net_filter *f)
{
    OK(net->ops->filter_apply(net, f, NULL, &err));
}

static void apply_group(void)
{
    const struct sv_net_group g = {.id = group_id, .rules = {&in_udp, 1}};
    OK(net->ops->group_apply(net, &g, NULL, &err));
}

static void leave(void)
{
    OK(net->ops->filter_remove(net, &open_1.nic, NULL, &err));
    OK(net->ops->filter_remove(net, &open_2.nic, NULL, &err));
    OK(net->ops->group_remove(net, &group_id, NULL, &err));
}

static struct sv_net_filter in_group(void)
{
    struct sv_net_filter f = open_1;
    f.groups = &group_id;
    f.group_count = 1;
    f.rules = (struct sv_net_rules){&in_tcp, 1};
    return f;
}

static bool nic_whole(const struct sv_net_filter *f)
{
    bool ret = false;
    OK(net->ops->filter_whole(net, f, &ret, &err));
    return ret;
}

static bool group_whole(void)
{
    const struct sv_net_group g = {.id = group_id};
    bool ret = false;
    OK(net->ops->group_whole(net, &g, &ret, &err));
    return ret;
}

#define NIC_1 "nic_01900000000070008000000000000001"
#define GROUP "group_0190000000007000800000000000006a"

/* Whose is broken by that: of the first NIC, the second, the group. */
static void drift_is_seen(void)
{
    static const struct {
        const char *command;
        bool first, second, group;
    } harm[] = {
        {"flush table bridge starvirt", true, true, true},
        {"flush ruleset", true, true, true},
        {"delete table ip starvirt", true, true, false},
        {"flush chain bridge starvirt from", true, true, false},
        {"insert rule bridge starvirt to accept", true, true, false},
        {"flush chain bridge starvirt " NIC_1 "_self", true, false, false},
        {"insert rule bridge starvirt " NIC_1 "_in accept", true, false, false},
        {"flush map bridge starvirt nics_in", true, true, false},
        {"delete element bridge starvirt nics_out { \"svt000000000001\" }", true, false, false},
        {"flush chain bridge starvirt " GROUP "_in", false, false, true},
        {"add rule bridge starvirt " GROUP "_out drop", false, false, true},
        {"add table ip somebody; add chain ip somebody c", false, false, false},
    };
    const struct sv_net_filter first = in_group();
    CHECK(!nic_whole(&open_1) && !group_whole());
    apply_group();
    apply(&first);
    apply(&open_2);
    for (size_t i = 0; i < sizeof(harm) / sizeof(harm[0]); i++) {
        CHECK(nic_whole(&first) && nic_whole(&open_2) && group_whole());
        fprintf(stderr, "  %s\n", harm[i].command);
        CHECK_INT(RUN("nft", harm[i].command), 0);
        CHECK_INT(nic_whole(&first), !harm[i].first);
        CHECK_INT(nic_whole(&open_2), !harm[i].second);
        CHECK_INT(group_whole(), !harm[i].group);
        apply_group();
        apply(&first);
        apply(&open_2);
    }
    CHECK_INT(RUN("nft", "delete table ip somebody"), 0);
    leave();
    CHECK(!nic_whole(&first) && !nic_whole(&open_2) && !group_whole());
}

/* A rule in the place of another, of which there are as many as before. */
static void a_rule_exchanged_is_seen(void)
{
    static const char of_chain[] = "nft -a list chain bridge starvirt " NIC_1 "_in | sed -n 's/.*accept.* # handle //p'"
                                   " | { read h; nft replace rule bridge starvirt " NIC_1 "_in handle $h drop; }";
    struct sv_net_filter f = open_1;
    f.rules = (struct sv_net_rules){(const struct sv_net_rule[]){in_udp, in_tcp}, 2};
    apply(&f);
    CHECK(nic_whole(&f));
    CHECK_INT(RUN("sh", "-c", of_chain), 0);
    CHECK(!nic_whole(&f));
    apply(&f);
    CHECK(nic_whole(&f));
    leave();
}

/* What a look at many costs. */
static void looking_costs_little(void)
{
    enum { MANY = 200 };
    struct sv_net_filter f[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        f[i] = open_1;
        f[i].nic = sv_id_new();
        apply(&f[i]);
    }
    const int64_t began = sv_mono_us();
    for (unsigned i = 0; i < MANY; i++)
        CHECK(nic_whole(&f[i]));
    fprintf(stderr, "  a look at one of %d filters: %lld us\n", MANY, (long long)(sv_mono_us() - began) / MANY);
    for (unsigned i = 0; i < MANY; i++)
        OK(net->ops->filter_remove(net, &f[i].nic, NULL, &err));
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {T(drift_is_seen), T(a_rule_exchanged_is_seen), T(looking_costs_little)};
    return net_sandbox(tests, sizeof(tests) / sizeof(tests[0]), NULL, argc, argv);
}
