#include "server/process.h"
#include "starvirt/log.h"
#include "starvirt/mem.h"

#include <ctype.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    OTHER_FILES = 512, /* descriptors for the database, hosts, images, children, and a library's own */
    LEAST_CONNECTIONS = 64,
    LEAST_FILES = OTHER_FILES + LEAST_CONNECTIONS * 5 / 4, /* those cut off have theirs a moment longer */
};

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

void sv_process_prepare(sigset_t *ret_ends)
{
    set_limits();
    sigemptyset(ret_ends);
    sigaddset(ret_ends, SIGTERM);
    sigaddset(ret_ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, ret_ends, NULL);
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
}

/* --- the time zone ---------------------------------------------------------------------------------------- */

/* "UTC", "<+08>": what a rule begins with, and may have again for summer. */
static const char *zone_name(const char *p)
{
    const char *from = p;
    if (*p == '<') {
        for (p++; isalnum((unsigned char)*p) || *p == '+' || *p == '-'; p++)
            ;
        return *p == '>' && p - from > 3 ? p + 1 : NULL;
    }
    while (isalpha((unsigned char)*p))
        p++;
    return p - from >= 3 ? p : NULL;
}

/* "-8", "+5:30" */
static const char *zone_offset(const char *p)
{
    p += *p == '+' || *p == '-';
    if (!isdigit((unsigned char)*p))
        return NULL;
    while (isdigit((unsigned char)*p) || *p == ':')
        p++;
    return p;
}

/* "CST-8", "CET-1CEST,M3.5.0,M10.5.0/3": a zone without a file. Days of change are taken on trust. */
static bool is_rule(const char *tz)
{
    const char *p = zone_name(tz);
    p = p ? zone_offset(p) : NULL;
    if (!p || !*p)
        return p != NULL;
    p = zone_name(p);
    if (p && *p && *p != ',')
        p = zone_offset(p);
    return p && (*p == '\0' || *p == ',');
}

static bool is_zone_file(const char *path)
{
    char magic[4];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const bool is = fd >= 0 && read(fd, magic, sizeof(magic)) == sizeof(magic) && memcmp(magic, "TZif", 4) == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

static bool is_zone(const char *tz)
{
    const char *dir = getenv("TZDIR");
    tz += *tz == ':';
    /* an empty one is UTC; the names of UTC mean what any unknown name comes to */
    if (*tz == '\0' || strcmp(tz, "UTC") == 0 || strcmp(tz, "GMT") == 0 || strcmp(tz, "Etc/UTC") == 0 || is_rule(tz))
        return true;
    SV_AUTOFREE char *path =
        *tz == '/' ? sv_strdup(tz) : sv_asprintf("%s/%s", dir && *dir ? dir : "/usr/share/zoneinfo", tz);
    return is_zone_file(path);
}

/* --- checks ------------------------------------------------------------------------------------------------- */

enum sv_err sv_process_check(struct sv_error *err)
{
    const char *tz = getenv("TZ");
    struct rlimit files;
    if (tz && !is_zone(tz)) {
        SV_AUTOFREE char *text = sv_asprintf(
            "TZ '%.40s' is no time zone of this machine, such as Asia/Shanghai or UTC (package tzdata)", tz);
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, text);
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < LEAST_FILES) {
        SV_AUTOFREE char *text = sv_asprintf("%llu file descriptors are too few: at least %d, better 8192 (ulimit -n)",
                                             (unsigned long long)files.rlim_cur, LEAST_FILES);
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, text);
    }
    return SV_OK;
}

unsigned sv_process_connections(int64_t wanted)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY)
        return (unsigned)wanted;
    int64_t most = files.rlim_cur > OTHER_FILES ? (int64_t)(files.rlim_cur - OTHER_FILES) / 5 * 4 : 0;
    if (most < LEAST_CONNECTIONS)
        most = LEAST_CONNECTIONS;
    if (most >= wanted)
        return (unsigned)wanted;
    sv_log(SV_LOG_WARN, "server.few_descriptors", "limit", sv_dec((int64_t)files.rlim_cur).s, "connections",
           sv_dec(most).s, NULL);
    return (unsigned)most;
}
