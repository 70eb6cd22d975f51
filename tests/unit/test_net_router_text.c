/* What a router is made of, as text, against golden files (STARVIRT_REGEN=1 writes them anew). */
#include "net/linux/ha.h"

#include "tests/unit/check.h"

#include <libgen.h>

#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

static char *golden_path(const char *name)
{
    SV_AUTOFREE char *here = sv_strdup(__FILE__);
    return sv_asprintf("%s/../golden/%s", dirname(here), name);
}

static void matches_golden(const char *name, const struct sv_buf *text)
{
    SV_AUTOFREE char *path = golden_path(name);
    if (getenv("STARVIRT_REGEN")) {
        FILE *f = fopen(path, "w");
        CHECK(f);
        fputs(text->p, f);
        fclose(f);
    }
    SV_CLEANUP(sv_buf_free) struct sv_buf want = {0};
    CHECK_INT(file_read(path, &want, NULL), SV_OK);
    if (!want.p)
        check_failed(__FILE__, __LINE__, "%s is missing", path);
    CHECK_STR(text->p, want.p);
}

static void router_matches(const char *name, const struct sv_net_router *want, bool outer)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    router_rules_text(want, outer, &text);
    sv_buf_puts(&text, "# addresses\n");
    router_addresses_text(want, 0, outer, &text);
    sv_buf_puts(&text, "# routes\n");
    router_routes_text(want, outer, &text);
    matches_golden(name, &text);
}

static const struct sv_net_leg legs[] = {
    {.vpc = {"01900000-0000-7000-8000-aaaaaaaaaaaa"}, .slot = 0, .base = IP(10, 128, 0, 0), .prefix = 24},
    {.vpc = {"01900000-0000-7000-8000-bbbbbbbbbbbb"}, .slot = 7, .base = IP(10, 128, 1, 0), .prefix = 25},
    {.vpc = {"01900000-0000-7000-8000-cccccccccccc"}, .slot = 999, .base = IP(10, 129, 0, 0), .prefix = 16},
};
static const struct sv_net_range some[] = {{IP(192, 0, 2, 1), IP(192, 0, 2, 1)},
                                           {IP(198, 51, 100, 0), IP(198, 51, 100, 255)}};
static const struct sv_net_port_range ports[] = {{22, 22}, {8000, 8999}};
static const struct sv_net_nat nats[] = {
    {.id = {"01900000-0000-7000-8000-000000000001"}, .outer_ip = IP(203, 0, 113, 6), .inner_ip = IP(10, 128, 0, 6)},
    {.id = {"01900000-0000-7000-8000-000000000002"},
     .proto = SV_NET_TCP,
     .outer_ip = IP(203, 0, 113, 5),
     .inner_ip = IP(10, 128, 1, 5),
     .outer_port = 2222,
     .inner_port = 22,
     .sources = {some, 2}},
    {.id = {"01900000-0000-7000-8000-000000000003"},
     .proto = SV_NET_UDP,
     .outer_ip = IP(203, 0, 113, 5),
     .inner_ip = IP(10, 128, 1, 6),
     .outer_port = 53,
     .inner_port = 5353},
};
static const struct sv_net_rule rules[] = {
    {.id = {"01900000-0000-7000-8000-000000000011"},
     .in = true,
     .proto = SV_NET_TCP,
     .src = {some, 2},
     .dst = {some, 1},
     .ports = {ports, 2}},
    {.id = {"01900000-0000-7000-8000-000000000012"}, .in = true, .proto = SV_NET_ANY, .ports = {ports, 1}},
    {.id = {"01900000-0000-7000-8000-000000000013"}, .in = false, .proto = SV_NET_ICMP, .dst = {some, 1}},
    {.id = {"01900000-0000-7000-8000-000000000014"}, .in = false, .proto = SV_NET_ANY},
};
/* Closed with rules of both directions, closed without any, open with one direction's; and one that has no leg. */
static const struct sv_net_gate gates[] = {
    {.vpc = {"01900000-0000-7000-8000-aaaaaaaaaaaa"}, .closed = true, .rules = {rules, 4}},
    {.vpc = {"01900000-0000-7000-8000-bbbbbbbbbbbb"}, .closed = true},
    {.vpc = {"01900000-0000-7000-8000-cccccccccccc"}, .rules = {rules, 2}},
    {.vpc = {"01900000-0000-7000-8000-dddddddddddd"}, .closed = true},
};
static const struct sv_net_balancer balancers[] = {
    {.id = {"01900000-0000-7000-8000-000000000021"}, .ip = IP(203, 0, 113, 6), .port = 443, .outer = true},
    {.id = {"01900000-0000-7000-8000-000000000022"}, .ip = IP(10, 128, 0, 50), .port = 80},
    {.id = {"01900000-0000-7000-8000-000000000023"},
     .proto = SV_NET_BALANCE_UDP,
     .ip = IP(10, 128, 0, 50),
     .port = 514},
};
static const uint32_t outer_ips[] = {IP(203, 0, 113, 5), IP(203, 0, 113, 6)};
static const struct sv_net_router large = {.id = {"01900000-0000-7000-8000-eeeeeeeeeeee"},
                                           .outer_ip = IP(203, 0, 113, 5),
                                           .outer_prefix = 24,
                                           .outer_gateway = IP(203, 0, 113, 1),
                                           .legs = legs,
                                           .leg_count = 3,
                                           .nats = nats,
                                           .nat_count = 3,
                                           .outer_ips = outer_ips,
                                           .outer_ip_count = 2,
                                           .gates = gates,
                                           .gate_count = 4,
                                           .balancers = balancers,
                                           .balancer_count = 3};

