/* One dnsmasq a VPC, inside its namespace: only DHCP, only to the NICs that are listed.
 *
 * Its whole configuration is its command line, so a look at the process tells whether it is right. NICs
 * that are added are read in on SIGHUP. When one goes, dnsmasq is restarted with a lease file that no
 * longer holds it: dnsmasq keeps its leases in memory, would go on renewing that one, and would refuse
 * the address to the next NIC that gets it; nothing but a restart certainly makes it forget. That takes
 * some 20 ms, in which a guest's request is merely repeated. */
#include "net/linux/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "starvirt/text.h"

enum { DHCP_ARGS = 32 };

struct dhcp {
    const struct vpc *v;
    char *hosts, *leases, *pid_file;
    char *pending; /* exists from before the hosts file changes until dnsmasq was told */
    char *argv[DHCP_ARGS];
    unsigned argc;
    int netns_fd;
    struct daemon daemon;
};

/* --- the command line --- */

static void arg(struct dhcp *h, char *owned)
{
    h->argv[h->argc++] = owned;
    h->argv[h->argc] = NULL;
}

static void build_argv(struct dhcp *h)
{
    static const char *const fixed[] = {"--conf-file=/dev/null", "--port=0", "--no-resolv", "--no-hosts",
                                        "--bind-interfaces", ("--interface=" GATEWAY_DEV), "--except-interface=lo",
                                        "--dhcp-authoritative", "--dhcp-ignore=tag:!known", "--no-ping", "--quiet-dhcp",
                                        /* Name servers: none, rather than ourselves, which serve no names. */
                                        "--dhcp-option=option:dns-server", "--user=root", "--group=root"};
    const struct sv_net_vpc *w = h->v->want;
    char base[SV_IP4_LEN], mask[SV_IP4_LEN], gateway[SV_IP4_LEN];
    sv_ip4_format(w->base, base);
    sv_ip4_format(w->base + 1, gateway);
    sv_ip4_format(~(uint32_t)0 << (32 - w->prefix), mask);
    arg(h, sv_strdup(h->v->work.net->dnsmasq));
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        arg(h, sv_strdup(fixed[i]));
    arg(h, sv_asprintf("--dhcp-range=%s,static,%s,12h", base, mask));
    arg(h, sv_asprintf("--dhcp-option=option:router,%s", gateway));
    arg(h, sv_asprintf("--dhcp-lease-max=%u", w->prefix > 16 ? 1u << (32 - w->prefix) : 65536u));
    arg(h, sv_asprintf("--dhcp-hostsfile=%s", h->hosts));
    arg(h, sv_asprintf("--dhcp-leasefile=%s", h->leases));
    arg(h, sv_asprintf("--pid-file=%s", h->pid_file));
}

static void dhcp_open(const struct vpc *v, struct dhcp *h)
{
    *h = (struct dhcp){.v = v, .daemon = {.pidfd = -1}};
    h->netns_fd = netns_open(v->names.netns_path);
    h->hosts = sv_asprintf("%s/hosts", v->names.dir);
    h->leases = sv_asprintf("%s/leases", v->names.dir);
    h->pid_file = sv_asprintf("%s/dnsmasq.pid", v->names.dir);
    h->pending = sv_asprintf("%s/pending", v->names.dir);
    build_argv(h);
}

static void dhcp_close(struct dhcp *h)
{
    daemon_forget(&h->daemon);
    fd_closep(&h->netns_fd);
    for (unsigned i = 0; i < h->argc; i++)
        free(h->argv[i]);
    free(h->hosts);
    free(h->leases);
    free(h->pid_file);
    free(h->pending);
}

static enum sv_err find(struct dhcp *h, struct sv_error *err)
{
    SV_AUTOFREE char *mark = sv_asprintf("--pid-file=%s", h->pid_file);
    const struct daemon_mark of = {"dnsmasq", mark};
    return daemon_find(&of, h->pid_file, (const char *const *)h->argv, h->netns_fd, &h->daemon, err);
}

/* --- starting --- */

/* It stays root, since DIR is closed to everybody else, but with no more power than it needs. */
static enum sv_err start(const struct dhcp *h, struct sv_error *err)
{
    const char *argv[DHCP_ARGS + 8];
    size_t n = 0;
    if (h->netns_fd < 0) /* never on the machine's own network */
        return sv_fail(err, SV_E_NETWORK, SV_F_NONE, "the namespace of the VPC is gone");
    argv[n++] = h->v->work.net->setpriv;
    argv[n++] = "--no-new-privs";
    argv[n++] = "--inh-caps=-all";
    argv[n++] = "--bounding-set=-all,+net_admin,+net_raw,+net_bind_service,+setgid,+setuid";
    argv[n++] = "--";
    for (unsigned i = 0; i < h->argc; i++)
        argv[n++] = h->argv[i];
    argv[n] = NULL;
    /* Returns once the socket is bound and the pid file written; what runs on is its own session. */
    return tool_run(&h->v->work, argv, NULL, h->netns_fd, err);
}

