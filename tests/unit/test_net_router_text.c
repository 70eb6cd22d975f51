/* What a router is made of, as text, against golden files (STARVIRT_REGEN=1 writes them anew). */
#include "net/linux/router.h"

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
    router_addresses_text(want, outer, &text);
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

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {T(golden_large), T(golden_without_outer), T(golden_empty),
                                              T(golden_gateway), T(a_mapping_has_its_mark)};
    return check_run(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
