/* starvirtd: wires the rooms together, waits for a signal, takes them apart again. */
#include "server/console.h"
#include "server/control.h"
#include "server/guard.h"
#include "server/hook.h"
#include "server/http.h"
#include "server/listen.h"
#include "server/metrics.h"
#include "server/options.h"
#include "server/pages.h"
#include "server/process.h"
#include "server/tls.h"
#include "server/traces.h"
#include "server/upload.h"
#include "starvirt/dialects.h"
#include "starvirt/hv.h"
#include "starvirt/limits.h"
#include "starvirt/log.h"
#include "starvirt/room.h"
#include "starvirt/std.h"
#include "starvirt/thread.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    EXIT_BAD_OPTION = 2,
    STOP_LIMIT_MS = 30 * 1000,  /* running job steps */
    DRAIN_LIMIT_MS = 10 * 1000, /* requests under way */
    CONSOLE_LIMIT_MS = 1000,    /* for browsers to take the last word */
    SEND_LIMIT_S = 1,           /* of these, what clients have not sent yet: they could take any time */
    WORK_QUEUE = 256,
    PATH_THREADS = 4,
    PATH_QUEUE = 64,
    WAIT_AGAIN_MS = 250, /* until the database is tried again */
};

/* Everything that is open, in the order of opening; NULL parts were not reached. */
struct program {
    struct sv_options opt;
    struct sv_api *api;
    struct sv_db *db;
    struct sv_net *net;
    struct sv_cloud *cloud;
    struct sv_server server;
    struct sv_http *http[1 + SV_MAX_OWN_LISTENERS]; /* the main listener's, then those of dialects */
    int listen_fd[1 + SV_MAX_OWN_LISTENERS];        /* until http has them; -1 = none */
    struct sv_control *control;
    struct sv_tls tls;
    struct sv_hooks hooks;
    char *upload_dir;
    unsigned connections;
};

/* --- opening -------------------------------------------------------------------------------------------- */

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

static void on_tokens(void *arg)
{
    sv_begun_changed(arg);
}

static void on_news(void *arg, const char *key)
{
    sv_park_wake(arg, key);
}

static void on_ended(void *arg, const struct sv_id *startid)
{
    char key[64];
    snprintf(key, sizeof(key), SV_PARK_END "%s", startid->s);
    sv_park_wake(arg, key);
}

static void init_server(struct program *p)
{
    struct sv_server *s = &p->server;
    unsigned char run[4];
    sv_cond_init(&s->drained);
    pthread_mutex_init(&s->drain_lock, NULL);
    sv_random(run, sizeof(run));
    sv_hex(run, sizeof(run), s->id_prefix);
    s->api = p->api;
    s->guard = sv_guard_new();
    s->disk = sv_workers_new((unsigned)p->opt.workers, WORK_QUEUE);
    s->paths = sv_workers_new(PATH_THREADS, PATH_QUEUE);
    s->screens = sv_workers_new((unsigned)p->opt.workers, WORK_QUEUE);
    s->park = sv_park_new();
    s->metrics = sv_metrics_new(p->api);
    s->pages = sv_page_cache_new(p->api);
    p->connections = sv_process_connections(p->opt.connections);
    s->links = sv_links_new(p->connections);
    s->shares = sv_shares_new(p->connections);
    s->hangups = sv_hangups_new();
    s->metrics_public = p->opt.metrics_public;
    s->proxies = p->opt.proxies;
    s->cors = p->opt.cors;
    s->check_replies = p->opt.check_replies;
    s->log_requests = strcmp(p->opt.log_level, "debug") == 0 || strcmp(p->opt.log_level, "info") == 0;
}

static void free_server(struct sv_server *s)
{
    sv_hangups_free(s->hangups);
    sv_shares_free(s->shares);
    sv_links_free(s->links);
    sv_page_cache_free(s->pages);
    sv_metrics_free(s->metrics);
    sv_park_free(s->park);
    sv_workers_free(s->disk);
    sv_workers_free(s->paths);
    sv_workers_free(s->screens);
    sv_guard_free(s->guard);
    pthread_cond_destroy(&s->drained);
    pthread_mutex_destroy(&s->drain_lock);
}

