/* One file a network, one line: what was made, where, and how its device was found. Without it a network whose
 * row is gone could not be taken down, nor a device be given back as it was. */
#include "net/linux/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "starvirt/text.h"

static const char *const types[] = {[SV_NET_FLAT] = "flat", [SV_NET_VLAN] = "vlan"};

static char *path_of(const struct linux_net *net, const struct sv_id *id)
{
    return sv_asprintf("%s/%s", net->host_dir, id->s);
}

static const char *or_dash(const char *s)
{
    return s[0] ? s : "-";
}

enum sv_err host_record_write(const struct linux_net *net, const struct host_record *r, struct sv_error *err)
{
    SV_AUTOFREE char *path = path_of(net, &r->host.id);
    SV_AUTOFREE char *text = sv_asprintf("%s %s %u %s %d %d %d\n", types[r->host.type], r->host.device, r->host.vlan,
                                         or_dash(r->host.netns), r->was_up, r->was_promisc, r->had_qdisc);
    bool changed;
    return file_write(path, text, strlen(text), &changed, err);
}

/* The next of `*text`'s words, "" behind the last. */
static void word(const char **text, char *buf, size_t size)
{
    size_t n = strcspn(*text, " \n");
    SV_AUTOFREE char *one = sv_asprintf("%.*s", (int)n, *text);
    sv_copy(buf, size, one);
    *text += n + ((*text)[n] != '\0');
}

static bool number(const char **text, int64_t max, int64_t *ret)
{
    char buf[8];
    word(text, buf, sizeof(buf));
    return sv_parse_int(buf, ret) && *ret >= 0 && *ret <= max;
}

static bool parse(const char *text, struct host_record *r)
{
    char type[8];
    int64_t vlan, up, promisc, qdisc;
    word(&text, type, sizeof(type));
    word(&text, r->host.device, sizeof(r->host.device));
    bool good = number(&text, SV_NET_VLAN_MAX, &vlan);
    word(&text, r->host.netns, sizeof(r->host.netns));
    good = good && number(&text, 1, &up) && number(&text, 1, &promisc) && number(&text, 1, &qdisc);
    if (!good || !sv_net_word(r->host.device))
        return false;
    if (strcmp(r->host.netns, "-") == 0)
        r->host.netns[0] = '\0';
    r->host.type = strcmp(type, types[SV_NET_VLAN]) == 0 ? SV_NET_VLAN : SV_NET_FLAT;
    r->host.vlan = (unsigned)vlan;
    r->was_up = up;
    r->was_promisc = promisc;
    r->had_qdisc = qdisc;
    return true;
}

enum sv_err host_record_read(const struct linux_net *net, const struct sv_id *id, bool *ret_there,
                             struct host_record *ret, struct sv_error *err)
{
    SV_AUTOFREE char *path = path_of(net, id);
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    struct host_record r = {.host = {.id = *id}};
    enum sv_err rc = file_read(path, &text, err);
    if (rc)
        return rc;
    /* Torn by a power cut: what it was about is gone with that, too. */
    *ret_there = text.p && parse(text.p, &r);
    if (*ret_there)
        *ret = r;
    return SV_OK;
}

enum sv_err host_record_remove(const struct linux_net *net, const struct sv_id *id, struct sv_error *err)
{
    SV_AUTOFREE char *path = path_of(net, id);
    return file_remove(path, err);
}

/* --- others on the device --- */

struct search {
    const struct linux_net *net;
    const struct sv_net_host *of;
    struct host_record *found;
    struct sv_error *err;
    enum sv_err rc;
    bool there;
};

static void compare(void *arg, const struct sv_id *id)
{
    struct search *s = arg;
    struct host_record r;
    bool there = false;
    if (s->there || s->rc || sv_id_eq(id, &s->of->id))
        return;
    s->rc = host_record_read(s->net, id, &there, &r, s->err);
    s->there = !s->rc && there && strcmp(r.host.device, s->of->device) == 0 && strcmp(r.host.netns, s->of->netns) == 0;
    if (s->there)
        *s->found = r;
}

enum sv_err host_record_sibling(const struct linux_net *net, const struct sv_net_host *of, bool *ret_there,
                                struct host_record *ret, struct sv_error *err)
{
    struct search s = {.net = net, .of = of, .found = ret, .err = err};
    enum sv_err rc = ids_in(net->host_dir, compare, &s, err);
    *ret_there = s.there;
    return rc ? rc : s.rc;
}
