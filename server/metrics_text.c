/* The Prometheus text: rows, and what it takes to write them down. */
#include "server/console.h"
#include "server/links.h"
#include "server/metrics_counts.h"
#include "starvirt/clock.h"
#include "starvirt/core_alarm.h"
#include "starvirt/core_balance.h"
#include "starvirt/core_monitor.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const outcome_names[SV_OUT_COUNT] = {
    [SV_OUT_OK] = "ok",       [SV_OUT_REFUSED] = "refused", [SV_OUT_DENIED] = "denied", [SV_OUT_PROTOCOL] = "protocol",
    [SV_OUT_FAULT] = "fault",
};

/* Figures of one scrape, asked for once. */
struct scrape {
    struct sv_server *s;
    struct sv_buf *out;
    struct sv_db_stats db;
    struct sv_jobs_stats jobs;
    struct sv_workers_stats disk, paths, screens;
    struct sv_network_stats network;
    struct sv_monitor_totals monitor;
    struct sv_links_stats links;
    struct sv_alarm_stats alarms;
    struct sv_begun_stats begun;
    struct sv_supply_stats supplies[SV_SUPPLY_COUNT];
    unsigned hosts, hosts_up, consoles, console_tokens;
    uint64_t consoles_total, active, parked, bytes_in, bytes_out, bad_replies, undos;
    bool writable;
};

struct metric {
    const char *name, *type, *help;
    void (*write)(struct scrape *x, const struct metric *m);
    /* FIGURE, SUPPLY: a member of the scrape, or of what there is of each supply */
    size_t at, size;
    /* BALANCER, CELL: the lines of each */
    void (*balancer)(void *arg, const struct sv_slb_figures *f);
    void (*cell)(struct scrape *x, const struct metric *m, const struct sv_count_cell *c, const char *labels);
};
#define MEMBER(type, member) .at = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)
#define FIGURE(member)       .write = write_figure, MEMBER(scrape, member)
#define SUPPLY(member)       .write = each_supply, MEMBER(sv_supply_stats, member)
#define BALANCER(fn)         .write = each_balancer, .balancer = (fn)
#define CELL(fn)             .write = each_cell, .cell = (fn)

static void value(struct scrape *x, const struct metric *m, uint64_t v)
{
    sv_buf_printf(x->out, "%s %llu\n", m->name, (unsigned long long)v);
}

/* No member is negative. */
static uint64_t figure(const void *of, const struct metric *m)
{
    const char *at = (const char *)of + m->at;
    bool one;
    uint32_t four;
    uint64_t eight;

    switch (m->size) {
    case sizeof(one):
        memcpy(&one, at, sizeof(one));
        return one;
    case sizeof(four):
        memcpy(&four, at, sizeof(four));
        return four;
    default:
        memcpy(&eight, at, sizeof(eight));
        return eight;
    }
}

static void write_figure(struct scrape *x, const struct metric *m)
{
    value(x, m, figure(x, m));
}

static void seconds(struct scrape *x, const char *name, const char *labels, uint64_t us)
{
    sv_buf_printf(x->out, "%s%s %llu.%06u\n", name, labels, (unsigned long long)(us / 1000000),
                  (unsigned)(us % 1000000));
}

static uint64_t cell_total(const struct sv_count_cell *c)
{
    uint64_t n = 0;
    for (unsigned b = 0; b < SV_BUCKETS; b++)
        n += sv_count_get(&c->bucket[b]);
    return n;
}

static void labels_of(const struct sv_count_line *l, enum sv_outcome o, char *buf, size_t size)
{
    snprintf(buf, size, "method=\"%s\",route=\"%s\",outcome=\"%s\"", l->route ? l->route->method : "",
             l->route ? l->route->path : "", outcome_names[o]);
}

static void each_cell(struct scrape *x, const struct metric *m)
{
    struct sv_metrics *all = x->s->metrics;
    for (size_t i = 0; i < all->n; i++)
        for (unsigned o = 0; o < SV_OUT_COUNT; o++) {
            char labels[256];
            if (cell_total(&all->lines[i].cells[o]) == 0)
                continue;
            labels_of(&all->lines[i], (enum sv_outcome)o, labels, sizeof(labels));
            m->cell(x, m, &all->lines[i].cells[o], labels);
        }
}

