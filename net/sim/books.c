#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "net/sim/internal.h"

enum { LOOK_MS = 10, SWITCH_MAX = 64 * 1024 };

static const char *const kinds[SIM_NET_KINDS] = {[SIM_NET_VPC] = "vpc",
                                                 [SIM_NET_ROUTER] = "router",
                                                 [SIM_NET_GROUP] = "group",
                                                 [SIM_NET_FILTER] = "nic",
                                                 [SIM_NET_HOST] = "host"};

static enum sv_err failed(struct sv_error *err, const char *path)
{
    SV_AUTOFREE char *why = sv_asprintf("%s: %s", path, strerrordesc_np(errno));

    return sv_fail(err, SV_E_NETWORK, SV_F_NONE, why);
}

static char *path_of(const struct sim_net *net, enum sim_net_kind kind, const struct sv_id *id)
{
    return sv_asprintf("%s/%s/%s", net->dir, kinds[kind], id->s);
}

static enum sv_err make_dir(const char *path, struct sv_error *err)
{
    return mkdir(path, 0700) && errno != EEXIST ? failed(err, path) : SV_OK;
}

enum sv_err sim_net_books_open(const char *dir, struct sv_error *err)
{
    SV_AUTOFREE char *above = sv_strdup(dir);
    enum sv_err rc;

    *strrchr(above, '/') = '\0';
    rc = make_dir(above, err);
    if (!rc)
        rc = make_dir(dir, err);
    for (unsigned i = 0; !rc && i < SIM_NET_KINDS; i++) {
        SV_AUTOFREE char *path = sv_asprintf("%s/%s", dir, kinds[i]);

        rc = make_dir(path, err);
    }
    return rc;
}

static bool write_file(const char *path, const struct sv_buf *text)
{
    FILE *f = fopen(path, "we");
    bool good = f != NULL;

    if (f && text->n)
        good = fwrite(text->p, 1, text->n, f) == text->n;
    if (f)
        good = fclose(f) == 0 && good;
    return good;
}

enum sv_err sim_net_put(struct sim_net *net, enum sim_net_kind kind, const struct sv_id *id, const struct sv_buf *text,
                        struct sv_error *err)
{
    SV_AUTOFREE char *path = path_of(net, kind, id);
    SV_AUTOFREE char *fresh = sv_asprintf("%s/.%s", net->dir, id->s);

    if (write_file(fresh, text) && rename(fresh, path) == 0)
        return SV_OK;
    return failed(err, path);
}

enum sv_err sim_net_drop(struct sim_net *net, enum sim_net_kind kind, const struct sv_id *id, struct sv_error *err)
{
    SV_AUTOFREE char *path = path_of(net, kind, id);

    return unlink(path) && errno != ENOENT ? failed(err, path) : SV_OK;
}

enum sv_err sim_net_list(struct sim_net *net, enum sim_net_kind kind, void (*row)(void *arg, const struct sv_id *id),
                         void *arg, struct sv_error *err)
{
    SV_AUTOFREE char *path = sv_asprintf("%s/%s", net->dir, kinds[kind]);
    DIR *d = opendir(path);

    if (!d)
        return failed(err, path);
    for (const struct dirent *e; (e = readdir(d));) {
        const struct sv_id id = sv_id_from(e->d_name);

        if (!sv_id_empty(&id))
            row(arg, &id);
    }
    closedir(d);
    return SV_OK;
}

/* False: it is not there, or cannot be read (errno). */
static bool read_file(const char *path, struct sv_buf *ret)
{
    FILE *f = fopen(path, "re");
    char part[4096];
    size_t n;
    bool good;

    if (!f)
        return false;
    while ((n = fread(part, 1, sizeof(part), f)) > 0 && ret->n < SWITCH_MAX * 16)
        sv_buf_add(ret, part, n);
    good = !ferror(f);
    fclose(f);
    return good;
}

enum sv_err sim_net_get(struct sim_net *net, enum sim_net_kind kind, const struct sv_id *id, struct sv_buf *ret,
                        bool *ret_there, struct sv_error *err)
{
    SV_AUTOFREE char *path = path_of(net, kind, id);

    *ret_there = read_file(path, ret);
    return *ret_there || errno == ENOENT ? SV_OK : failed(err, path);
}

static bool has_word(const char *text, const char *word)
{
    const size_t n = strlen(word);

    for (const char *p = text; *p; p += strcspn(p, " \n")) {
        p += strspn(p, " \n");
        if (strncmp(p, word, n) == 0 && strchr(" \n", p[n]))
            return true;
    }
    return false;
}

static bool is_on(const struct sim_net *net, const char *name, const char *op, const struct sv_id *id)
{
    SV_AUTOFREE char *path = sv_asprintf("%s/%s", net->dir, name);
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};

    return read_file(path, &text) && text.p &&
           (has_word(text.p, op) || has_word(text.p, id->s) || has_word(text.p, "all"));
}

void sim_net_dies(const struct sim_net *net, const char *name, const char *op, const struct sv_id *id)
{
    if (is_on(net, name, op, id))
        raise(SIGKILL);
}

bool sim_net_second(const struct sim_net *net, const struct sv_id *router)
{
    return is_on(net, "second", "router_look", router);
}

enum sv_err sim_net_switches(struct sim_net *net, const char *op, const struct sv_id *id, const struct sv_deadline *d,
                             struct sv_error *err)
{
    static const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};

    while (is_on(net, "hang", op, id)) {
        if (sv_deadline_over(d) || sv_deadline_cancelled(d))
            return sv_fail(err, SV_E_NETWORK, SV_F_NONE, "the engine did not answer in time");
        nanosleep(&pause, NULL);
    }
    sim_net_dies(net, "die-before", op, id);
    return is_on(net, "fail", op, id) ? sv_fail(err, SV_E_NETWORK, SV_F_NONE, "the switch says so") : SV_OK;
}
