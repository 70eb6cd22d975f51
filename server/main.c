/* starvirtd: wires the rooms together, waits for a signal, takes them apart again. */
#include "server/console.h"
#include "server/guard.h"
#include "server/http.h"
#include "server/listen.h"
#include "server/metrics.h"
#include "server/options.h"
#include "server/pages.h"
#include "server/upload.h"
#include "starvirt/dialects.h"
#include "starvirt/hv.h"
#include "starvirt/log.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    EXIT_BAD_OPTION = 2,
    STOP_LIMIT_MS = 30 * 1000,  /* running job steps */
    DRAIN_LIMIT_MS = 10 * 1000, /* requests under way */
    CONSOLE_LIMIT_MS = 1000,    /* for browsers to take the last word */
    SEND_LIMIT_S = 1,           /* of these, what clients have not sent yet: they could take any time */
    MAX_PARKED = 2048,
    WORK_QUEUE = 256,
};

/* Everything that is open, in the order of opening; NULL parts were not reached. */
struct program {
    struct sv_options opt;
    struct sv_api *api;
    struct sv_db *db;
    struct sv_net *net;
    struct sv_cloud *cloud;
    struct sv_server server;
    struct sv_http *http;
    char *upload_dir;
    int listen_fd;
};

/* --- the process -------------------------------------------------------------------------------------- */

static void set_limits(void)
{
    struct rlimit files, core;
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 3); /* one heap a thread would hold several times the memory, for nothing measurable */
#endif
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max; /* one descriptor a connection */
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (getrlimit(RLIMIT_CORE, &core) == 0) {
        core.rlim_cur = 0; /* memory holds tokens and passwords (threat 23) */
        setrlimit(RLIMIT_CORE, &core);
    }
    umask(077);
}

/* Before any thread is made: all inherit it, and only the main thread waits for these. */
static void block_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    pthread_sigmask(SIG_BLOCK, ret, NULL);
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
}

static void set_log_level(const char *name)
{
    for (enum sv_level l = SV_LOG_DEBUG; l <= SV_LOG_ERROR; l++)
        if (strcmp(sv_level_name(l), name) == 0)
            sv_log_level(l);
}

static int complain(const struct sv_error *err)
{
    char text[512];
    sv_err_text(err, SV_LANG_EN, text, sizeof(text));
    fprintf(stderr, "starvirtd: %s\n", text);
    return err->code == SV_E_CONFIG ? EXIT_BAD_OPTION : EXIT_FAILURE;
}

/* --- opening -------------------------------------------------------------------------------------------- */

static void on_change(void *arg, const struct sv_id *job)
{
    struct sv_park *park = arg;
    char key[64];
    if (job) {
        snprintf(key, sizeof(key), "job:%s", job->s);
        sv_park_wake(park, key);
    }
    sv_park_wake(park, "events");
}

static void init_server(struct program *p)
{
    struct sv_server *s = &p->server;
    unsigned char run[4];
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&s->drained, &mono);
    pthread_condattr_destroy(&mono);
    pthread_mutex_init(&s->drain_lock, NULL);
    sv_random(run, sizeof(run));
    sv_hex(run, sizeof(run), s->id_prefix);
    s->api = p->api;
    s->guard = sv_guard_new();
    s->workers = sv_workers_new((unsigned)p->opt.workers, WORK_QUEUE);
    s->park = sv_park_new(MAX_PARKED);
    s->metrics = sv_metrics_new(p->api);
    s->pages = sv_page_cache_new();
    s->links = sv_links_new();
    s->metrics_public = p->opt.metrics_public;
    s->log_requests = strcmp(p->opt.log_level, "debug") == 0 || strcmp(p->opt.log_level, "info") == 0;
}

static void free_server(struct sv_server *s)
{
    sv_links_free(s->links);
    sv_page_cache_free(s->pages);
    sv_metrics_free(s->metrics);
    sv_park_free(s->park);
    sv_workers_free(s->workers);
    sv_guard_free(s->guard);
    pthread_cond_destroy(&s->drained);
    pthread_mutex_destroy(&s->drain_lock);
}

