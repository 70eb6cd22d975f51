#include "server/metrics.h"
#include "server/console.h"
#include "server/links.h"
#include "starvirt/clock.h"

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
    atomic_uint_least64_t errors[SV_ERR_COUNT];
    size_t n;
    struct line *lines; /* sorted by the route's address; NULL comes first */
};

enum sv_outcome sv_outcome_of(enum sv_err code)
{
    if (code == SV_OK)
        return SV_OUT_OK;
    if (code == SV_E_TOKEN_MISSING || code == SV_E_TOKEN_INVALID || code == SV_E_TOKEN_EXPIRED ||
        code == SV_E_ADMIN_ONLY)
        return SV_OUT_DENIED;
    if (sv_err_is_ours(code))
        return SV_OUT_FAULT;
    return sv_err_http_status(code) == 200 ? SV_OUT_REFUSED : SV_OUT_PROTOCOL;
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
    struct sv_workers_stats workers;
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
    value(x, m, sv_links_count(x->s->links));
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

static void write_workers(struct scrape *x, const struct metric *m)
{
    sv_buf_printf(x->out, "%s{state=\"busy\"} %u\n%s{state=\"idle\"} %u\n%s{state=\"queued\"} %u\n", m->name,
                  x->workers.busy, m->name, x->workers.threads - x->workers.busy, m->name, x->workers.queued);
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
     write_requests},
    {"starvirt_request_errors_total", "counter", "Requests that failed, by error.", write_errors},
    {"starvirt_request_duration_seconds", "histogram", "From head to reply, long polls included.", write_latency},
    {"starvirt_requests_in_flight", "gauge", "Requests being answered.", write_active},
    {"starvirt_connections", "gauge", "Open HTTP connections.", write_conns},
    {"starvirt_long_polls", "gauge", "Requests that wait for a change.", write_parked},
    {"starvirt_consoles", "gauge", "Open consoles.", write_consoles},
    {"starvirt_consoles_total", "counter", "Consoles opened since the start.", write_consoles_total},
    {"starvirt_console_tokens", "gauge", "Addresses of consoles that wait to be opened.", write_console_tokens},
    {"starvirt_request_bytes_total", "counter", "Bytes of request bodies.", write_bytes_in},
    {"starvirt_reply_bytes_total", "counter", "Bytes of reply bodies.", write_bytes_out},
    {"starvirt_workers", "gauge", "Threads for requests that block, and requests waiting for one.", write_workers},
    {"starvirt_jobs_ended_total", "counter", "Jobs ended since the start, by kind and result code.", write_jobs},
    {"starvirt_jobs_open", "gauge", "Jobs that wait or run.", write_open_jobs},
    {"starvirt_job_threads", "gauge", "Threads that run jobs.", write_job_threads},
    {"starvirt_hosts", "gauge", "Hypervisor hosts.", write_hosts},
    {"starvirt_db_writes_total", "counter", "Write closures run.", write_db_writes},
    {"starvirt_db_commits_total", "counter", "Batches committed; each is one fsync.", write_db_commits},
    {"starvirt_db_queue", "gauge", "Write closures waiting.", write_db_queue},
    {"starvirt_db_last_commit_seconds", "gauge", "How long the last commit took.", write_db_commit_time},
    {"process_resident_memory_bytes", "gauge", "Resident memory.", write_memory},
    {"process_open_fds", "gauge", "Open file descriptors.", write_fds},
};

void sv_metrics_write(struct sv_server *s, struct sv_buf *out)
{
    struct scrape x = {.s = s, .out = out};
    sv_db_stats(s->db, &x.db);
    sv_jobs_stats(sv_cloud_jobs(s->cloud), &x.jobs);
    sv_workers_stats(s->workers, &x.workers);
    x.hosts_up = sv_cloud_hosts_connected(s->cloud, &x.hosts);
    sv_consoles_count(s->consoles, &x.consoles, &x.consoles_total, &x.console_tokens);
    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
        const struct metric *m = &metrics[i];
        sv_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
        m->write(&x, m);
    }
}
