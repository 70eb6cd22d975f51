/* The options of starvirtd: one table serves the command line, the configuration file and --help. */
#ifndef STARVIRT_SERVER_OPTIONS_H
#define STARVIRT_SERVER_OPTIONS_H

#include "starvirt/api.h"
#include "starvirt/error.h"
#include "starvirt/mem.h"

#include <stdio.h>

struct sv_proxies;
struct sv_cors;

enum { SV_MAX_CONNECT = 64, SV_MAX_OWN_LISTENERS = 8 };

/* A dialect with a listener of its own, or (NULL, the last one) that of metrics. */
struct sv_own_listener {
    const struct sv_dialect *dialect;
    const char *option, *listen; /* its name and value; NULL = off */
};

/* What the program is asked to do. */
enum sv_mode { SV_MODE_SERVE, SV_MODE_HELP, SV_MODE_VERSION, SV_MODE_DUMP_ROUTES, SV_MODE_DUMP_KINDS };

struct sv_options {
    enum sv_mode mode;
    const char *config; /* this and all paths: from the root */
    const char *listen;
    const char *data;
    const char *connect[SV_MAX_CONNECT];
    unsigned connect_count;
    const char *network;
    const char *net_outer;                      /* NULL = there is none */
    const char *ovn_nb, *ovn_sb, *ovn_gateways; /* NULL = not given */
    const char *ovn_datapath;
    int64_t ovn_mtu;
    const char *log_level;
    const char *tls_cert, *tls_key; /* NULL = plain HTTP; both or none */
    const char *supernet;           /* as given; the next two are it, parsed */
    uint32_t supernet_base;
    unsigned supernet_prefix;
    int64_t vpc_prefix;
    const char *domain_type;
    const char *image_dir; /* NULL = DIR/images */
    int64_t hv_call_limit; /* [s] */
    int64_t hv_threads;
    int64_t vcpu_overcommit;
    const char *placement;
    int64_t slots_per_host;
    bool requeue;
    int64_t keep_days;
    const char *crash_point;         /* NULL = none */
    const char *backup_dir;          /* NULL = DIR/backups */
    int64_t backup_keep;             /* of a VM; 0 = all */
    int64_t monitor_interval;        /* [s]; 0 = never */
    const char *import_dirs;         /* between commas; NULL = anywhere */
    int64_t reserve;                 /* [MiB] that stays free; -1 = by the size of the file system */
    const char *hooks, *hook_secret; /* URLs between commas, a file; NULL = not given */
    bool hook_private;
    int64_t alarm_keep_days;
    bool metrics_public;
    const char *metrics_listen;       /* NULL = off; also the last of `own` */
    const char *trusted_proxies;      /* as given; NULL = none. The next is it, parsed */
    const struct sv_proxies *proxies; /* NULL = none */
    const char *cors_origins;         /* as given; NULL = none. The next is it, parsed */
    const struct sv_cors *cors;       /* NULL = none */
    bool check_replies;
    bool accept_old, new_cloud; /* databases that are refused otherwise */
    struct sv_own_listener own[SV_MAX_OWN_LISTENERS];
    unsigned own_count;
    const char *console_url;                /* NULL = as the client reached us */
    int64_t console_token, console_silence; /* [s] */
    int64_t threads;                        /* I/O */
    int64_t connections;                    /* at a time */
    int64_t workers;                        /* requests that block */
    struct sv_arena *texts;
};

/* Defaults, then the file of --config, then the command line. CONFIG with one clear sentence in `why`, which starts
 * empty; `ret` is to be freed in any case. Paths come out from the root: one on the command line is relative to the
 * working directory, one in the file to the directory of the file. `dialects` (NULL-terminated): those with a listener
 * of their own have an option of their name. */
enum sv_err sv_options_parse(int argc, char *const *argv, const struct sv_dialect *const *dialects,
                             struct sv_options *ret, struct sv_buf *why);
void sv_options_free(struct sv_options *o);
void sv_options_help(FILE *out, const struct sv_dialect *const *dialects);

#endif