static enum sv_err open_data(struct program *p, struct sv_error *err)
{
    const struct sv_db_options how = {.create = true};
    enum sv_err e = sv_db_open(p->opt.data, &how, &p->db, err);
    if (e != SV_OK)
        return e;
    p->upload_dir = sv_asprintf("%s/upload", p->opt.data);
    p->server.db = p->db;
    p->server.upload_dir = p->upload_dir;
    sv_db_on_change(p->db, on_change, p->server.park);
    return sv_upload_prepare(p->upload_dir, err);
}

static enum sv_err open_net(struct program *p, struct sv_error *err)
{
    const struct sv_net_options how = {.data_dir = p->opt.data};
    return sv_net_open(p->opt.network, &how, &p->net, err);
}

static enum sv_err open_cloud(struct program *p, struct sv_error *err)
{
    const struct sv_options *o = &p->opt;
    const struct sv_cloud_options how = {
        .data_dir = o->data,
        .db = p->db,
        .connect = o->connect,
        .connect_count = o->connect_count,
        .hv =
            {
                .data_dir = o->data,
                .domain_type = o->domain_type,
                .image_dir = o->image_dir,
                .call_limit_ms = o->hv_call_limit * 1000,
                .threads_per_host = (unsigned)o->hv_threads,
            },
        .net = p->net,
        .supernet = o->supernet_base,
        .supernet_prefix = o->supernet_prefix,
        .vpc_prefix = (unsigned)o->vpc_prefix,
        .backup_dir = o->backup_dir,
        .backup_keep = o->backup_keep,
        .import_dirs = o->import_dirs,
        .vcpu_overcommit = (double)o->vcpu_overcommit,
        .jobs =
            {
                .slots_per_host = (unsigned)o->slots_per_host,
                .requeue = o->requeue,
                .crash_point = o->crash_point,
                .keep_ms = o->keep_days * 24 * 3600 * 1000,
            },
    };
    enum sv_err e = sv_cloud_new(&how, &p->cloud, err);
    if (e != SV_OK)
        return e;
    p->server.cloud = p->cloud;
    return sv_cloud_start(p->cloud, err);
}

static enum sv_err open_consoles(struct program *p, struct sv_error *err)
{
    const struct sv_console_options how = {
        .url = p->opt.console_url,
        .tls = p->opt.tls_cert != NULL,
        .token_ms = p->opt.console_token * 1000,
        .silence_ms = p->opt.console_silence * 1000,
    };
    return sv_consoles_new(&p->server, &how, &p->server.consoles, err);
}

static enum sv_err open_http(struct program *p, struct sv_error *err)
{
    const struct sv_http_options how = {
        .fd = p->listen_fd,
        .threads = (unsigned)p->opt.threads,
        .tls_cert = p->opt.tls_cert,
        .tls_key = p->opt.tls_key,
    };
    p->listen_fd = -1; /* theirs in any case */
    return sv_http_start(&p->server, &how, &p->http, err);
}

/* The socket comes first: an address in use is told before anything is touched. */
static enum sv_err open_all(struct program *p, struct sv_error *err)
{
    enum sv_err e = sv_listen_open(p->opt.listen, &p->listen_fd, err);
    char name[80];
    if (e == SV_OK) {
        sv_listen_name(p->listen_fd, name, sizeof(name));
        e = open_data(p, err);
    }
    if (e == SV_OK)
        e = open_net(p, err);
    if (e == SV_OK)
        e = open_cloud(p, err);
    if (e == SV_OK)
        e = open_consoles(p, err);
    if (e == SV_OK)
        e = open_http(p, err);
    if (e != SV_OK)
        return e;
    printf("starvirtd: listening on %s\n", name);
    fflush(stdout);
    sv_notify("READY=1");
    sv_log(SV_LOG_INFO, "server.ready", "version", STARVIRT_VERSION, "listen", name, "data", p->opt.data, NULL);
    return SV_OK;
}

/* --- closing -------------------------------------------------------------------------------------------- */

static void stop_serving(struct program *p)
{
    if (!p->http)
        return;
    sv_notify("STOPPING=1");
    sv_log(SV_LOG_INFO, "server.stopping", NULL);
    sv_http_quiesce(p->http);
    atomic_store(&p->server.stopping, true);
    sv_park_stop(p->server.park);
    sv_links_hurry(p->server.links, SEND_LIMIT_S);
    sv_consoles_stop(p->server.consoles, CONSOLE_LIMIT_MS);
}