static enum sv_err open_data(struct program *p, struct sv_error *err)
{
    SV_AUTOFREE char *traces = sv_traces(p->opt.data);
    const struct sv_db_options how = {.create = true,
                                      .inspect = true,
                                      .accept_old = p->opt.accept_old,
                                      .new_cloud = p->opt.new_cloud,
                                      .traces = traces};
    enum sv_err rc = sv_db_open(p->opt.data, &how, &p->db, err);
    if (rc)
        return rc;
    p->upload_dir = sv_asprintf("%s/upload", p->opt.data);
    p->server.db = p->db;
    p->server.upload_dir = p->upload_dir;
    sv_db_on_change(p->db, on_change, p->server.park);
    return sv_upload_prepare(p->upload_dir, err);
}

static enum sv_err open_net(struct program *p, struct sv_error *err)
{
    const struct sv_net_options how = {.data_dir = p->opt.data,
                                       .outer = p->opt.net_outer,
                                       .ovn_nb = p->opt.ovn_nb,
                                       .ovn_sb = p->opt.ovn_sb,
                                       .ovn_gateways = p->opt.ovn_gateways,
                                       .ovn_mtu = p->opt.ovn_mtu,
                                       .ovn_netdev = strcmp(p->opt.ovn_datapath, "netdev") == 0};
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
        .monitor_s = o->monitor_interval,
        .import_dirs = o->import_dirs,
        .placement = strcmp(o->placement, "pack") == 0 ? SV_PLACE_PACK : SV_PLACE_SPREAD,
        .vcpu_overcommit = (double)o->vcpu_overcommit,
        .news = on_news,
        .news_arg = p->server.park,
        .alarm =
            {
                .hooks = p->hooks.url,
                .hook_count = p->hooks.count,
                .keep_ms = o->alarm_keep_days * 24 * 3600 * 1000,
                .send = sv_hook_send,
                .send_arg = &p->hooks,
                .cert_ends = p->tls.ends,
            },
        .jobs =
            {
                .slots_per_host = (unsigned)o->slots_per_host,
                .requeue = o->requeue,
                .crash_point = o->crash_point,
                .keep_ms = o->keep_days * 24 * 3600 * 1000,
                .ended = on_ended,
                .ended_arg = p->server.park,
            },
    };
    enum sv_err rc = sv_cloud_new(&how, &p->cloud, err);
    if (rc)
        return rc;
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

/* `i` 0: the main listener; else that of dialect own[i - 1]. */
static enum sv_err open_http(struct program *p, unsigned i, struct sv_error *err)
{
    const struct sv_http_options how = {
        .fd = p->listen_fd[i],
        .on = i ? p->opt.own[i - 1].dialect : NULL,
        .metrics_only = i && !p->opt.own[i - 1].dialect,
        .threads = i ? 1 : (unsigned)p->opt.threads,
        .connections = p->connections,
        .tls = p->tls.cert ? &p->tls : NULL,
    };
    if (how.fd < 0)
        return SV_OK;
    p->listen_fd[i] = -1; /* theirs in any case */
    return sv_http_start(&p->server, &how, &p->http[i], err);
}

static enum sv_err open_sockets(struct program *p, struct sv_error *err)
{
    enum sv_err rc = sv_listen_open("listen", p->opt.listen, &p->listen_fd[0], err);
    for (unsigned i = 0; i < p->opt.own_count && !rc; i++)
        if (p->opt.own[i].listen)
            rc = sv_listen_open(p->opt.own[i].option, p->opt.own[i].listen, &p->listen_fd[1 + i], err);
    return rc;
}

static const char *listener_name(const struct program *p, unsigned i)
{
    if (i == 0)
        return "listening";
    return p->opt.own[i - 1].dialect ? p->opt.own[i - 1].dialect->name : "metrics";
}

static enum sv_err open_listeners(struct program *p, struct sv_error *err)
{
    char name[80] = "";
    enum sv_err rc = SV_OK;
    for (unsigned i = 0; i <= p->opt.own_count && !rc; i++) {
        if (p->listen_fd[i] < 0)
            continue;
        sv_listen_name(p->listen_fd[i], name, sizeof(name));
        rc = open_http(p, i, err);
        if (!rc)
            printf("starvirtd: %s on %s\n", listener_name(p, i), name);
    }
    fflush(stdout);
    return rc;
}

