/* The rule of placement: filters and weights as rows, over plain structs. */
#include <stdio.h>

#include "core/place/place.h"

/* --- filters -------------------------------------------------------------------------------------------- */

static bool is_ready(const struct sv_place_host *h, const struct sv_place_wish *w)
{
    (void)w;
    return h->ready;
}

static bool is_in_service(const struct sv_place_host *h, const struct sv_place_wish *w)
{
    (void)w;
    return !h->maintenance;
}

static bool has_labels(const struct sv_place_host *h, const struct sv_place_wish *w)
{
    return sv_labels_have(h->labels, w->labels);
}

/* What its disks will hold nobody knows, as they grow with their use: that there is a storage is all. */
static bool has_storage(const struct sv_place_host *h, const struct sv_place_wish *w)
{
    (void)w;
    return h->storage;
}

static bool has_vcpus(const struct sv_place_host *h, const struct sv_place_wish *w)
{
    return h->vcpus >= w->vcpus;
}

static bool has_memory(const struct sv_place_host *h, const struct sv_place_wish *w)
{
    return h->memory >= w->memory;
}

static bool is_apart(const struct sv_place_host *h, const struct sv_place_wish *w)
{
    (void)w;
    return h->apart == 0;
}

static bool is_together(const struct sv_place_host *h, const struct sv_place_wish *w)
{
    return h->together >= w->together;
}

static int64_t free_vcpus(const struct sv_place_host *h)
{
    return h->vcpus;
}

static int64_t free_memory(const struct sv_place_host *h)
{
    return h->memory;
}

static const struct filter {
    const char *says; /* of how many; a phrase (base/phrases.def) */
    bool (*fits)(const struct sv_place_host *h, const struct sv_place_wish *w);
    bool last;                                     /* whom it rules out is not looked at by others */
    int64_t (*has)(const struct sv_place_host *h); /* of a resource; NULL otherwise */
    size_t wants;                                  /* offset in the wish; 0 = says no amount */
    bool bytes;
} filters[SV_PLACE_FILTERS] = {
    [SV_PLACE_READY] = {.says = "not connected", .fits = is_ready, .last = true},
    [SV_PLACE_MAINTENANCE] = {.says = "in maintenance", .fits = is_in_service, .last = true},
    [SV_PLACE_LABELS] = {.says = "without the labels", .fits = has_labels},
    [SV_PLACE_STORAGE] = {.says = "without a storage for disks",
                          .fits = has_storage,
                          .wants = offsetof(struct sv_place_wish, disks),
                          .bytes = true},
    [SV_PLACE_VCPUS] = {.says = "short of vCPU", .fits = has_vcpus, .has = free_vcpus},
    [SV_PLACE_MEMORY] = {.says = "short of memory",
                         .fits = has_memory,
                         .has = free_memory,
                         .wants = offsetof(struct sv_place_wish, memory),
                         .bytes = true},
    [SV_PLACE_APART] = {.says = "with VMs to keep apart from", .fits = is_apart},
    [SV_PLACE_TOGETHER] = {.says = "without the VMs to be with", .fits = is_together},
};

bool sv_labels_have(const char *labels, const char *wanted)
{
    while (*wanted) {
        const size_t n = strcspn(wanted, ",");
        const char *p = labels;

        while (*p && (strcspn(p, ",") != n || memcmp(p, wanted, n) != 0)) {
            p += strcspn(p, ",");
            p += *p == ',';
        }
        if (!*p)
            return false;
        wanted += n;
        wanted += *wanted == ',';
    }
    return true;
}

static unsigned against(const struct sv_place_host *h, const struct sv_place_wish *w)
{
    unsigned mask = 0;

    for (unsigned i = 0; i < SV_PLACE_FILTERS; i++) {
        if (filters[i].fits(h, w))
            continue;
        mask |= 1U << i;
        if (filters[i].last)
            break;
    }
    return mask;
}

/* --- weights -------------------------------------------------------------------------------------------- */

static int64_t weigh_liked(const struct sv_place_host *h, enum sv_place_policy policy)
{
    (void)policy;
    return h->liked;
}

static int64_t weigh_room(const struct sv_place_host *h, enum sv_place_policy policy)
{
    return policy == SV_PLACE_PACK ? -h->memory : h->memory;
}

/* The first that differs decides; more is better. */
static int64_t (*const weights[SV_PLACE_ID])(const struct sv_place_host *h, enum sv_place_policy policy) = {
    [SV_PLACE_LIKED] = weigh_liked,
    [SV_PLACE_ROOM] = weigh_room,
};