static void cell_histogram(struct scrape *x, const struct metric *m, const struct sv_count_cell *c, const char *labels)
{
    char sum[300], in_braces[300];
    uint64_t n = 0;
    for (unsigned b = 0; b < SV_BUCKETS; b++) {
        n += sv_count_get(&c->bucket[b]);
        sv_buf_printf(x->out, "%s_bucket{%s,le=\"%s\"} %llu\n", m->name, labels, sv_buckets[b].le,
                      (unsigned long long)n);
    }
    snprintf(sum, sizeof(sum), "%s_sum", m->name);
    snprintf(in_braces, sizeof(in_braces), "{%s}", labels);
    seconds(x, sum, in_braces, sv_count_get(&c->us));
    sv_buf_printf(x->out, "%s_count{%s} %llu\n", m->name, labels, (unsigned long long)n);
}

static void cell_count(struct scrape *x, const struct metric *m, const struct sv_count_cell *c, const char *labels)
{
    sv_buf_printf(x->out, "%s{%s} %llu\n", m->name, labels, (unsigned long long)cell_total(c));
}

static void write_errors(struct scrape *x, const struct metric *m)
{
    for (unsigned e = 1; e < SV_ERR_COUNT; e++) {
        uint64_t n = sv_count_get(&x->s->metrics->errors[e]);
        if (n > 0)
            sv_buf_printf(x->out, "%s{error=\"%s\"} %llu\n", m->name, sv_err_symbol((enum sv_err)e),
                          (unsigned long long)n);
    }
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

static void each_supply(struct scrape *x, const struct metric *m)
{
    for (unsigned i = 0; i < SV_SUPPLY_COUNT; i++)
        sv_buf_printf(x->out, "%s{supply=\"%s\"} %u\n", m->name, sv_supplies[i].label,
                      (unsigned)figure(&x->supplies[i], m));
}

static void write_supply_refused(struct scrape *x, const struct metric *m)
{
    for (unsigned i = 0; i < SV_SUPPLY_COUNT; i++)
        sv_buf_printf(x->out, "%s{supply=\"%s\",why=\"share\"} %llu\n%s{supply=\"%s\",why=\"supply\"} %llu\n", m->name,
                      sv_supplies[i].label, (unsigned long long)x->supplies[i].refused_share, m->name,
                      sv_supplies[i].label, (unsigned long long)x->supplies[i].refused_supply);
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

static void write_units(struct scrape *x, const struct metric *m)
{
    sv_buf_printf(x->out, "%s{state=\"waiting\"} %u\n%s{state=\"telling\"} %u\n%s{state=\"failed\"} %u\n", m->name,
                  x->network.waiting, m->name, x->network.telling, m->name, x->network.failed);
}

static void write_alarms(struct scrape *x, const struct metric *m)
{
    for (unsigned t = 0; t < SV_ALARM_TYPES; t++)
        for (unsigned l = 0; l < SV_ALARM_LEVELS; l++)
            if (x->alarms.open[t][l])
                sv_buf_printf(x->out, "%s{type=\"%s\",level=\"%s\"} %llu\n", m->name,
                              sv_alarm_kind((enum sv_alarm_type)t)->symbol, sv_alarm_level_name((enum sv_alarm_level)l),
                              (unsigned long long)x->alarms.open[t][l]);
}

static void write_busy(struct scrape *x, const struct metric *m)
{
    sv_buf_printf(x->out, "%s %.3f\n", m->name, x->monitor.busy_cpus);
}

static void write_sampling(struct scrape *x, const struct metric *m)
{
    sv_buf_printf(x->out, "%s %.6f\n", m->name, (double)x->monitor.took_us / 1e6);
}

static void write_comparing(struct scrape *x, const struct metric *m)
{
    sv_buf_printf(x->out, "%s %.6f\n", m->name, (double)x->network.comparing_us / 1e6);
}

struct balancer_lines {
    struct sv_buf *out;
    const char *name;
};

static void each_balancer(struct scrape *x, const struct metric *m)
{
    struct balancer_lines l = {x->out, m->name};
    sv_cloud_balancers(x->s->cloud, m->balancer, &l);
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

static void write_hosts(struct scrape *x, const struct metric *m)
{
    sv_buf_printf(x->out, "%s{connected=\"true\"} %u\n%s{connected=\"false\"} %u\n", m->name, x->hosts_up, m->name,
                  x->hosts - x->hosts_up);
}

static void write_db_commit_time(struct scrape *x, const struct metric *m)
{
    seconds(x, m->name, "", x->db.commit_us_last > 0 ? (uint64_t)x->db.commit_us_last : 0);
}

static void write_db_outage(struct scrape *x, const struct metric *m)
{
    seconds(x, m->name, "", (uint64_t)sv_db_outage_ms(x->s->db) * 1000);
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

static void write_version(struct scrape *x, const struct metric *m)
{
    sv_buf_printf(x->out, "%s{version=\"%s\"} 1\n", m->name, STARVIRT_VERSION);
}

static const struct metric metrics[] = {
    {"starvirt_build_info", "gauge", "The program.", write_version},
    {"starvirt_uptime_seconds", "gauge", "Since the program started.", write_uptime},
    {"starvirt_requests_total", "counter", "Requests answered; route is empty for pages and unknown paths.",
     CELL(cell_count)},
    {"starvirt_request_errors_total", "counter", "Requests that failed, by error.", write_errors},
    {"starvirt_request_duration_seconds", "histogram", "From head to reply, long polls included.",
     CELL(cell_histogram)},
    {"starvirt_requests_in_flight", "gauge", "Requests being answered.", FIGURE(active)},
    {"starvirt_connections", "gauge", "Open HTTP connections.", FIGURE(links.count)},
    {"starvirt_connections_limit", "gauge", "The most there can be.", FIGURE(links.limit)},
    {"starvirt_connections_addresses", "gauge", "Addresses they come from (IPv6: a /64 each).",
     FIGURE(links.addresses)},
    {"starvirt_connections_cut_total", "counter",
     "Connections cut off: too slow, too many of their address, or the least of all when all were taken.", write_cut},
    {"starvirt_supply_limit", "gauge", "Places of what all tenants share.", SUPPLY(limit)},
    {"starvirt_supply_used", "gauge", "Places taken.", SUPPLY(used)},
    {"starvirt_supply_tenants", "gauge", "Tenants that have some.", SUPPLY(tenants)},
    {"starvirt_supply_most", "gauge", "Places of the tenant that has the most.", SUPPLY(most)},
    {"starvirt_supply_refused_total", "counter", "Refused: the tenant had its share, or the supply was used up.",
     write_supply_refused},
    {"starvirt_long_polls", "gauge", "Requests that wait for a change.", FIGURE(parked)},
    {"starvirt_consoles", "gauge", "Open consoles.", FIGURE(consoles)},
    {"starvirt_consoles_total", "counter", "Consoles opened since the start.", FIGURE(consoles_total)},
    {"starvirt_console_tokens", "gauge", "Addresses of consoles that wait to be opened.", FIGURE(console_tokens)},
    {"starvirt_token_ends_total", "counter",
     "Requests, uploads, consoles and standings of connections whose token was revoked or expired meanwhile.",
     FIGURE(begun.ended)},
    {"starvirt_request_bytes_total", "counter", "Bytes of request bodies.", FIGURE(bytes_in)},
    {"starvirt_bad_replies_total", "counter", "Replies that their rows do not describe (--check-replies).",
     FIGURE(bad_replies)},
    {"starvirt_reply_bytes_total", "counter", "Bytes of reply bodies.", FIGURE(bytes_out)},
    {"starvirt_workers", "gauge", "Threads that write uploads, look at paths or open screens, and what waits.",
     write_workers},
    {"starvirt_jobs_ended_total", "counter", "Jobs ended since the start, by kind and result code.", write_jobs},
    {"starvirt_jobs_open", "gauge", "Jobs that wait or run.", write_open_jobs},
    {"starvirt_undos_pending", "gauge", "Undos that failed and are to be finished.", FIGURE(undos)},
    {"starvirt_alarms_open", "gauge", "Alarms that are not relieved, by type and level.", write_alarms},
    {"starvirt_alarm_deliveries_pending", "gauge", "Messages that web hooks have yet to take.", FIGURE(alarms.pending)},
    {"starvirt_alarm_deliveries_sent_total", "counter", "Messages that web hooks took.", FIGURE(alarms.sent)},
    {"starvirt_alarm_deliveries_failed_total", "counter", "Tries in vain.", FIGURE(alarms.failures)},
    {"starvirt_alarm_deliveries_given_up_total", "counter", "Messages that a web hook did not take for a day.",
     FIGURE(alarms.given_up)},
    {"starvirt_network_units", "gauge",
     "Units of networks that the engine has yet to be told of, is being told of, or was told of in vain.", write_units},
    {"starvirt_network_failures_total", "counter", "Times that the engine did not take what a unit should be.",
     FIGURE(network.failures)},
    {"starvirt_network_mended_total", "counter", "Units that were found otherwise than they should be, and mended.",
     FIGURE(network.mended)},
    {"starvirt_router_failovers_total", "counter", "Routers of two instances of which the other one took over.",
     FIGURE(network.failovers)},
    {"starvirt_network_comparisons_total", "counter", "Times that all networks were compared with what they should be.",
     FIGURE(network.comparisons)},
    {"starvirt_network_comparison_seconds_total", "counter", "How long these took, all in all.", write_comparing},
    {"starvirt_job_threads", "gauge", "Threads that run jobs.", FIGURE(jobs.workers)},
    {"starvirt_hosts", "gauge", "Hypervisor hosts.", write_hosts},
    {"starvirt_hosts_busy_cpus", "gauge", "CPUs of all hosts that are at work.", write_busy},
    {"starvirt_hosts_memory_used_bytes", "gauge", "Memory of all hosts that is in use.", FIGURE(monitor.memory_used)},
    {"starvirt_monitor_hosts_late", "gauge", "Hosts that have not said for three intervals what they use.",
     FIGURE(monitor.late)},
    {"starvirt_monitor_objects", "gauge", "VMs and hosts that there are figures of.", FIGURE(monitor.objects)},
    {"starvirt_monitor_samples_total", "counter", "Times that a host said what it and its guests use.",
     FIGURE(monitor.samples)},
    {"starvirt_monitor_failures_total", "counter", "Times that it did not.", FIGURE(monitor.failures)},
    {"starvirt_monitor_sample_seconds_total", "counter", "How long these answers took, all in all.", write_sampling},
    {"starvirt_monitor_points_total", "counter", "Points of history that were written.", FIGURE(monitor.points)},
    {"starvirt_monitor_points_lost_total", "counter", "Points that could not be written.", FIGURE(monitor.lost)},
    {"starvirt_balancer_nodes", "gauge", "Nodes of load balancers by what health checks found.", BALANCER(nodes_line)},
    {"starvirt_balancer_connections", "gauge", "Connections to nodes of a load balancer.", BALANCER(connections_line)},
    {"starvirt_balancer_sessions_total", "counter", "Sessions of a load balancer.", BALANCER(sessions_line)},
    {"starvirt_balancer_bytes_total", "counter", "Bytes through a load balancer.", BALANCER(bytes_line)},
    {"starvirt_certificate_expiry_seconds", "gauge", "Time until the certificate of a load balancer ends.",
     BALANCER(certificate_line)},
    {"starvirt_db_writes_total", "counter", "Write closures run.", FIGURE(db.writes)},
    {"starvirt_db_commits_total", "counter", "Batches committed; each is one fsync.", FIGURE(db.commits)},
    {"starvirt_db_queue", "gauge", "Write closures waiting.", FIGURE(db.queue)},
    {"starvirt_db_last_commit_seconds", "gauge", "How long the last commit took.", write_db_commit_time},
    {"starvirt_db_writable", "gauge", "1: the last write could be done; 0: an outage, writes wait.", FIGURE(writable)},
    {"starvirt_db_waiting", "gauge", "Writes that wait for the end of an outage.", FIGURE(db.waiting)},
    {"starvirt_db_outages_total", "counter", "Times that nothing could be written.", FIGURE(db.outages)},
    {"starvirt_db_failures_total", "counter", "Attempts to write that failed in them.", FIGURE(db.failures)},
    {"starvirt_db_outage_seconds_total", "counter", "How long nothing could be written, all in all.", write_db_outage},
    {"starvirt_db_inspected", "gauge", "1: the whole file was looked through since the start.", FIGURE(db.inspected)},
    {"starvirt_db_damaged", "gauge", "1: something in the file is spoiled.", FIGURE(db.damaged)},
    {"process_resident_memory_bytes", "gauge", "Resident memory.", write_memory},
    {"process_open_fds", "gauge", "Open file descriptors.", write_fds},
};

void sv_metrics_write(struct sv_server *s, struct sv_buf *out)
{
    struct scrape x = {.s = s, .out = out};
    sv_db_stats(s->db, &x.db);
    x.writable = x.db.outage == SV_OK;
    x.active = atomic_load(&s->active);
    x.parked = sv_park_count(s->park);
    x.bytes_in = sv_count_get(&s->metrics->bytes_in);
    x.bytes_out = sv_count_get(&s->metrics->bytes_out);
    x.bad_replies = sv_count_get(&s->metrics->bad_replies);
    sv_cloud_alarm_stats(s->cloud, &x.alarms);
    x.undos = (uint64_t)sv_cloud_undos_pending(s->cloud);
    sv_jobs_stats(sv_cloud_jobs(s->cloud), &x.jobs);
    sv_workers_stats(s->disk, &x.disk);
    sv_workers_stats(s->paths, &x.paths);
    sv_workers_stats(s->screens, &x.screens);
    const struct sv_hosts_ready hosts = sv_cloud_hosts_ready(s->cloud);
    x.hosts = hosts.total;
    x.hosts_up = hosts.ready;
    sv_cloud_network_stats(s->cloud, &x.network);
    x.monitor = sv_monitor_totals(s->cloud);
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
