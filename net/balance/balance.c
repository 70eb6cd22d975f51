#include "net/balance/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void choose(struct place *p, const struct sv_net_balancer *v, size_t n, bool udp)
{
    p->want = (struct balancers){.v = sv_alloc((n + 1) * sizeof(*p->want.v))};
    for (size_t i = 0; i < n; i++)
        if ((v[i].proto == SV_NET_BALANCE_UDP) == udp)
            p->want.v[p->want.n++] = &v[i];
}

static enum sv_err ensure(struct place *p, const struct sv_net_balancer *v, size_t n, struct sv_error *err)
{
    choose(p, v, n, false);
    enum sv_err rc = haproxy_ensure(p, err);
    free(p->want.v);
    choose(p, v, n, true);
    /* One that fails keeps nothing from the other. */
    const enum sv_err udp = nginx_ensure(p, rc ? NULL : err);
    free(p->want.v);
    return rc ? rc : udp;
}

static void place_init(struct place *p, const struct sv_deadline *d, int netns_fd, const char *dir)
{
    *p = (struct place){.deadline = d ? *d : (struct sv_deadline){0}, .netns_fd = netns_fd, .dir = dir};
}

enum sv_err balance_remove(const struct sv_deadline *d, int netns_fd, const char *dir, struct sv_error *err)
{
    struct place p;
    if (access(dir, F_OK) != 0 && errno == ENOENT)
        return SV_OK;
    place_init(&p, d, netns_fd, dir);
    enum sv_err rc = ensure(&p, NULL, 0, err);
    if (!rc && rmdir(dir) != 0 && errno != ENOENT)
        rc = net_errno(err, "remove", dir);
    return rc;
}

enum sv_err balance_apply(const struct sv_deadline *d, int netns_fd, const char *dir, const struct sv_net_balancer *v,
                          size_t n, struct sv_error *err)
{
    struct place p;
    if (n == 0)
        return balance_remove(d, netns_fd, dir, err);
    enum sv_err rc = place_prepare(netns_fd, err);
    if (rc)
        return rc;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return net_errno(err, "create", dir);
    place_init(&p, d, netns_fd, dir);
    return ensure(&p, v, n, err);
}

enum sv_err balance_whole(const struct sv_deadline *d, int netns_fd, const char *dir, bool *ret, struct sv_error *err)
{
    struct place p;
    place_init(&p, d, netns_fd, dir);
    const enum sv_err rc = haproxy_whole(&p, ret, err);
    return rc || !*ret ? rc : nginx_whole(&p, ret, err);
}

enum sv_err balance_nodes(const struct sv_deadline *d, const char *dir, sv_net_node_fn *row, void *arg,
                          struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf stat = {0};
    SV_AUTOFREE char *path = sv_asprintf("%s/haproxy.cfg", dir);
    if (access(path, F_OK) != 0)
        return SV_OK;
    const enum sv_err rc = haproxy_ask(d, dir, "show stat", &stat, err);
    if (!rc)
        running_facts(&stat, row, arg);
    return rc;
}