/* Below 0: a before b. Says which weight it was. */
static int compare(const struct sv_place_host *a, const struct sv_place_host *b, enum sv_place_policy policy,
                   enum sv_place_weight *ret_why)
{
    for (unsigned i = 0; i < SV_PLACE_ID; i++) {
        const int64_t of_a = weights[i](a, policy), of_b = weights[i](b, policy);

        *ret_why = i;
        if (of_a != of_b)
            return of_a > of_b ? -1 : 1;
    }
    *ret_why = SV_PLACE_ID;
    return strcmp(a->id.s, b->id.s);
}

static int by_rank(const void *a, const void *b, void *arg)
{
    const struct sv_place_verdict *x = a, *y = b;
    const struct sv_place_wish *w = arg;
    enum sv_place_weight why;

    if (!x->against != !y->against)
        return x->against ? 1 : -1;
    return x->against ? strcmp(x->host->id.s, y->host->id.s) : compare(x->host, y->host, w->policy, &why);
}

size_t sv_place_rank(const struct sv_place_host *hosts, size_t n, const struct sv_place_wish *w,
                     struct sv_place_verdict *ret)
{
    struct sv_place_wish how = *w;
    size_t fit = 0;

    for (size_t i = 0; i < n; i++) {
        ret[i] = (struct sv_place_verdict){.host = &hosts[i], .against = against(&hosts[i], w), .why = SV_PLACE_ID};
        fit += ret[i].against == 0;
    }
    qsort_r(ret, n, sizeof(*ret), by_rank, &how);
    for (size_t i = 0; i + 1 < fit; i++)
        compare(ret[i].host, ret[i + 1].host, w->policy, &ret[i].why);
    return fit;
}

/* --- in words ------------------------------------------------------------------------------------------- */

const char *sv_place_why(enum sv_place_weight why, enum sv_place_policy policy, size_t fit)
{
    if (fit == 1)
        return "the only one that fits";
    switch (why) {
    case SV_PLACE_LIKED:
        return "the VMs of its groups";
    case SV_PLACE_ROOM:
        return policy == SV_PLACE_PACK ? "least free memory" : "most free memory";
    case SV_PLACE_ID:
    case SV_PLACE_WEIGHTS:
        break;
    }
    return "the lowest id among equals";
}

struct tally {
    enum sv_place_filter filter;
    unsigned count;
    int64_t most; /* that one of them has */
};

/* How many each filter rules out, the most first; as many as `ret` says. */
static unsigned count_against(const struct sv_place_verdict *v, size_t n, struct tally ret[SV_PLACE_FILTERS])
{
    unsigned used = 0;

    for (unsigned f = 0; f < SV_PLACE_FILTERS; f++) {
        struct tally t = {.filter = f};
        unsigned at = used;

        for (size_t i = 0; i < n; i++) {
            if (!(v[i].against & 1U << f))
                continue;
            t.count++;
            if (filters[f].has && filters[f].has(v[i].host) > t.most)
                t.most = filters[f].has(v[i].host);
        }
        if (t.count == 0)
            continue;
        for (; at > 0 && ret[at - 1].count < t.count; at--)
            ret[at] = ret[at - 1];
        ret[at] = t;
        used++;
    }
    return used;
}

static int put_tally(const struct tally *t, const struct sv_place_wish *w, char *buf, size_t size)
{
    const struct filter *f = &filters[t->filter];
    const int64_t wanted = f->wants ? *(const int64_t *)(const void *)((const char *)w + f->wants) : w->vcpus;
    const struct sv_dec want = f->bytes ? sv_bytes(wanted, f->has ? 0 : SV_OF_DISK) : sv_dec(wanted);
    const struct sv_dec most = f->bytes ? sv_bytes(t->most, SV_ROUND_DOWN) : sv_dec(t->most);

    if (f->has)
        return snprintf(buf, size, "%u %s (%s > %s)", t->count, f->says, want.s, most.s);
    if (f->wants)
        return snprintf(buf, size, "%u %s (%s)", t->count, f->says, want.s);
    return snprintf(buf, size, "%u %s", t->count, f->says);
}

void sv_place_against(const struct sv_place_verdict *v, size_t n, const struct sv_place_wish *w, char *buf, size_t size)
{
    static const char more[] = ", others";
    struct tally t[SV_PLACE_FILTERS];
    const unsigned count = count_against(v, n, t);
    size_t used = 0;

    buf[0] = '\0';
    for (unsigned i = 0; i < count; i++) {
        char piece[SV_ERR_ARG_MAX];
        const size_t len = (size_t)put_tally(&t[i], w, piece, sizeof(piece));

        if (used + len + 2 + sizeof(more) > size) {
            snprintf(buf + used, size - used, "%s", more);
            return;
        }
        used += (size_t)snprintf(buf + used, size - used, "%s%s", used ? ", " : "", piece);
    }
}