static void golden_large(void)
{
    router_matches("router_large.nft", &large, true);
}

/* Mappings and outer balancers need an outer network; all the rest does not. */
static void golden_without_outer(void)
{
    router_matches("router_inner.nft", &large, false);
}

static void golden_empty(void)
{
    const struct sv_net_router empty = {.id = large.id};
    router_matches("router_empty.nft", &empty, false);
}

static void golden_gateway(void)
{
    const struct sv_net_vpc v = {.id = legs[1].vpc, .base = legs[1].base, .prefix = legs[1].prefix};
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    uplink_rules_text(&v, &text);
    matches_golden("router_gateway.nft", &text);
}

/* What is seen of connections must not depend on anything but the mapping itself. */
static void a_mapping_has_its_mark(void)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf with = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf without = {0};
    struct sv_net_router fewer = large;
    fewer.nats = nats + 1;
    fewer.nat_count = 2;
    router_rules_text(&large, true, &with);
    router_rules_text(&fewer, true, &without);
    const char *a = strstr(with.p, "tcp dport 2222 ct mark set "),
               *b = strstr(without.p, "tcp dport 2222 ct mark set ");
    CHECK(a && b && strncmp(a, b, 40) == 0);
}

/* --- of two instances --- */

/* The rules of both are the same; what is between them is let in. */
static void golden_two(void)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf other = {0};
    struct sv_net_router two = {.id = large.id, .ha = true, .outer_ip = large.outer_ip, .outer_prefix = 24};
    router_matches("router_two.nft", &two, true);
    router_addresses_text(&two, 0, true, &text);
    router_addresses_text(&two, 1, true, &other);
    CHECK(strstr(text.p, "ha0 169.254.248.1/29\n"));
    CHECK(strstr(other.p, "ha0 169.254.248.2/29\n"));
}

static void golden_silent(void)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    ha_silent_text(true, &text);
    ha_speak_text(&text);
    matches_golden("router_silent.nft", &text);
}

static void golden_keepalived(void)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf inner = {0};
    ha_keepalived_text(&large.id, 1, true, &text);
    matches_golden("router_keepalived.conf", &text);
    ha_keepalived_text(&large.id, 0, false, &inner);
    CHECK(!strstr(inner.p, OUTER_DEV)); /* it must not wait for what it has not */
}

static void golden_conntrackd(void)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    ha_conntrackd_text(&large.id, 0, &text);
    matches_golden("router_conntrackd.conf", &text);
}

static void golden_turn(void)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    ha_turn_text(&large.id, true, &text);
    matches_golden("router_turn.sh", &text);
}

static void what_is_common(void)
{
    static const char of_both[] = "table ip router {\n\tchain a {\n\t}\n}\n4: ha0    inet 169.254.248.1/29 x\n"
                                  "169.254.248.0/29 dev ha0 proto kernel\n";
    static const char *const looks[] = {
        ("table ip router {\n\tchain a {\n\t}\n}\n4: ha0    inet 169.254.248.1/29 x\n"
         "4: ha0    inet 169.254.248.3/32 x\n169.254.248.0/29 dev ha0 proto kernel\n"),
        ("table ip router {\n\tchain a {\n\t}\n}\ntable netdev standby {\n\tchain b {\n\t}\n}\n"
         "4: ha0    inet 169.254.248.1/29 x\n169.254.248.0/29 dev ha0 proto kernel linkdown\n"),
        of_both,
    };
    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
        SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
        sv_buf_puts(&text, looks[i]);
        ha_common(&text);
        CHECK_STR(text.p, of_both);
        CHECK_INT(text.n, strlen(of_both));
    }
    struct sv_buf nothing = {0};
    ha_common(&nothing);
    CHECK(!nothing.p);
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {T(golden_large),   T(golden_without_outer),   T(golden_empty),
                                              T(golden_gateway), T(a_mapping_has_its_mark), T(golden_two),
                                              T(golden_silent),  T(golden_keepalived),      T(golden_conntrackd),
                                              T(golden_turn),    T(what_is_common)};
    return check_run(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
