#include "server/metrics.h"
#include "server/console.h"
#include "server/links.h"
#include "starvirt/clock.h"
#include "starvirt/core_balance.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- counting ------------------------------------------------------------------------------------- */

static const struct {
    int64_t us;
    const char *le;
} buckets[] = {{100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},  {2500, "0.0025"},
               {5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"}, {50000, "0.05"},  {100000, "0.1"},
               {250000, "0.25"}, {500000, "0.5"},  {1000000, "1"},   {10000000, "10"}, {INT64_MAX, "+Inf"}};
enum { BUCKETS = sizeof(buckets) / sizeof(buckets[0]) };

static const char *const outcome_names[SV_OUT_COUNT] = {
    [SV_OUT_OK] = "ok",       [SV_OUT_REFUSED] = "refused", [SV_OUT_DENIED] = "denied", [SV_OUT_PROTOCOL] = "protocol",
    [SV_OUT_FAULT] = "fault",
};

struct cell {
    atomic_uint_least64_t us, bucket[BUCKETS];
};

struct line {
    const struct sv_route *route; /* NULL: pages and unknown paths */
    struct cell cells[SV_OUT_COUNT];
};

struct sv_metrics {
    int64_t started; /* [ms] monotonic */
    atomic_uint_least64_t bytes_in, bytes_out;
    atomic_uint_least64_t bad_replies;
    atomic_uint_least64_t errors[SV_ERR_COUNT];
    size_t n;
    struct line *lines; /* sorted by the route's address; NULL comes first */
};

/* Whatever status a dialect gives them. */
static const enum sv_err protocol[] = {
    SV_E_BAD_REQUEST, SV_E_NOT_FOUND,         SV_E_METHOD_NOT_ALLOWED, SV_E_UNKNOWN_OPERATION, SV_E_BODY_TOO_LARGE,
    SV_E_MEDIA_TYPE,  SV_E_TOO_MANY_REQUESTS, SV_E_OVERLOADED,         SV_E_SHUTTING_DOWN,     SV_E_SHARE_USED,
};

enum sv_outcome sv_outcome_of(enum sv_err code)
{
    if (code == SV_OK)
        return SV_OUT_OK;
    if (code == SV_E_TOKEN_MISSING || code == SV_E_TOKEN_INVALID || code == SV_E_TOKEN_EXPIRED ||
        code == SV_E_TOKEN_ENDED || code == SV_E_ADMIN_ONLY)
        return SV_OUT_DENIED;
    if (sv_err_is_ours(code))
        return SV_OUT_FAULT;
    for (unsigned i = 0; i < sizeof(protocol) / sizeof(protocol[0]); i++)
        if (protocol[i] == code)
            return SV_OUT_PROTOCOL;
    return SV_OUT_REFUSED;
}

static void add_line(void *arg, const struct sv_dialect *d, const struct sv_route *route)
{
    struct sv_metrics *m = arg;
    (void)d;
    m->lines = sv_realloc(m->lines, (m->n + 1) * sizeof(*m->lines));
    m->lines[m->n] = (struct line){.route = route};
    m->n++;
}

static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct line *)a)->route, y = (uintptr_t)((const struct line *)b)->route;
    return (x > y) - (x < y);
}

struct sv_metrics *sv_metrics_new(const struct sv_api *api)
{
    struct sv_metrics *m = sv_alloc(sizeof(*m));
    m->started = sv_mono_ms();
    add_line(m, NULL, NULL);
    sv_api_each(api, add_line, m);
    qsort(m->lines, m->n, sizeof(m->lines[0]), by_address);
    return m;
}

void sv_metrics_free(struct sv_metrics *m)
{
    if (!m)
        return;
    free(m->lines);
    free(m);
}

static void count(atomic_uint_least64_t *n, uint64_t by)
{
    atomic_fetch_add_explicit(n, by, memory_order_relaxed);
}

