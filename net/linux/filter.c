#include "net/linux/filter.h"

#include <unistd.h>

/* In the namespace that the server runs in, where the bridges are. */
enum { HERE = -1 };

static enum sv_err put(const struct sv_buf *text, struct sv_error *err)
{
    return nft_run(HERE, text->p, text->n, err);
}

static enum sv_err check_id(const struct sv_id *id, struct sv_error *err)
{
    return sv_id_valid(id->s) ? SV_OK : sv_fail(err, SV_E_INTERNAL, SV_F_NONE, "not an id");
}

static enum sv_err check_rules(const struct sv_net_rules *rules, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    for (size_t i = 0; !rc && i < rules->n; i++)
        rc = check_id(&rules->v[i].id, err);
    return rc;
}

/* --- what is there: see nft_digest() --- */

static enum sv_err digest_of(const char *prefix, const struct sv_id *id, uint64_t *ret, struct sv_error *err)
{
    struct filter_chains c;
    filter_chains_of(prefix, id, &c);
    return nft_digest(HERE, c.v, c.n, ret, err);
}

static enum sv_err digest_base(uint64_t *ret, struct sv_error *err)
{
    struct filter_chains c;
    filter_base_chains(&c);
    return nft_digest(HERE, c.v, c.n, ret, err);
}

/* Under the mutex. */
static enum sv_err note(struct linux_net *net, const char *prefix, const struct sv_id *id, struct sv_error *err)
{
    uint64_t digest = 0;
    const enum sv_err rc = digest_of(prefix, id, &digest, err);
    marks_set(net->marks, id, digest);
    return rc;
}

/* Under the mutex. Texts of NICs make what is for all anew. */
static enum sv_err note_base(struct linux_net *net, struct sv_error *err)
{
    net->base = 0;
    return digest_base(&net->base, err);
}

static enum sv_err put_nic(struct linux_net *net, const struct sv_id *nic, const struct sv_buf *text, bool gone,
                           struct sv_error *err)
{
    pthread_mutex_lock(&net->filters);
    enum sv_err rc = put(text, err);
    if (!rc)
        rc = note_base(net, err);
    if (!rc && !gone)
        rc = note(net, FILTER_NIC, nic, err);
    else if (!rc)
        marks_set(net->marks, nic, 0);
    pthread_mutex_unlock(&net->filters);
    return rc;
}

static enum sv_err put_group(struct linux_net *net, const struct sv_id *group, const struct sv_buf *text, bool gone,
                             struct sv_error *err)
{
    pthread_mutex_lock(&net->filters);
    enum sv_err rc = put(text, err);
    if (!rc && !gone)
        rc = note(net, FILTER_GROUP, group, err);
    else if (!rc)
        marks_set(net->marks, group, 0);
    pthread_mutex_unlock(&net->filters);
    return rc;
}

/* Under the mutex. */
static enum sv_err is_noted(struct linux_net *net, const char *prefix, const struct sv_id *id, bool *ret,
                            struct sv_error *err)
{
    uint64_t digest = 0;
    const enum sv_err rc = digest_of(prefix, id, &digest, err);
    *ret = !rc && digest && digest == marks_get(net->marks, id);
    return rc;
}

static struct linux_net *linux_of(struct sv_net *net)
{
    return (struct linux_net *)net;
}

enum sv_err filter_whole(struct sv_net *net, const struct sv_net_filter *want, bool *ret, struct sv_error *err)
{
    struct linux_net *l = linux_of(net);
    uint64_t base = 0;
    pthread_mutex_lock(&l->filters);
    enum sv_err rc = is_noted(l, FILTER_NIC, &want->nic, ret, err);
    if (!rc && *ret)
        rc = digest_base(&base, err);
    *ret = *ret && base && base == l->base;
    pthread_mutex_unlock(&l->filters);
    return rc;
}

enum sv_err group_whole(struct sv_net *net, const struct sv_net_group *want, bool *ret, struct sv_error *err)
{
    struct linux_net *l = linux_of(net);
    pthread_mutex_lock(&l->filters);
    const enum sv_err rc = is_noted(l, FILTER_GROUP, &want->id, ret, err);
    pthread_mutex_unlock(&l->filters);
    return rc;
}

/* --- making it so --- */

