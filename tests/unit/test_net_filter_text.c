/* The text of filters against golden files, and what is read back out of nft's. */
#include "net/linux/filter.h"

#include "tests/unit/golden.h"

#define ID(n)                                                                                                          \
    {                                                                                                                  \
        "01900000-0000-7000-8000-0000000000" #n                                                                        \
    }

static const struct sv_net_range hosts[] = {{0x0A800002, 0x0A800002}, {0x0A800010, 0x0A80001F}};
static const struct sv_net_range everything = {0, UINT32_MAX};
static const struct sv_net_port_range ports[] = {{22, 22}, {8000, 8080}};
static const struct sv_net_rule rules[] = {
    {.id = ID(01), .in = true},
    {.id = ID(02), .in = true, .proto = SV_NET_TCP, .src = {hosts, 2}, .ports = {ports, 2}},
    {.id = ID(03), .in = true, .proto = SV_NET_UDP, .src = {hosts, 1}, .dst = {&hosts[1], 1}, .ports = {ports, 1}},
    {.id = ID(04), .proto = SV_NET_ICMP, .src = {&everything, 1}},
    {.id = ID(05), .ports = {&ports[1], 1}},
    {.id = ID(06), .proto = SV_NET_TCP, .dst = {hosts, 2}},
    {.id = ID(07), .src = {hosts, 2}, .dst = {hosts, 2}, .ports = {ports, 2}},
};
static const struct sv_id groups[] = {ID(a1), ID(a2)};

static struct sv_net_filter filter(void)
{
    return (struct sv_net_filter){.nic = ID(0c),
                                  .vpc = ID(f0),
                                  .mac = {0x52, 0x54, 0, 0xAB, 0, 1},
                                  .ip = 0x0A800005,
                                  .gateway = 0x0A800001,
                                  .on = true};
}

static void matches(const char *name, struct sv_buf *text)
{
    matches_golden_file(name, text->p);
    sv_buf_free(text);
}

static void nics(void)
{
    struct sv_buf text = {0};
    struct sv_net_filter f = filter();
    filter_nic_text(&f, &text);
    matches("filter_open.nft", &text);
    f.groups = groups;
    f.group_count = 2;
    f.rules = (struct sv_net_rules){rules, sizeof(rules) / sizeof(rules[0])};
    filter_nic_text(&f, &text);
    matches("filter_whole.nft", &text);
    f.rules.n = 1;
    filter_nic_text(&f, &text);
    matches("filter_one_way.nft", &text);
    filter_nic_gone_text(&f.nic, &text);
    matches("filter_gone.nft", &text);
}

/* The switch: as if there were neither rules nor groups. */
static void switched_off(void)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf off = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf none = {0};
    struct sv_net_filter f = filter();
    f.on = false;
    filter_nic_text(&f, &none);
    f.groups = groups;
    f.group_count = 2;
    f.rules = (struct sv_net_rules){rules, 1};
    filter_nic_text(&f, &off);
    CHECK_STR(off.p, none.p);
}

static void groups_of_rules(void)
{
    struct sv_buf text = {0};
    struct sv_net_group g = {.id = groups[0], .rules = {rules, sizeof(rules) / sizeof(rules[0])}};
    filter_group_text(&g, &text);
    matches("filter_group.nft", &text);
    g.rules.n = 0;
    filter_group_text(&g, &text);
    matches("filter_group_empty.nft", &text);
    filter_group_gone_text(&g.id, &text);
    matches("filter_group_gone.nft", &text);
}

/* --- reading --- */

static void add(void *arg, const struct sv_id *id)
{
    sv_ids_add(arg, id);
}

static void reads_what_nft_prints(void)
{
    static const char text[] =
        "table bridge starvirt {\n"
        "\tchain from {\n\t\ttype filter hook forward priority -310; policy accept;\n\t}\n"
        "\tchain nic_0190000000007000800000000000000c_in {\n"
        "\t\tjump group_019000000000700080000000000000a1_in\n"
        "\t\tether type arp accept comment \"somebody's\"\n"
        "\t\tip protocol tcp ip saddr 10.0.0.2 accept comment \"01900000-0000-7000-8000-000000000002\"\n"
        "\t\tip protocol tcp ip saddr 10.0.0.1 accept comment \"01900000-0000-7000-8000-000000000002\"\n"
        "\t\tdrop\n\t}\n"
        "\tchain nic_0190000000007000800000000000000c_in_back {\n\t}\n"
        "\tchain nic_0190_in {\n\t}\n"
        "\tchain group_019000000000700080000000000000a2_in {\n\t}\n}\n";
    SV_CLEANUP(sv_ids_free) struct sv_ids nic = {0};
    SV_CLEANUP(sv_ids_free) struct sv_ids group = {0};
    SV_CLEANUP(sv_ids_free) struct sv_ids named = {0};
    SV_CLEANUP(sv_ids_free) struct sv_ids rule = {0};
    filter_read_chains(text, FILTER_NIC, add, &nic);
    filter_read_chains(text, FILTER_GROUP, add, &group);
    filter_read_groups(text, add, &named);
    filter_read_rules(text, add, &rule);
    CHECK_INT(nic.n, 1);
    CHECK_STR(nic.v[0].s, filter().nic.s);
    CHECK_INT(group.n, 1);
    CHECK_STR(group.v[0].s, groups[1].s);
    CHECK_INT(named.n, 1);
    CHECK_STR(named.v[0].s, groups[0].s);
    CHECK_INT(rule.n, 1);
    CHECK_STR(rule.v[0].s, rules[1].id.s);
    filter_read_chains(NULL, FILTER_NIC, add, &nic);
    filter_read_rules("comment \"", add, &rule);
    CHECK_INT(nic.n + rule.n, 2);
}

CHECK_MAIN(T(nics), T(switched_off), T(groups_of_rules), T(reads_what_nft_prints))