/* What needs the disk of the data directory. */
static enum sv_err open_parts(struct program *p, struct sv_error *err)
{
    enum sv_err rc = open_data(p, err);
    if (!rc)
        rc = open_net(p, err);
    return rc ? rc : open_cloud(p, err);
}

static void close_parts(struct program *p)
{
    const bool all_ended = sv_cloud_free(p->cloud);

    sv_begun_room_stop(p->server.begun);
    sv_db_close(p->db);
    if (all_ended)
        sv_net_close(p->net);
    sv_begun_room_free(p->server.begun);
    free(p->upload_dir);
    p->cloud = p->server.cloud = NULL;
    p->db = p->server.db = NULL;
    p->net = NULL;
    p->server.begun = NULL;
    p->upload_dir = NULL;
}

static bool passes(enum sv_err rc)
{
    return rc == SV_E_DISK_FULL || rc == SV_E_STORAGE_FULL || rc == SV_E_DB_IO;
}

/* A full disk, or one that does not answer: no reason to end. Until it is over health tells, and everybody else gets
 * the reason. SHUTTING_DOWN: told to end meanwhile. */
static enum sv_err open_when_possible(struct program *p, const sigset_t *ends, struct sv_error *err)
{
    static const struct timespec pause = {.tv_nsec = WAIT_AGAIN_MS * 1000000L};
    struct sv_error why = {0};
    char text[512];
    enum sv_err rc = open_parts(p, err);
    if (!passes(rc))
        return rc;
    sv_err_text(err, SV_LANG_EN, text, sizeof(text));
    sv_log(SV_LOG_WARN, "server.waits", "error", text, "detail", err->arg[0], NULL);
    atomic_store(&p->server.closed, rc == SV_E_DB_IO ? SV_E_DB_IO : SV_E_DISK_FULL);
    close_parts(p);
    rc = open_listeners(p, err);
    sv_notify("READY=1\nSTATUS=waiting for the disk");
    while (!rc) {
        if (sigtimedwait(ends, NULL, &pause) > 0)
            return sv_fail(err, SV_E_SHUTTING_DOWN, SV_F_NONE);
        rc = open_parts(p, &why);
        if (!rc)
            return SV_OK;
        *err = why;
        if (passes(rc)) {
            close_parts(p);
            rc = SV_OK;
        }
    }
    return rc;
}

/* Whatever can be wrong with options comes first: it is told before anything is touched. */
static enum sv_err open_all(struct program *p, const sigset_t *ends, struct sv_error *err)
{
    char name[80] = "";
    enum sv_err rc = SV_OK;
    if (p->opt.tls_cert)
        rc = sv_tls_load(p->opt.tls_cert, p->opt.tls_key, &p->tls, err);
    if (!rc)
        rc = sv_hooks_open(p->opt.hooks, p->opt.hook_secret, p->opt.hook_private, &p->hooks, err);
    if (!rc)
        rc = open_sockets(p, err);
    if (!rc) {
        sv_listen_name(p->listen_fd[0], name, sizeof(name));
        rc = open_when_possible(p, ends, err);
    }
    if (!rc) {
        /* Connections may be open by now: from here on it is there until they are gone. */
        p->server.begun = sv_begun_room_new(p->db);
        sv_db_on_tokens(p->db, on_tokens, p->server.begun);
        rc = open_consoles(p, err);
    }
    if (!rc) {
        atomic_store(&p->server.closed, SV_OK);
        rc = open_listeners(p, err);
    }
    if (rc)
        return rc;
    p->control = sv_control_start(p->db, p->opt.data);
    sv_notify("READY=1");
    sv_log(SV_LOG_INFO, "server.ready", "version", STARVIRT_VERSION, "listen", name, "data", p->opt.data, NULL);
    return SV_OK;
}

/* --- closing -------------------------------------------------------------------------------------------- */

