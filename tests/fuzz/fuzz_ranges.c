/* Lists of addresses and ports: what is taken is sorted and apart, and its text means the same. */
#include <string.h>

#include "core/network/wanted.h"
#include "tests/fuzz/fuzz.h"

static void addresses(const char *text, struct sv_arena *a)
{
    struct sv_net_ranges r, again;
    struct sv_error err;

    if (sv_parse_ranges(text, SV_F_NIC, a, &r, &err)) {
        MUST(err.field == SV_F_NIC && err.arg[0][0]);
        return;
    }
    MUST(r.n <= SV_MAX_RANGES);
    for (size_t i = 0; i < r.n; i++)
        MUST(r.v[i].first <= r.v[i].last && (i == 0 || r.v[i].first > (uint64_t)r.v[i - 1].last + 1));
    MUST(!sv_parse_ranges(sv_ranges_text(&r, a), SV_F_NIC, a, &again, &err));
    MUST(again.n == r.n && (r.n == 0 || memcmp(again.v, r.v, r.n * sizeof(*r.v)) == 0));
}

static void ports(const char *text, struct sv_arena *a)
{
    struct sv_net_ports p, again;
    struct sv_error err;

    if (sv_parse_ports(text, SV_F_NIC, a, &p, &err)) {
        MUST(err.field == SV_F_NIC && err.arg[0][0]);
        return;
    }
    MUST(p.n <= SV_MAX_RANGES);
    for (size_t i = 0; i < p.n; i++)
        MUST(p.v[i].first > 0 && p.v[i].first <= p.v[i].last && (i == 0 || p.v[i].first > p.v[i - 1].last + 1));
    MUST(!sv_parse_ports(sv_ports_text(&p, a), SV_F_NIC, a, &again, &err));
    MUST(again.n == p.n && (p.n == 0 || memcmp(again.v, p.v, p.n * sizeof(*p.v)) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SV_AUTOFREE char *text = sv_alloc(size + 1);
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();

    if (size > 0)
        memcpy(text, data, size);
    addresses(text, a);
    ports(text, a);
    return 0;
}
