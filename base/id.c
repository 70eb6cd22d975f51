#include "starvirt/id.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "starvirt/clock.h"

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

/* 48 bits of milliseconds and 12 of counter. Within a millisecond, after 4096 ids in one, or when the
 * clock was set back, the count goes on from the last: order holds, at the price of a time in the future. */
static uint64_t next_stamp(void)
{
    static _Atomic uint64_t last;
    uint64_t now = (uint64_t)sv_now_ms() << 12;
    uint64_t seen = atomic_load_explicit(&last, memory_order_relaxed);
    uint64_t mine;
    do {
        mine = now > seen ? now : seen + 1;
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
