#include "server/metrics_counts.h"
#include "starvirt/clock.h"

#include <stdlib.h>

const struct sv_bucket sv_buckets[SV_BUCKETS] = {
    {100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},  {2500, "0.0025"},
    {5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"}, {50000, "0.05"},  {100000, "0.1"},
    {250000, "0.25"}, {500000, "0.5"},  {1000000, "1"},   {10000000, "10"}, {INT64_MAX, "+Inf"}};

/* Whatever status a dialect gives them. */
static const enum sv_err protocol[] = {
    SV_E_BAD_REQUEST, SV_E_NOT_FOUND,         SV_E_METHOD_NOT_ALLOWED, SV_E_UNKNOWN_OPERATION, SV_E_BODY_TOO_LARGE,
    SV_E_MEDIA_TYPE,  SV_E_TOO_MANY_REQUESTS, SV_E_OVERLOADED,         SV_E_SHUTTING_DOWN,     SV_E_SHARE_USED,
};

enum sv_outcome sv_outcome_of(enum sv_err code)
{
    if (code == SV_OK)
        return SV_OUT_OK;
    if (code == SV_E_TOKEN_MISSING || code == SV_E_TOKEN_INVALID || code == SV_E_TOKEN_EXPIRED ||
        code == SV_E_TOKEN_ENDED || code == SV_E_ADMIN_ONLY)
        return SV_OUT_DENIED;
    if (sv_err_is_ours(code))
        return SV_OUT_FAULT;
    for (unsigned i = 0; i < sizeof(protocol) / sizeof(protocol[0]); i++)
        if (protocol[i] == code)
            return SV_OUT_PROTOCOL;
    return SV_OUT_REFUSED;
}

static void add_line(void *arg, const struct sv_dialect *d, const struct sv_route *route)
{
    struct sv_metrics *m = arg;
    (void)d;
    m->lines = sv_realloc(m->lines, (m->n + 1) * sizeof(*m->lines));
    m->lines[m->n] = (struct sv_count_line){.route = route};
    m->n++;
}

static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct sv_count_line *)a)->route,
              y = (uintptr_t)((const struct sv_count_line *)b)->route;
    return (x > y) - (x < y);
}

struct sv_metrics *sv_metrics_new(const struct sv_api *api)
{
    struct sv_metrics *m = sv_alloc(sizeof(*m));
    m->started = sv_mono_ms();
    add_line(m, NULL, NULL);
    sv_api_each(api, add_line, m);
    qsort(m->lines, m->n, sizeof(m->lines[0]), by_address);
    return m;
}

void sv_metrics_free(struct sv_metrics *m)
{
    if (!m)
        return;
    free(m->lines);
    free(m);
}

static void count(atomic_uint_least64_t *n, uint64_t by)
{
    atomic_fetch_add_explicit(n, by, memory_order_relaxed);
}

uint64_t sv_count_get(const atomic_uint_least64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

void sv_metrics_request(struct sv_metrics *m, const struct sv_route *route, enum sv_err code, int64_t us)
{
    const struct sv_count_line key = {.route = route};
    struct sv_count_line *l = bsearch(&key, m->lines, m->n, sizeof(m->lines[0]), by_address);
    if (!l)
        return;
    struct sv_count_cell *c = &l->cells[sv_outcome_of(code)];
    unsigned b = 0;
    while (us > sv_buckets[b].us)
        b++;
    count(&c->bucket[b], 1);
    count(&c->us, us > 0 ? (uint64_t)us : 0);
    if (code != SV_OK && code < SV_ERR_COUNT)
        count(&m->errors[code], 1);
}

void sv_metrics_bad_reply(struct sv_metrics *m)
{
    count(&m->bad_replies, 1);
}

void sv_metrics_bytes(struct sv_metrics *m, uint64_t in, uint64_t out)
{
    count(&m->bytes_in, in);
    count(&m->bytes_out, out);
}
