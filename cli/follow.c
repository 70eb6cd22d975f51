#include "cli/cli.h"
#include "starvirt/clock.h"
#include "starvirt/store_job.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_S = 25, TRIES = 20, TRY_MS = 500, BAR = 30 };

struct follow {
    struct sv_settings *s;
    int64_t since; /* last serial seen */
    bool bar;      /* stderr is a terminal */
    int64_t result;
    const char *info;
};

void sv_bar_clear(void)
{
    fputs("\r\033[K", stderr);
}

void sv_bar_show(int64_t percent, const char *name)
{
    fputs("\r\033[K[", stderr);
    for (int64_t i = 0; i < BAR; i++)
        fputc(i * 100 < percent * BAR ? '#' : '.', stderr);
    fprintf(stderr, "] %3lld%% ", (long long)percent);
    sv_print_clean(stderr, name);
    fflush(stderr);
}

static void clear_bar(const struct follow *f)
{
    if (f->bar)
        sv_bar_clear();
}

static void print_bar(const struct follow *f, const struct sv_node *data)
{
    int64_t percent;
    if (!f->bar || !sv_parse_int(sv_node_text(data, "job.percent"), &percent) || percent < 0 || percent > 100)
        return;
    sv_bar_show(percent, sv_node_text(data, "job.name"));
}

static void print_lines(struct follow *f, const struct sv_node *data)
{
    const struct sv_node *logs = sv_node_get(data, "job.logs");
    static const char *const parts[] = {"log.time", "log.level", "log.content"};
    for (const struct sv_node *l = logs && logs->kind == SV_NODE_LIST ? logs->child : NULL; l; l = l->next) {
        int64_t serial;
        if (!sv_parse_int(sv_node_text(l, "log.serial"), &serial) || serial <= f->since)
            continue;
        f->since = serial;
        clear_bar(f);
        for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
            sv_print_clean(stdout, sv_node_text(l, parts[i]));
            putchar(i + 1 < sizeof(parts) / sizeof(parts[0]) ? ' ' : '\n');
        }
        fflush(stdout);
    }
}

/* One long poll. The server may be away for a moment: a restart does not end a job. */
static bool poll_once(struct follow *f, const struct sv_target *base, struct sv_answer *ret)
{
    struct sv_target t = *base;
    sv_target_set(&t, "since", sv_dec(f->since).s, f->s->arena);
    sv_target_set(&t, "wait", sv_dec(WAIT_S).s, f->s->arena);
    for (int i = 1;; i++) {
        if (sv_client_call(f->s, &t, i < TRIES, ret) && ret->status != 503)
            return true;
        if (i == TRIES)
            return false;
        const struct timespec pause = {.tv_nsec = TRY_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
}

/* Each poll's memory goes with it: a job may take hours. */
static bool step(struct follow *f, const struct sv_target *base, bool *ret_failed)
{
    struct sv_arena *outer = f->s->arena, *mine SV_CLEANUP(sv_arena_freep) = sv_arena_new();
    struct sv_answer a = {0};
    f->s->arena = mine;
    bool reached = poll_once(f, base, &a);
    f->s->arena = outer;
    *ret_failed = !reached || !a.root || !a.ok;
    if (*ret_failed) {
        clear_bar(f);
        if (reached)
            sv_show_failure(&a);
        return false;
    }
    const struct sv_node *data = sv_node_get(a.root, "data");
    print_lines(f, data);
    if (!sv_parse_int(sv_node_text(data, "job.result"), &f->result))
        f->result = SV_JOB_FAILED;
    bool ended = f->result != SV_JOB_RUNNING && f->result != SV_JOB_QUEUED;
    if (ended)
        f->info = sv_arena_strdup(outer, sv_node_text(data, "job.resultinfo"));
    else
        print_bar(f, data);
    return !ended;
}

static const char *result_name(int64_t result)
{
    static const char *const names[] = {"done", "failed",    "running", "queued",
                                        "lost", "timed out", "aborted", "cancelled"};
    return result >= 0 && result < (int64_t)(sizeof(names) / sizeof(names[0])) ? names[result] : "ended";
}

int sv_follow(struct sv_settings *s, const struct sv_api *api, const char *startid)
{
    struct follow f = {.s = s, .bar = isatty(STDERR_FILENO) == 1};
    struct sv_target t;
    bool failed = false;
    if (!sv_target_find(api, "GET", "joblog/{startid}", s->arena, &t))
        return SV_EXIT_FAILED;
    sv_target_set(&t, "startid", startid, s->arena);
    while (step(&f, &t, &failed))
        ;
    if (failed)
        return SV_EXIT_FAILED;
    clear_bar(&f);
    FILE *out = f.result == SV_JOB_DONE ? stdout : stderr;
    fprintf(out, "%s: %s%s", startid, result_name(f.result), f.info && *f.info ? ": " : "");
    sv_print_clean(out, f.info ? f.info : "");
    fputc('\n', out);
    return f.result == SV_JOB_DONE ? SV_EXIT_OK : SV_EXIT_FAILED;
}