/* dnsmasq writes its leases until it ends, so they are filtered only after that. */
static enum sv_err drop_leases(const struct dhcp *h, const struct sv_net_nic *nics, size_t n, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf is = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf keep = {0};
    bool changed;
    enum sv_err rc = file_read(h->leases, &is, err);
    if (!rc && leases_filter(&is, nics, n, &keep))
        rc = file_write(h->leases, keep.p, keep.n, &changed, err);
    return rc;
}

static enum sv_err restart(struct dhcp *h, const struct sv_buf *hosts, const struct sv_net_nic *nics, size_t n,
                           struct sv_error *err)
{
    bool changed;
    enum sv_err rc = daemon_stop(&h->daemon, &h->v->work.deadline, err);
    if (!rc)
        rc = drop_leases(h, nics, n, err);
    if (!rc)
        rc = file_write(h->hosts, hosts->p, hosts->n, &changed, err);
    if (!rc)
        rc = start(h, err);
    return rc ? rc : file_remove(h->pending, err);
}

static enum sv_err reload(struct dhcp *h, const struct sv_buf *hosts, struct sv_error *err)
{
    bool changed;
    enum sv_err rc = file_write(h->pending, "", 0, &changed, err);
    if (!rc)
        rc = file_write(h->hosts, hosts->p, hosts->n, &changed, err);
    if (!rc && !daemon_signal(&h->daemon, SIGHUP))
        rc = net_errno(err, "signal", "dnsmasq");
    return rc ? rc : file_remove(h->pending, err);
}

/* --- the whole --- */

struct seen {
    struct sv_buf hosts, old_hosts;
    bool stale; /* there are leases of NICs that are none */
};

static void seen_free(struct seen *s)
{
    sv_buf_free(&s->hosts);
    sv_buf_free(&s->old_hosts);
}

static enum sv_err look(struct dhcp *h, const struct sv_net_nic *nics, size_t n, struct seen *ret, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf leases = {0};
    SV_CLEANUP(sv_buf_free) struct sv_buf kept = {0};
    enum sv_err rc = hosts_text(nics, n, &ret->hosts, err);
    if (!rc)
        rc = file_read(h->hosts, &ret->old_hosts, err);
    if (!rc)
        rc = file_read(h->leases, &leases, err);
    if (!rc)
        rc = find(h, err);
    ret->stale = !rc && leases_filter(&leases, nics, n, &kept);
    return rc;
}

static bool runs_rightly(const struct dhcp *h, const struct seen *s)
{
    return h->daemon.pid && h->daemon.exact && !s->stale;
}

static bool knows_all(const struct dhcp *h, const struct seen *s)
{
    return same_text(&s->old_hosts, &s->hosts) && access(h->pending, F_OK) != 0;
}

enum sv_err dhcp_ensure(const struct vpc *v, const struct sv_net_nic *nics, size_t n, struct sv_error *err)
{
    SV_CLEANUP(dhcp_close) struct dhcp h;
    SV_CLEANUP(seen_free) struct seen s = {0};
    dhcp_open(v, &h);
    enum sv_err rc = look(&h, nics, n, &s, err);
    if (rc)
        return rc;
    if (!runs_rightly(&h, &s) || !hosts_only_added(&s.old_hosts, &s.hosts))
        return restart(&h, &s.hosts, nics, n, err);
    return knows_all(&h, &s) ? SV_OK : reload(&h, &s.hosts, err);
}

enum sv_err dhcp_whole(const struct vpc *v, const struct sv_net_nic *nics, size_t n, bool *ret, struct sv_error *err)
{
    SV_CLEANUP(dhcp_close) struct dhcp h;
    SV_CLEANUP(seen_free) struct seen s = {0};
    dhcp_open(v, &h);
    const enum sv_err rc = look(&h, nics, n, &s, err);
    if (!rc)
        *ret = runs_rightly(&h, &s) && knows_all(&h, &s);
    return rc;
}

enum sv_err dhcp_remove(const struct vpc *v, struct sv_error *err)
{
    SV_CLEANUP(dhcp_close) struct dhcp h;
    dhcp_open(v, &h);
    enum sv_err rc = find(&h, err);
    if (!rc)
        rc = daemon_stop(&h.daemon, &v->work.deadline, err);
    const char *const files[] = {h.hosts, h.leases, h.pid_file, h.pending};
    for (size_t i = 0; !rc && i < sizeof(files) / sizeof(files[0]); i++) {
        SV_AUTOFREE char *half = sv_asprintf("%s.new", files[i]);
        rc = file_remove(files[i], err);
        if (!rc)
            rc = file_remove(half, err);
    }
    return rc;
}
