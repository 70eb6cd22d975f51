/* The options of starvirtd: one table serves the command line, the configuration file and --help. */
#ifndef STARVIRT_SERVER_OPTIONS_H
#define STARVIRT_SERVER_OPTIONS_H

#include "starvirt/error.h"
#include "starvirt/mem.h"

#include <stdio.h>

enum { SV_MAX_CONNECT = 64 };

/* What the program is asked to do. */
enum sv_mode { SV_MODE_SERVE, SV_MODE_HELP, SV_MODE_VERSION, SV_MODE_DUMP_ROUTES, SV_MODE_DUMP_KINDS };

struct sv_options {
    enum sv_mode mode;
    const char *config;
    const char *listen;
    const char *data;
    const char *connect[SV_MAX_CONNECT];
    unsigned connect_count;
    const char *network;
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
    int64_t slots_per_host;
    bool requeue;
    int64_t keep_days;
    const char *crash_point; /* NULL = none */
    const char *backup_dir;  /* NULL = DIR/backups */
    int64_t backup_keep;     /* of a VM; 0 = all */
    const char *import_dirs; /* NULL = anywhere */
    bool metrics_public;
    const char *console_url;                /* NULL = as the client reached us */
    int64_t console_token, console_silence; /* [s] */
    int64_t threads;                        /* I/O */
    int64_t workers;                        /* requests that block */
    struct sv_arena *texts;
};

/* Defaults, then the file of --config, then the command line. CONFIG with one clear sentence in arg[0];
 * `ret` is to be freed in any case. */
enum sv_err sv_options_parse(int argc, char *const *argv, struct sv_options *ret, struct sv_error *err);
void sv_options_free(struct sv_options *o);
void sv_options_help(FILE *out);

#endif
