#include "api/internal.h"

/* Which name a client may have meant by one that is not there: for a hint, so it rather says nothing. */

enum { LONGEST = 48 }; /* what is longer is no slip of the hand */

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Characters left out, put in, changed or swapped with the next, whatever their case. */
static unsigned distance(struct sv_slice a, struct sv_slice b)
{
    unsigned row[3][LONGEST + 1]; /* of the last three characters of `a` */
    for (unsigned j = 0; j <= b.n; j++)
        row[0][j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            const unsigned char x = lower(a.p[i - 1]), y = lower(b.p[j - 1]);
            now[j] = least(least(last[j], now[j - 1]) + 1, last[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == lower(b.p[j - 2]) && lower(a.p[i - 2]) == y)
                now[j] = least(now[j], before[j - 2] + 1);
        }
    }
    return row[a.n % 3][b.n];
}

static size_t same_beginning(struct sv_slice a, struct sv_slice b)
{
    size_t n = 0;
    while (n < a.n && n < b.n && lower(a.p[n]) == lower(b.p[n]))
        n++;
    return n;
}

void sv_near_try(struct sv_near *near, const char *name, size_t n)
{
    const struct sv_slice key = near->key, other = {name, n};
    if (key.n < 2 || key.n > LONGEST || n == 0 || n > LONGEST)
        return;
    const unsigned d = distance(key, other);
    const size_t begin = same_beginning(key, other);
    if (3 * d > key.n && 4 * begin < 3 * key.n)
        return;
    if (near->name.p && (d > near->distance || (d == near->distance && begin <= near->begin)))
        return;
    near->name = other;
    near->distance = d;
    near->begin = begin;
}