static void close_all(struct program *p)
{
    stop_serving(p);
    if (p->cloud)
        sv_cloud_stop(p->cloud, STOP_LIMIT_MS);
    if (p->http && !sv_server_drain(&p->server, DRAIN_LIMIT_MS) && atomic_load(&p->server.handed) > 0) {
        /* Somebody still holds a request; what was accepted is on disk, so leaving is safe, waiting is not. */
        sv_log(SV_LOG_WARN, "server.left", "requests", sv_dec(atomic_load(&p->server.handed)).s, NULL);
        _exit(EXIT_SUCCESS);
    }
    sv_http_stop(p->http);
    if (p->listen_fd >= 0)
        close(p->listen_fd);
    sv_workers_free(p->server.workers);
    p->server.workers = NULL;
    sv_consoles_free(p->server.consoles);
    sv_cloud_free(p->cloud);
    sv_db_close(p->db);
    sv_net_close(p->net);
    free_server(&p->server);
    free(p->upload_dir);
}

/* --- modes ---------------------------------------------------------------------------------------------- */

static int serve(struct program *p)
{
    struct sv_error err = {0};
    sigset_t ends;
    int signal_number, code = EXIT_SUCCESS;
    set_log_level(p->opt.log_level);
    set_limits();
    block_signals(&ends);
    p->listen_fd = -1;
    init_server(p);
    if (open_all(p, &err) != SV_OK)
        code = complain(&err);
    else
        sigwait(&ends, &signal_number);
    close_all(p);
    if (code == EXIT_SUCCESS)
        sv_log(SV_LOG_INFO, "server.stopped", NULL);
    return code;
}

static int print(const struct sv_buf *out)
{
    return fwrite(out->p, 1, out->n, stdout) == out->n && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int dump_routes(const struct sv_api *api)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    sv_describe_dump(api, &out);
    return print(&out);
}

static void dump_steps(struct sv_json *j, const char *key, const struct sv_job_kind *kind, bool undone)
{
    sv_json_arr(j, key);
    for (unsigned i = 0; i < kind->step_count; i++)
        if (!undone || kind->steps[i].undo)
            sv_json_str(j, NULL, kind->steps[i].name);
    sv_json_end_arr(j);
}

/* Tests derive from these rows where the server may be killed. */
static int dump_kinds(void)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    for (const struct sv_job_kind *const *k = sv_cloud_kinds; *k; k++) {
        struct sv_json j;
        sv_json_init(&j, &out);
        sv_json_obj(&j, NULL);
        sv_json_str(&j, "kind", (*k)->name);
        dump_steps(&j, "steps", *k, false);
        dump_steps(&j, "undo", *k, true);
        sv_json_end_obj(&j);
        sv_buf_add(&out, "\n", 1);
    }
    return print(&out);
}

static int run(struct program *p)
{
    struct sv_error err = {0};
    switch (p->opt.mode) {
    case SV_MODE_HELP:
        sv_options_help(stdout);
        return EXIT_SUCCESS;
    case SV_MODE_VERSION:
        puts("starvirtd " STARVIRT_VERSION);
        return EXIT_SUCCESS;
    case SV_MODE_DUMP_KINDS:
        return dump_kinds();
    case SV_MODE_DUMP_ROUTES:
    case SV_MODE_SERVE:
        break;
    }
    if (sv_api_new(sv_dialects, &p->api, &err) != SV_OK)
        return complain(&err);
    int code = p->opt.mode == SV_MODE_DUMP_ROUTES ? dump_routes(p->api) : serve(p);
    sv_api_free(p->api);
    return code;
}

int main(int argc, char **argv)
{
    static struct program p;
    struct sv_error err = {0};
    int code = EXIT_BAD_OPTION;
    if (argc == 4 && strcmp(argv[1], "--thaw") == 0) /* started by ourselves only, it has no options */
        return sv_hv_thaw(argv[2], argv[3]);
    if (sv_options_parse(argc, argv, &p.opt, &err) == SV_OK)
        code = run(&p);
    else
        fprintf(stderr, "starvirtd: %s\n", err.arg[0]);
    sv_options_free(&p.opt);
    return code;
}