enum sv_err filter_open(struct linux_net *net, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    struct sv_error why = {0};
    if (access("/proc/sys/net/bridge/bridge-nf-call-iptables", F_OK) != 0)
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE,
                       "--network linux needs the kernel's br_netfilter (modprobe br_netfilter)");
    filter_base_text(&text);
    pthread_mutex_lock(&net->filters);
    enum sv_err rc = put(&text, &why);
    if (!rc)
        rc = note_base(net, &why);
    pthread_mutex_unlock(&net->filters);
    if (!rc)
        return SV_OK;
    SV_AUTOFREE char *line =
        sv_asprintf("--network linux needs nftables in the kernel, with bridges, conntrack and its "
                    "zones, hash: %s",
                    why.arg[0]);
    return sv_fail(err, SV_E_CONFIG, SV_F_NONE, line);
}

static enum sv_err check_filter(const struct sv_net_filter *want, struct sv_error *err)
{
    enum sv_err rc = check_id(&want->nic, err);
    if (!rc)
        rc = check_id(&want->vpc, err);
    for (size_t i = 0; !rc && i < want->group_count; i++)
        rc = check_id(&want->groups[i], err);
    if (!rc && !want->ip)
        rc = sv_fail(err, SV_E_INTERNAL, SV_F_NONE, "a filter without an address");
    return rc ? rc : check_rules(&want->rules, err);
}

enum sv_err filter_apply(struct sv_net *net, const struct sv_net_filter *want, const struct sv_deadline *d,
                         struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    (void)d; /* no call to the kernel waits for anything */
    enum sv_err rc = check_filter(want, err);
    if (rc)
        return rc;
    filter_nic_text(want, &text);
    return put_nic(linux_of(net), &want->nic, &text, false, err);
}

enum sv_err group_apply(struct sv_net *net, const struct sv_net_group *want, const struct sv_deadline *d,
                        struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    (void)d;
    enum sv_err rc = check_id(&want->id, err);
    if (!rc)
        rc = check_rules(&want->rules, err);
    if (rc)
        return rc;
    filter_group_text(want, &text);
    return put_group(linux_of(net), &want->id, &text, false, err);
}

enum sv_err filter_remove(struct sv_net *net, const struct sv_id *nic, const struct sv_deadline *d,
                          struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    (void)d;
    enum sv_err rc = check_id(nic, err);
    if (rc)
        return rc;
    filter_nic_gone_text(nic, &text);
    return put_nic(linux_of(net), nic, &text, true, err);
}

enum sv_err group_remove(struct sv_net *net, const struct sv_id *group, const struct sv_deadline *d,
                         struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    (void)d;
    enum sv_err rc = check_id(group, err);
    if (rc)
        return rc;
    filter_group_gone_text(group, &text);
    return put_group(linux_of(net), group, &text, true, err);
}

/* --- what is in force --- */

struct find {
    const struct sv_id *id;
    bool there;
};

static void compare(void *arg, const struct sv_id *id)
{
    struct find *f = arg;
    f->there |= sv_id_eq(id, f->id);
}

static enum sv_err each_of(const char *prefix, filter_id_fn *row, void *arg, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    enum sv_err rc = nft_look(HERE, "list chains bridge", &out, err);
    if (!rc)
        filter_read_chains(out.p, prefix, row, arg);
    return rc;
}

/* One at a time: of several in one text the library sees the first only. */
static enum sv_err look_at(const char *prefix, const struct sv_id *id, struct sv_buf *ret, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    for (int in = 0; !rc && in <= 1; in++) {
        SV_CLEANUP(sv_buf_free) struct sv_buf ask = {0};
        filter_look_text(prefix, id, in, &ask);
        rc = nft_look(HERE, ask.p, ret, err);
    }
    return rc;
}

static void add_group(void *arg, const struct sv_id *group)
{
    sv_ids_add(arg, group);
}

enum sv_err filter_look(struct sv_net *net, const struct sv_id *nic, sv_net_rule_fn *row, void *arg,
                        struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf text = {0};
    SV_CLEANUP(sv_ids_free) struct sv_ids groups = {0};
    struct find f = {.id = nic};
    (void)net;
    /* A chain that is not there is an error like any other, so that is asked first. */
    enum sv_err rc = each_of(FILTER_NIC, compare, &f, err);
    if (rc || !f.there)
        return rc;
    rc = look_at(FILTER_NIC, nic, &text, err);
    if (!rc)
        filter_read_groups(text.p, add_group, &groups);
    for (size_t i = 0; !rc && i < groups.n; i++)
        rc = look_at(FILTER_GROUP, &groups.v[i], &text, err);
    if (!rc)
        filter_read_rules(text.p, row, arg);
    return rc;
}

enum sv_err filter_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *nic), void *arg,
                        struct sv_error *err)
{
    (void)net;
    return each_of(FILTER_NIC, row, arg, err);
}

enum sv_err group_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *group), void *arg,
                       struct sv_error *err)
{
    (void)net;
    return each_of(FILTER_GROUP, row, arg, err);
}
