/* Open addressing with linear probing; removal shifts back, so there are no tombstones. */
#include "hv/sim/internal.h"

#include <stdlib.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

enum sv_err sim_key_of(const struct sv_id *id, struct sim_key *ret, struct sv_error *err)
{
    struct sim_key k = {0};
    size_t digits = 0;

    for (const char *s = id->s; *s; s++) {
        const int v = hex_digit(*s);
        if (v < 0 && *s == '-')
            continue;
        if (v < 0 || digits == 2 * sizeof(k.b))
            return sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, "not an id");
        if (digits % 2 == 0)
            k.b[digits / 2] = (unsigned char)(v << 4);
        else
            k.b[digits / 2] |= (unsigned char)v;
        digits++;
    }
    if (digits != 2 * sizeof(k.b))
        return sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, "not an id");
    *ret = k;
    return SV_OK;
}

struct sv_id sim_key_id(const struct sim_key *k)
{
    static const unsigned char dash_before[] = {4, 6, 8, 10};
    struct sv_id id;
    char *out = id.s;
    size_t dash = 0;

    for (size_t i = 0; i < sizeof(k->b); i++) {
        if (dash < sizeof(dash_before) && i == dash_before[dash]) {
            *out++ = '-';
            dash++;
        }
        *out++ = "0123456789abcdef"[k->b[i] >> 4];
        *out++ = "0123456789abcdef"[k->b[i] & 15];
    }
    *out = '\0';
    return id;
}

bool sim_key_eq(const struct sim_key *a, const struct sim_key *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool sim_key_empty(const struct sim_key *k)
{
    static const struct sim_key none;
    return sim_key_eq(k, &none);
}

/* splitmix64's finisher over both halves: ids may differ in any one byte only. */
static size_t hash(const struct sim_key *k)
{
    uint64_t a, b;

    memcpy(&a, k->b, sizeof(a));
    memcpy(&b, k->b + sizeof(a), sizeof(b));
    a ^= (b ^ (b >> 32)) * 0x9e3779b97f4a7c15U;
    a = (a ^ (a >> 30)) * 0xbf58476d1ce4e5b9U;
    a = (a ^ (a >> 27)) * 0x94d049bb133111ebU;
    return (size_t)(a ^ (a >> 31));
}

/* The slot of `k`, or the empty one where it belongs. */
static size_t find(const struct sim_table *t, const struct sim_key *k)
{
    size_t i = hash(k) & (t->cap - 1);

    while (t->slots[i] && !sim_key_eq(t->slots[i], k))
        i = (i + 1) & (t->cap - 1);
    return i;
}

static void grow(struct sim_table *t)
{
    struct sim_table bigger = {.cap = t->cap ? t->cap * 2 : 64, .n = t->n};

    bigger.slots = sv_alloc(bigger.cap * sizeof(struct sim_key *));
    for (size_t i = 0; i < t->cap; i++)
        if (t->slots[i])
            bigger.slots[find(&bigger, t->slots[i])] = t->slots[i];
    free(t->slots);
    *t = bigger;
}

void *sim_table_get(const struct sim_table *t, const struct sim_key *k)
{
    return t->n == 0 ? NULL : t->slots[find(t, k)];
}

void sim_table_put(struct sim_table *t, struct sim_key *entry)
{
    if ((t->n + 1) * 4 > t->cap * 3)
        grow(t);
    t->slots[find(t, entry)] = entry;
    t->n++;
}

void *sim_table_take(struct sim_table *t, const struct sim_key *k)
{
    if (t->n == 0)
        return NULL;
    const size_t mask = t->cap - 1;
    size_t hole = find(t, k);
    void *taken = t->slots[hole];
    if (!taken)
        return NULL;

    t->slots[hole] = NULL;
    t->n--;
    for (size_t i = (hole + 1) & mask; t->slots[i]; i = (i + 1) & mask) {
        const size_t home = hash(t->slots[i]) & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* it would leave its own run */
        t->slots[hole] = t->slots[i];
        t->slots[i] = NULL;
        hole = i;
    }
    return taken;
}

void *sim_table_next(const struct sim_table *t, size_t *pos)
{
    while (*pos < t->cap) {
        struct sim_key *e = t->slots[(*pos)++];
        if (e)
            return e;
    }
    return NULL;
}

void sim_table_free(struct sim_table *t, void (*entry)(void *e))
{
    for (size_t i = 0; i < t->cap; i++)
        if (t->slots[i])
            entry(t->slots[i]);
    free(t->slots);
    *t = (struct sim_table){0};
}