static void stop_serving(struct program *p)
{
    if (!p->http[0])
        return;
    sv_notify("STOPPING=1");
    sv_log(SV_LOG_INFO, "server.stopping", NULL);
    for (unsigned i = 0; i <= p->opt.own_count; i++)
        if (p->http[i])
            sv_http_quiesce(p->http[i]);
    atomic_store(&p->server.stopping, true);
    sv_park_stop(p->server.park);
    sv_links_hurry(p->server.links, SEND_LIMIT_S);
    sv_consoles_stop(p->server.consoles, CONSOLE_LIMIT_MS);
}

static void close_all(struct program *p)
{
    stop_serving(p);
    if (p->db)
        sv_db_hurry(p->db);
    if (p->cloud)
        sv_cloud_stop(p->cloud, STOP_LIMIT_MS);
    if (p->http[0] && !sv_server_drain(&p->server, DRAIN_LIMIT_MS) && atomic_load(&p->server.handed) > 0) {
        /* Somebody still holds a request; what was accepted is on disk, so leaving is safe, waiting is not. */
        sv_log(SV_LOG_WARN, "server.left", "requests", sv_dec(atomic_load(&p->server.handed)).s, NULL);
        _exit(EXIT_SUCCESS);
    }
    for (unsigned i = 0; i <= p->opt.own_count; i++) {
        sv_http_stop(p->http[i]);
        if (p->listen_fd[i] >= 0)
            close(p->listen_fd[i]);
    }
    sv_workers_free(p->server.disk);
    sv_workers_free(p->server.paths);
    sv_workers_free(p->server.screens);
    p->server.disk = p->server.paths = p->server.screens = NULL;
    sv_consoles_stop(p->server.consoles, 0); /* of a start that failed */
    sv_consoles_free(p->server.consoles);
    sv_control_stop(p->control);
    close_parts(p);
    free_server(&p->server);
    sv_tls_free(&p->tls);
    sv_hooks_close(&p->hooks);
}

/* --- modes ---------------------------------------------------------------------------------------------- */

static int serve(struct program *p)
{
    struct sv_error err = {0};
    sigset_t ends;
    int signal_number, code = EXIT_SUCCESS;
    set_log_level(p->opt.log_level);
    sv_room_keep(p->opt.reserve < 0 ? -1 : p->opt.reserve * SV_MIB);
    sv_process_prepare(&ends);
    if (sv_process_check(&err))
        return complain(&err);
    for (unsigned i = 0; i <= p->opt.own_count; i++)
        p->listen_fd[i] = -1;
    init_server(p);
    const enum sv_err rc = open_all(p, &ends, &err);
    if (rc == SV_E_SHUTTING_DOWN)
        sv_log(SV_LOG_INFO, "server.stopping", NULL);
    else if (rc)
        code = complain(&err);
    else
        sigwait(&ends, &signal_number);
    close_all(p);
    if (code == EXIT_SUCCESS)
        sv_log(SV_LOG_INFO, "server.stopped", NULL);
    return code;
}

static int dump_routes(const struct sv_api *api)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    sv_describe_dump(api, &out);
    fwrite(out.p, 1, out.n, stdout);
    return EXIT_SUCCESS;
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
    fwrite(out.p, 1, out.n, stdout);
    return EXIT_SUCCESS;
}

static int run(struct program *p)
{
    struct sv_error err = {0};
    switch (p->opt.mode) {
    case SV_MODE_HELP:
        sv_options_help(stdout, sv_dialects);
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
    struct sv_buf why = {0};
    int code = EXIT_BAD_OPTION;
    sv_std_open();
    if (argc == 4 && strcmp(argv[1], "--thaw") == 0) /* started by ourselves only, it has no options */
        return sv_hv_thaw(argv[2], argv[3]);
    if (!sv_options_parse(argc, argv, sv_dialects, &p.opt, &why))
        code = run(&p);
    else
        fprintf(stderr, "starvirtd: %s\n", why.p);
    sv_buf_free(&why);
    const bool printed = p.opt.mode == SV_MODE_SERVE || sv_std_close("starvirtd"); /* a server is asked for more */
    sv_options_free(&p.opt);
    return printed || code != EXIT_SUCCESS ? code : EXIT_FAILURE;
}