static uint64_t get(const atomic_uint_least64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

void sv_metrics_request(struct sv_metrics *m, const struct sv_route *route, enum sv_err code, int64_t us)
{
    const struct line key = {.route = route};
    struct line *l = bsearch(&key, m->lines, m->n, sizeof(m->lines[0]), by_address);
    if (!l)
        return;
    struct cell *c = &l->cells[sv_outcome_of(code)];
    unsigned b = 0;
    while (us > buckets[b].us)
        b++;
    count(&c->bucket[b], 1);
    count(&c->us, us > 0 ? (uint64_t)us : 0);
    if (code != SV_OK && code < SV_ERR_COUNT)
        count(&m->errors[code], 1);
}

void sv_metrics_bad_reply(struct sv_metrics *m)
{
    count(&m->bad_replies, 1);
}

void sv_metrics_bytes(struct sv_metrics *m, uint64_t in, uint64_t out)
{
    count(&m->bytes_in, in);
    count(&m->bytes_out, out);
}

/* --- the text --------------------------------------------------------------------------------------- */

/* Figures of one scrape, asked for once. */
struct scrape {
    struct sv_server *s;
    struct sv_buf *out;
    struct sv_db_stats db;
    struct sv_jobs_stats jobs;
    struct sv_workers_stats disk, paths, screens;
    struct sv_network_stats network;
    struct sv_links_stats links;
    struct sv_begun_stats begun;
    struct sv_supply_stats supplies[SV_SUPPLY_COUNT];
    unsigned hosts, hosts_up, consoles, console_tokens;
    uint64_t consoles_total;
};

struct metric {
    const char *name, *type, *help;
    void (*write)(struct scrape *x, const struct metric *m);
};

static void value(struct scrape *x, const struct metric *m, uint64_t v)
{
    sv_buf_printf(x->out, "%s %llu\n", m->name, (unsigned long long)v);
}

static void seconds(struct scrape *x, const char *name, const char *labels, uint64_t us)
{
    sv_buf_printf(x->out, "%s%s %llu.%06u\n", name, labels, (unsigned long long)(us / 1000000),
                  (unsigned)(us % 1000000));
}

static uint64_t cell_total(const struct cell *c)
{
    uint64_t n = 0;
    for (unsigned b = 0; b < BUCKETS; b++)
        n += get(&c->bucket[b]);
    return n;
}

static void labels_of(const struct line *l, enum sv_outcome o, char *buf, size_t size)
{
    snprintf(buf, size, "method=\"%s\",route=\"%s\",outcome=\"%s\"", l->route ? l->route->method : "",
             l->route ? l->route->path : "", outcome_names[o]);
}

static void each_cell(struct scrape *x, const struct metric *m,
                      void (*fn)(struct scrape *x, const struct metric *m, const struct cell *c, const char *labels))
{
    struct sv_metrics *all = x->s->metrics;
    for (size_t i = 0; i < all->n; i++)
        for (unsigned o = 0; o < SV_OUT_COUNT; o++) {
            char labels[256];
            if (cell_total(&all->lines[i].cells[o]) == 0)
                continue;
            labels_of(&all->lines[i], (enum sv_outcome)o, labels, sizeof(labels));
            fn(x, m, &all->lines[i].cells[o], labels);
        }
}

static void cell_histogram(struct scrape *x, const struct metric *m, const struct cell *c, const char *labels)
{
    char sum[300], in_braces[300];
    uint64_t n = 0;
    for (unsigned b = 0; b < BUCKETS; b++) {
        n += get(&c->bucket[b]);
        sv_buf_printf(x->out, "%s_bucket{%s,le=\"%s\"} %llu\n", m->name, labels, buckets[b].le, (unsigned long long)n);
    }
    snprintf(sum, sizeof(sum), "%s_sum", m->name);
    snprintf(in_braces, sizeof(in_braces), "{%s}", labels);
    seconds(x, sum, in_braces, get(&c->us));
    sv_buf_printf(x->out, "%s_count{%s} %llu\n", m->name, labels, (unsigned long long)n);
}

static void write_latency(struct scrape *x, const struct metric *m)
{
    each_cell(x, m, cell_histogram);
}

static void cell_count(struct scrape *x, const struct metric *m, const struct cell *c, const char *labels)
{
    sv_buf_printf(x->out, "%s{%s} %llu\n", m->name, labels, (unsigned long long)cell_total(c));
}

static void write_requests(struct scrape *x, const struct metric *m)
{
    each_cell(x, m, cell_count);
}

static void write_errors(struct scrape *x, const struct metric *m)
{
    for (unsigned e = 1; e < SV_ERR_COUNT; e++) {
        uint64_t n = get(&x->s->metrics->errors[e]);
        if (n > 0)
            sv_buf_printf(x->out, "%s{error=\"%s\"} %llu\n", m->name, sv_err_symbol((enum sv_err)e),
                          (unsigned long long)n);
    }
}

static void write_active(struct scrape *x, const struct metric *m)
{
    value(x, m, atomic_load(&x->s->active));
}

static void write_conns(struct scrape *x, const struct metric *m)
{
    value(x, m, x->links.count);
}

static void write_conn_limit(struct scrape *x, const struct metric *m)
{
    value(x, m, x->links.limit);
}

static void write_addresses(struct scrape *x, const struct metric *m)
{
    value(x, m, x->links.addresses);
}

static void write_cut(struct scrape *x, const struct metric *m)
{
    const struct {
        const char *why;
        uint64_t n;
    } all[] = {{"late", x->links.cut_late}, {"address", x->links.cut_address}, {"full", x->links.cut_full}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        sv_buf_printf(x->out, "%s{why=\"%s\"} %llu\n", m->name, all[i].why, (unsigned long long)all[i].n);
}

static void each_supply(struct scrape *x, const struct metric *m,
                        unsigned (*figure)(const struct sv_supply_stats *supply))
{
    for (unsigned i = 0; i < SV_SUPPLY_COUNT; i++)
        sv_buf_printf(x->out, "%s{supply=\"%s\"} %u\n", m->name, sv_supplies[i].label, figure(&x->supplies[i]));
}

static unsigned supply_limit(const struct sv_supply_stats *supply)
{
    return supply->limit;
}

static unsigned supply_used(const struct sv_supply_stats *supply)
{
    return supply->used;
}

static unsigned supply_tenants(const struct sv_supply_stats *supply)
{
    return supply->tenants;
}

static unsigned supply_most(const struct sv_supply_stats *supply)
{
    return supply->most;
}

static void write_supply_limits(struct scrape *x, const struct metric *m)
{
    each_supply(x, m, supply_limit);
}

static void write_supplies(struct scrape *x, const struct metric *m)
{
    each_supply(x, m, supply_used);
}

static void write_supply_tenants(struct scrape *x, const struct metric *m)
{
    each_supply(x, m, supply_tenants);
}

static void write_supply_most(struct scrape *x, const struct metric *m)
{
    each_supply(x, m, supply_most);
}

static void write_supply_refused(struct scrape *x, const struct metric *m)
{
    for (unsigned i = 0; i < SV_SUPPLY_COUNT; i++)
        sv_buf_printf(x->out, "%s{supply=\"%s\",why=\"share\"} %llu\n%s{supply=\"%s\",why=\"supply\"} %llu\n", m->name,
                      sv_supplies[i].label, (unsigned long long)x->supplies[i].refused_share, m->name,
                      sv_supplies[i].label, (unsigned long long)x->supplies[i].refused_supply);
}

static void write_consoles(struct scrape *x, const struct metric *m)
{
    value(x, m, x->consoles);
}

static void write_consoles_total(struct scrape *x, const struct metric *m)
{
    value(x, m, x->consoles_total);
}

static void write_console_tokens(struct scrape *x, const struct metric *m)
{
    value(x, m, x->console_tokens);
}

static void write_parked(struct scrape *x, const struct metric *m)
{
    value(x, m, sv_park_count(x->s->park));
}

static void write_bytes_in(struct scrape *x, const struct metric *m)
{
    value(x, m, get(&x->s->metrics->bytes_in));
}

static void write_bytes_out(struct scrape *x, const struct metric *m)
{
    value(x, m, get(&x->s->metrics->bytes_out));
}

static void write_bad_replies(struct scrape *x, const struct metric *m)
{
    value(x, m, get(&x->s->metrics->bad_replies));
}

static void write_pool(struct scrape *x, const char *name, const char *pool, const struct sv_workers_stats *s)
{
    const char *const states[] = {"busy", "idle", "queued"};
    const unsigned values[] = {s->busy, s->threads - s->busy, s->queued};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        sv_buf_printf(x->out, "%s{pool=\"%s\",state=\"%s\"} %u\n", name, pool, states[i], values[i]);
}

static void write_workers(struct scrape *x, const struct metric *m)
{
    write_pool(x, m->name, "disk", &x->disk);
    write_pool(x, m->name, "paths", &x->paths);
    write_pool(x, m->name, "screens", &x->screens);
}

struct job_lines {
    struct scrape *x;
    const struct metric *m;
};

static void job_line(void *arg, const char *kind, int result, uint64_t n)
{
    struct job_lines *j = arg;
    sv_buf_printf(j->x->out, "%s{kind=\"%s\",result=\"%d\"} %llu\n", j->m->name, kind, result, (unsigned long long)n);
}

static void write_jobs(struct scrape *x, const struct metric *m)
{
    struct job_lines j = {.x = x, .m = m};
    sv_jobs_stats_kinds(sv_cloud_jobs(x->s->cloud), job_line, &j);
}

static void write_open_jobs(struct scrape *x, const struct metric *m)
{
    sv_buf_printf(x->out, "%s{state=\"queued\"} %u\n%s{state=\"running\"} %u\n", m->name, x->jobs.queued, m->name,
                  x->jobs.running);
}

static void write_job_threads(struct scrape *x, const struct metric *m)
{
    value(x, m, x->jobs.workers);
}

static void write_undos(struct scrape *x, const struct metric *m)
{
    value(x, m, (uint64_t)sv_cloud_undos_pending(x->s->cloud));
}

static void write_units(struct scrape *x, const struct metric *m)
{
    sv_buf_printf(x->out, "%s{state=\"waiting\"} %u\n%s{state=\"telling\"} %u\n%s{state=\"failed\"} %u\n", m->name,
                  x->network.waiting, m->name, x->network.telling, m->name, x->network.failed);
}

static void write_unit_failures(struct scrape *x, const struct metric *m)
{
    value(x, m, x->network.failures);
}

static void write_mended(struct scrape *x, const struct metric *m)
{
    value(x, m, x->network.mended);
}

static void write_comparisons(struct scrape *x, const struct metric *m)
{
    value(x, m, x->network.comparisons);
}

static void write_comparing(struct scrape *x, const struct metric *m)
{
    sv_buf_printf(x->out, "%s %.6f\n", m->name, (double)x->network.comparing_us / 1e6);
}

struct balancer_lines {
    struct sv_buf *out;
    const char *name;
};

static void each_balancer(struct scrape *x, const struct metric *m,
                          void (*line)(void *arg, const struct sv_slb_figures *f))
{
    struct balancer_lines l = {x->out, m->name};
    sv_cloud_balancers(x->s->cloud, line, &l);
}

static void nodes_line(void *arg, const struct sv_slb_figures *f)
{
    static const char *const states[] = {
        [SV_NET_NODE_UP] = "up", [SV_NET_NODE_DOWN] = "down", [SV_NET_NODE_OFF] = "off"};
    const struct balancer_lines *l = arg;
    for (unsigned i = SV_NET_NODE_UP; i <= SV_NET_NODE_OFF; i++)
        sv_buf_printf(l->out, "%s{balancer=\"%s\",state=\"%s\"} %u\n", l->name, f->id.s, states[i], f->nodes[i]);
}

static void connections_line(void *arg, const struct sv_slb_figures *f)
{
    const struct balancer_lines *l = arg;
    sv_buf_printf(l->out, "%s{balancer=\"%s\"} %llu\n", l->name, f->id.s, (unsigned long long)f->connections);
}

static void sessions_line(void *arg, const struct sv_slb_figures *f)
{
    const struct balancer_lines *l = arg;
    sv_buf_printf(l->out, "%s{balancer=\"%s\"} %llu\n", l->name, f->id.s, (unsigned long long)f->sessions);
}

static void bytes_line(void *arg, const struct sv_slb_figures *f)
{
    const struct balancer_lines *l = arg;
    sv_buf_printf(l->out, "%s{balancer=\"%s\",direction=\"in\"} %llu\n%s{balancer=\"%s\",direction=\"out\"} %llu\n",
                  l->name, f->id.s, (unsigned long long)f->bytes_in, l->name, f->id.s,
                  (unsigned long long)f->bytes_out);
}

static void certificate_line(void *arg, const struct sv_slb_figures *f)
{
    const struct balancer_lines *l = arg;
    if (f->cert_ends)
        sv_buf_printf(l->out, "%s{balancer=\"%s\"} %lld\n", l->name, f->id.s,
                      (long long)((f->cert_ends - sv_now_ms()) / 1000));
}

static void write_balancer_nodes(struct scrape *x, const struct metric *m)
{
    each_balancer(x, m, nodes_line);
}

static void write_balancer_connections(struct scrape *x, const struct metric *m)
{
    each_balancer(x, m, connections_line);
}

static void write_balancer_sessions(struct scrape *x, const struct metric *m)
{
    each_balancer(x, m, sessions_line);
}

static void write_balancer_bytes(struct scrape *x, const struct metric *m)
{
    each_balancer(x, m, bytes_line);
}

static void write_certificates(struct scrape *x, const struct metric *m)
{
    each_balancer(x, m, certificate_line);
}

static void write_hosts(struct scrape *x, const struct metric *m)
{
    sv_buf_printf(x->out, "%s{connected=\"true\"} %u\n%s{connected=\"false\"} %u\n", m->name, x->hosts_up, m->name,
                  x->hosts - x->hosts_up);
}

static void write_db_writes(struct scrape *x, const struct metric *m)
{
    value(x, m, x->db.writes);
}

static void write_db_commits(struct scrape *x, const struct metric *m)
{
    value(x, m, x->db.commits);
}

static void write_db_queue(struct scrape *x, const struct metric *m)
{
    value(x, m, x->db.queue);
}

static void write_db_commit_time(struct scrape *x, const struct metric *m)
{
    seconds(x, m->name, "", x->db.commit_us_last > 0 ? (uint64_t)x->db.commit_us_last : 0);
}

static void write_db_writable(struct scrape *x, const struct metric *m)
{
    value(x, m, x->db.outage == SV_OK);
}

static void write_db_waiting(struct scrape *x, const struct metric *m)
{
    value(x, m, x->db.waiting);
}

static void write_db_outages(struct scrape *x, const struct metric *m)
{
    value(x, m, x->db.outages);
}

static void write_db_failures(struct scrape *x, const struct metric *m)
{
    value(x, m, x->db.failures);
}

static void write_db_outage(struct scrape *x, const struct metric *m)
{
    seconds(x, m->name, "", (uint64_t)sv_db_outage_ms(x->s->db) * 1000);
}

static void write_db_inspected(struct scrape *x, const struct metric *m)
{
    value(x, m, x->db.inspected);
}

static void write_db_damaged(struct scrape *x, const struct metric *m)
{
    value(x, m, x->db.damaged);
}

static void write_memory(struct scrape *x, const struct metric *m)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return;
    text[n] = '\0';
    char *save = NULL, *pages = strtok_r(text, " ", &save);
    int64_t resident;
    pages = pages ? strtok_r(NULL, " ", &save) : NULL; /* the second figure */
    if (pages && sv_parse_int(pages, &resident))
        value(x, m, (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE));
}

static void write_fds(struct scrape *x, const struct metric *m)
{
    DIR *d = opendir("/proc/self/fd");
    uint64_t n = 0;
    if (!d)
        return;
    for (const struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    value(x, m, n - 1); /* without the directory itself */
}

static void write_uptime(struct scrape *x, const struct metric *m)
{
    seconds(x, m->name, "", (uint64_t)(sv_mono_ms() - x->s->metrics->started) * 1000);
}

static void write_token_ends(struct scrape *x, const struct metric *m)
{
    sv_buf_printf(x->out, "%s %llu\n", m->name, (unsigned long long)x->begun.ended);
}

static void write_version(struct scrape *x, const struct metric *m)
{
    sv_buf_printf(x->out, "%s{version=\"%s\"} 1\n", m->name, STARVIRT_VERSION);
}

static const struct metric metrics[] = {
    {"starvirt_build_info", "gauge", "The program.", write_version},
    {"starvirt_uptime_seconds", "gauge", "Since the program started.", write_uptime},
    {"starvirt_requests_total", "counter", "Requests answered; route is empty for pages and unknown paths.",
     write_requests},
    {"starvirt_request_errors_total", "counter", "Requests that failed, by error.", write_errors},
    {"starvirt_request_duration_seconds", "histogram", "From head to reply, long polls included.", write_latency},
    {"starvirt_requests_in_flight", "gauge", "Requests being answered.", write_active},
    {"starvirt_connections", "gauge", "Open HTTP connections.", write_conns},
    {"starvirt_connections_limit", "gauge", "The most there can be.", write_conn_limit},
    {"starvirt_connections_addresses", "gauge", "Addresses they come from (IPv6: a /64 each).", write_addresses},
    {"starvirt_connections_cut_total", "counter",
     "Connections cut off: too slow, too many of their address, or the least of all when all were taken.", write_cut},
    {"starvirt_supply_limit", "gauge", "Places of what all tenants share.", write_supply_limits},
    {"starvirt_supply_used", "gauge", "Places taken.", write_supplies},
    {"starvirt_supply_tenants", "gauge", "Tenants that have some.", write_supply_tenants},
    {"starvirt_supply_most", "gauge", "Places of the tenant that has the most.", write_supply_most},
    {"starvirt_supply_refused_total", "counter", "Refused: the tenant had its share, or the supply was used up.",
     write_supply_refused},
    {"starvirt_long_polls", "gauge", "Requests that wait for a change.", write_parked},
    {"starvirt_consoles", "gauge", "Open consoles.", write_consoles},
    {"starvirt_consoles_total", "counter", "Consoles opened since the start.", write_consoles_total},
    {"starvirt_console_tokens", "gauge", "Addresses of consoles that wait to be opened.", write_console_tokens},
    {"starvirt_token_ends_total", "counter",
     "Requests, uploads, consoles and standings of connections whose token was revoked or expired meanwhile.",
     write_token_ends},
    {"starvirt_request_bytes_total", "counter", "Bytes of request bodies.", write_bytes_in},
    {"starvirt_bad_replies_total", "counter", "Replies that their rows do not describe (--check-replies).",
     write_bad_replies},
    {"starvirt_reply_bytes_total", "counter", "Bytes of reply bodies.", write_bytes_out},
    {"starvirt_workers", "gauge", "Threads that write uploads, look at paths or open screens, and what waits.",
     write_workers},
    {"starvirt_jobs_ended_total", "counter", "Jobs ended since the start, by kind and result code.", write_jobs},
    {"starvirt_jobs_open", "gauge", "Jobs that wait or run.", write_open_jobs},
    {"starvirt_undos_pending", "gauge", "Undos that failed and are to be finished.", write_undos},
    {"starvirt_network_units", "gauge",
     "Units of networks that the engine has yet to be told of, is being told of, or was told of in vain.", write_units},
    {"starvirt_network_failures_total", "counter", "Times that the engine did not take what a unit should be.",
     write_unit_failures},
    {"starvirt_network_mended_total", "counter", "Units that were found otherwise than they should be, and mended.",
     write_mended},
    {"starvirt_network_comparisons_total", "counter", "Times that all networks were compared with what they should be.",
     write_comparisons},
    {"starvirt_network_comparison_seconds_total", "counter", "How long these took, all in all.", write_comparing},
    {"starvirt_job_threads", "gauge", "Threads that run jobs.", write_job_threads},
    {"starvirt_hosts", "gauge", "Hypervisor hosts.", write_hosts},
    {"starvirt_balancer_nodes", "gauge", "Nodes of load balancers by what health checks found.", write_balancer_nodes},
    {"starvirt_balancer_connections", "gauge", "Connections to nodes of a load balancer.", write_balancer_connections},
    {"starvirt_balancer_sessions_total", "counter", "Sessions of a load balancer.", write_balancer_sessions},
    {"starvirt_balancer_bytes_total", "counter", "Bytes through a load balancer.", write_balancer_bytes},
    {"starvirt_certificate_expiry_seconds", "gauge", "Time until the certificate of a load balancer ends.",
     write_certificates},
    {"starvirt_db_writes_total", "counter", "Write closures run.", write_db_writes},
    {"starvirt_db_commits_total", "counter", "Batches committed; each is one fsync.", write_db_commits},
    {"starvirt_db_queue", "gauge", "Write closures waiting.", write_db_queue},
    {"starvirt_db_last_commit_seconds", "gauge", "How long the last commit took.", write_db_commit_time},
    {"starvirt_db_writable", "gauge", "1: the last write could be done; 0: an outage, writes wait.", write_db_writable},
    {"starvirt_db_waiting", "gauge", "Writes that wait for the end of an outage.", write_db_waiting},
    {"starvirt_db_outages_total", "counter", "Times that nothing could be written.", write_db_outages},
    {"starvirt_db_failures_total", "counter", "Attempts to write that failed in them.", write_db_failures},
    {"starvirt_db_outage_seconds_total", "counter", "How long nothing could be written, all in all.", write_db_outage},
    {"starvirt_db_inspected", "gauge", "1: the whole file was looked through since the start.", write_db_inspected},
    {"starvirt_db_damaged", "gauge", "1: something in the file is spoiled.", write_db_damaged},
    {"process_resident_memory_bytes", "gauge", "Resident memory.", write_memory},
    {"process_open_fds", "gauge", "Open file descriptors.", write_fds},
};

void sv_metrics_write(struct sv_server *s, struct sv_buf *out)
{
    struct scrape x = {.s = s, .out = out};
    sv_db_stats(s->db, &x.db);
    sv_jobs_stats(sv_cloud_jobs(s->cloud), &x.jobs);
    sv_workers_stats(s->disk, &x.disk);
    sv_workers_stats(s->paths, &x.paths);
    sv_workers_stats(s->screens, &x.screens);
    const struct sv_hosts_ready hosts = sv_cloud_hosts_ready(s->cloud);
    x.hosts = hosts.total;
    x.hosts_up = hosts.ready;
    sv_cloud_network_stats(s->cloud, &x.network);
    sv_links_stats(s->links, &x.links);
    sv_begun_stats(s->begun, &x.begun);
    for (unsigned i = 0; i < SV_SUPPLY_COUNT; i++)
        sv_shares_stats(s->shares, (enum sv_supply)i, &x.supplies[i]);
    sv_consoles_count(s->consoles, &x.consoles, &x.consoles_total, &x.console_tokens);
    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
        const struct metric *m = &metrics[i];
        sv_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
        m->write(&x, m);
    }
}
