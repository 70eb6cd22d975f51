#include "starvirt/id.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "starvirt/clock.h"
#include "starvirt/mem.h"

static const char hex_digits[] = "0123456789abcdef";

void sv_random(void *buf, size_t size)
{
    unsigned char *p = buf;
    while (size > 0) {
        ssize_t n = getrandom(p, size, 0);
        if (n < 0)
            abort();
        p += n;
        size -= (size_t)n;
    }
}

void sv_hex(const void *bytes, size_t n, char *out)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++) {
        *out++ = hex_digits[p[i] >> 4];
        *out++ = hex_digits[p[i] & 15];
    }
    *out = '\0';
}

/* A clock that was set back by more was wrong before: ids do not stay in that future. */
enum { BACK_MS = 60 * 1000 };

/* 48 bits of milliseconds and 12 of counter. Within a millisecond, after 4096 ids in one, or when the
 * clock was set back a little, the count goes on from the last: order holds, at the price of a time in the future. */
static uint64_t next_stamp(void)
{
    static _Atomic uint64_t last;
    uint64_t now = (uint64_t)sv_now_ms() << 12;
    uint64_t seen = atomic_load_explicit(&last, memory_order_relaxed);
    uint64_t mine;
    do {
        mine = now > seen || seen - now > (uint64_t)BACK_MS << 12 ? now : seen + 1;
    } while (!atomic_compare_exchange_weak_explicit(&last, &seen, mine, memory_order_relaxed, memory_order_relaxed));
    return mine;
}

struct sv_id sv_id_new(void)
{
    unsigned char u[16];
    uint64_t stamp = next_stamp();
    uint64_t ms = stamp >> 12;
    for (unsigned i = 0; i < 6; i++)
        u[i] = (unsigned char)(ms >> (40 - 8 * i));
    u[6] = (unsigned char)(0x70 | ((stamp >> 8) & 0x0F));
    u[7] = (unsigned char)stamp;
    sv_random(u + 8, 8);
    u[8] = (unsigned char)((u[8] & 0x3F) | 0x80);

    struct sv_id id;
    char *o = id.s;
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *o++ = '-';
        *o++ = hex_digits[u[i] >> 4];
        *o++ = hex_digits[u[i] & 15];
    }
    *o = '\0';
    return id;
}

static bool is_dash_place(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

bool sv_id_valid(const char *s)
{
    if (!s)
        return false;
    for (size_t i = 0; i < SV_ID_LEN; i++) {
        bool hex = (s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f');
        if (is_dash_place(i) ? s[i] != '-' : !hex)
            return false;
    }
    return s[SV_ID_LEN] == '\0';
}

struct sv_id sv_id_from(const char *s)
{
    struct sv_id id = {""};
    if (sv_id_valid(s))
        memcpy(id.s, s, SV_ID_LEN + 1);
    return id;
}

bool sv_id_read(const char *s, size_t n, struct sv_id *ret)
{
    struct sv_id id = {""};
    if (n != SV_ID_LEN)
        return false;
    for (size_t i = 0; i < n; i++)
        id.s[i] = s[i] >= 'A' && s[i] <= 'F' ? (char)(s[i] + 'a' - 'A') : s[i];
    if (!sv_id_valid(id.s))
        return false;
    *ret = id;
    return true;
}

void sv_ids_add(struct sv_ids *l, const struct sv_id *id)
{
    l->v = sv_grow(l->v, l->n, &l->cap, sizeof(*l->v));
    l->v[l->n++] = *id;
}

static int by_text(const void *x, const void *y)
{
    return strcmp(((const struct sv_id *)x)->s, ((const struct sv_id *)y)->s);
}

void sv_ids_sort(struct sv_ids *l)
{
    if (l->n)
        qsort(l->v, l->n, sizeof(*l->v), by_text);
}

bool sv_ids_have(const struct sv_ids *l, const struct sv_id *id)
{
    return l->n && bsearch(id, l->v, l->n, sizeof(*id), by_text);
}

void sv_ids_free(struct sv_ids *l)
{
    free(l->v);
    *l = (struct sv_ids){0};
}
