/* What it takes to put the filters of NICs into force, beside the bare `nft -f` of the same text, in turn.
 *
 *     unshare -n bench/filter [OTHERS [ROUNDS]]     root; one JSON line, medians in ms
 *
 * OTHERS: NICs with 20 rules each that are there already and have nothing to do with it. */
#include "net/linux/filter.h"
#include "bench/yard.h"

#include <unistd.h>

enum { NIC_RULES = 20, GROUP_RULES = 500, MANY_RULES = 10000, MEMBERS = 20, VPC_BASE = 0x0A800000 };

static struct sv_net_rule rules[MANY_RULES];
static const struct sv_net_range nets[] = {{0x0A800000, 0x0A8000FF}, {0x0A900000, 0x0A9000FF}};
static struct sv_net_port_range ports[MANY_RULES];
static char path[] = "/tmp/bench_filter.XXXXXX";
static long rounds;
static struct linux_net net = {.filters = PTHREAD_MUTEX_INITIALIZER};

static struct sv_id id_of(unsigned kind, unsigned n)
{
    struct sv_id id;
    snprintf(id.s, sizeof(id.s), "01900000-0000-7000-%04x-%012x", kind & 0xffff, n);
    return id;
}

/* Half of them one network and one port, the others lists. */
static void make_rules(void)
{
    for (unsigned i = 0; i < MANY_RULES; i++) {
        ports[i] = (struct sv_net_port_range){(uint16_t)(1 + i), (uint16_t)(1 + i)};
        rules[i] = (struct sv_net_rule){.id = id_of(1, i),
                                        .in = i % 4 != 3,
                                        .proto = SV_NET_TCP,
                                        .src = {nets, 1 + i % 2},
                                        .ports = {&ports[i], i % 2 && i + 1 < MANY_RULES ? 2 : 1}};
    }
}

static struct sv_net_filter nic_of(unsigned n, const struct sv_id *group, size_t rule_count)
{
    return (struct sv_net_filter){.nic = id_of(2, n),
                                  .vpc = id_of(3, 1),
                                  .mac = {0x52, 0x54, 0, 0, (unsigned char)(n >> 8), (unsigned char)n},
                                  .ip = VPC_BASE + 2 + n,
                                  .gateway = VPC_BASE + 1,
                                  .on = true,
                                  .groups = group,
                                  .group_count = group ? 1 : 0,
                                  .rules = {rules, rule_count}};
}

static void need(enum sv_err rc, const struct sv_error *err)
{
    if (rc)
        yard_die("%s: %s", sv_err_symbol(rc), err->arg[0]);
}

static void apply_nic(const struct sv_net_filter *f)
{
    struct sv_error err;
    need(filter_apply(&net.head, f, NULL, &err), &err);
}

static void apply_group(const struct sv_net_group *g)
{
    struct sv_error err;
    need(group_apply(&net.head, g, NULL, &err), &err);
}

/* --- the bare program --- */

static void write_text(const struct sv_buf *text)
{
    FILE *f = fopen(path, "w");
    if (!f || fwrite(text->p, 1, text->n, f) != text->n || fclose(f) != 0)
        yard_die("%s cannot be written", path);
}

static double run_nft(void)
{
    const char *const argv[] = {"nft", "-f", path, NULL};
    const struct sv_proc p = {.argv = argv};
    struct sv_error err;
    int status = -1;
    const double t = yard_now();
    need(sv_proc_run(&p, &status, &err), &err);
    if (status != 0)
        yard_die("nft ended with %d", status);
    return yard_now() - t;
}

static double median_ms(double *s)
{
    qsort(s, (size_t)rounds, sizeof(*s), yard_cmp);
    return s[rounds / 2] * 1e3;
}

/* --- what is measured --- */

/* One rule more and less in turn, so that there is something to change each time. */
static void nic(double *ours, double *bare)
{
    for (long i = 0; i < rounds; i++) {
        SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
        const struct sv_net_filter f = nic_of(0, NULL, NIC_RULES + (size_t)(i % 2));
        filter_nic_text(&f, &text);
        write_text(&text);
        bare[i] = run_nft();
        const double t = yard_now();
        apply_nic(&f);
        ours[i] = yard_now() - t;
    }
}

static void group(const struct sv_id *id, size_t n, double *ours, double *bare)
{
    for (long i = 0; i < rounds; i++) {
        SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
        const struct sv_net_group g = {.id = *id, .rules = {rules, n - (size_t)(i % 2)}};
        filter_group_text(&g, &text);
        write_text(&text);
        bare[i] = run_nft();
        const double t = yard_now();
        apply_group(&g);
        ours[i] = yard_now() - t;
    }
}

static void count(void *arg, const struct sv_id *rule)
{
    (void)rule;
    ++*(size_t *)arg;
}

static void look(double *ours)
{
    struct sv_error err;
    const struct sv_id id = id_of(2, 0);
    for (long i = 0; i < rounds; i++) {
        size_t n = 0;
        const double t = yard_now();
        need(filter_look(&net.head, &id, count, &n, &err), &err);
        ours[i] = yard_now() - t;
        if (n < NIC_RULES)
            yard_die("%zu rules in force", n);
    }
}

int main(int argc, char **argv)
{
    const long others = argc > 1 ? yard_arg(argv[1], 0, 5000) : 100;
    const struct sv_id shared = id_of(4, 1), large = id_of(4, 2);
    struct sv_error err;

    rounds = argc > 2 ? yard_arg(argv[2], 1, 1000) : 21;
    double *ours = sv_alloc((size_t)rounds * sizeof(*ours)), *bare = sv_alloc((size_t)rounds * sizeof(*bare));
    make_rules();
    const int fd = mkstemp(path);
    if (fd < 0)
        yard_die("no file in /tmp");
    close(fd);
    net.marks = marks_new();
    need(filter_open(&net, &err), &err);
    for (unsigned i = 0; i < MEMBERS + others; i++) {
        const struct sv_net_filter f = nic_of(i + 1, i < MEMBERS ? &shared : NULL, i < MEMBERS ? 0 : NIC_RULES);
        apply_nic(&f);
    }
    nic(ours, bare);
    printf("{\"nic_20\": %.2f, \"nic_20_bare\": %.2f", median_ms(ours), median_ms(bare));
    look(ours);
    printf(", \"look_20\": %.2f", median_ms(ours));
    group(&shared, NIC_RULES + 1, ours, bare);
    printf(", \"group_20\": %.2f, \"group_20_bare\": %.2f", median_ms(ours), median_ms(bare));
    group(&shared, GROUP_RULES, ours, bare);
    printf(", \"group_500\": %.2f, \"group_500_bare\": %.2f", median_ms(ours), median_ms(bare));
    rounds = 1;
    group(&large, MANY_RULES, ours, bare);
    printf(", \"group_10000\": %.1f, \"group_10000_bare\": %.1f}\n", median_ms(ours), median_ms(bare));
    unlink(path);
    free(ours);
    free(bare);
    return 0;
}
