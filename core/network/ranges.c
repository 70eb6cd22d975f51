/* Lists of addresses and of ports, as people write them and as rows keep them. Both are lists of spans of numbers. */
#include <stdio.h>
#include <stdlib.h>

#include "core/network/wanted.h"
#include "starvirt/text.h"

enum { ITEM_LEN = 2 * SV_IP4_LEN }; /* "255.255.255.255-255.255.255.255" */

struct span {
    uint32_t first, last;
};
struct spans {
    struct span v[SV_MAX_RANGES];
    size_t n;
};
/* One item; when it is none, what would be right goes to `want`. */
typedef bool (*item_fn)(char *item, struct span *ret, char want[ITEM_LEN]);

/* --- addresses --- */

#define WANT_IPS   "a.b.c.d[/0-32],..."
#define WANT_PORTS "1-65535[:1-65535],..."

/* Decimal, without a sign or leading zeros. */
static bool number(const char *s, int64_t min, int64_t max, uint32_t *ret)
{
    int64_t v;

    if (*s < '0' || *s > '9' || (s[0] == '0' && s[1]) || !sv_parse_int(s, &v) || v < min || v > max)
        return false;
    *ret = (uint32_t)v;
    return true;
}

static uint32_t host_bits(unsigned prefix)
{
    return prefix ? (uint32_t)((1ULL << (32 - prefix)) - 1) : UINT32_MAX;
}

static bool net_item(const char *ip, const char *len, struct span *ret, char want[ITEM_LEN])
{
    char base[SV_IP4_LEN];
    uint32_t prefix;

    if (!sv_ip4_parse(ip, &ret->first) || !number(len, 0, 32, &prefix))
        return false;
    ret->last = ret->first | host_bits(prefix);
    if (!(ret->first & host_bits(prefix)))
        return true;
    sv_ip4_format(ret->first & ~host_bits(prefix), base);
    snprintf(want, ITEM_LEN, "%s/%u", base, prefix);
    return false;
}

static bool address_item(char *item, struct span *ret, char want[ITEM_LEN])
{
    char *mark = strpbrk(item, "/-");
    char kind = mark ? *mark : '\0';

    if (mark)
        *mark++ = '\0';
    if (kind == '/')
        return net_item(item, mark, ret, want);
    if (!sv_ip4_parse(item, &ret->first) || !sv_ip4_parse(mark ? mark : item, &ret->last))
        return false;
    if (ret->first > ret->last)
        snprintf(want, ITEM_LEN, "%.15s-%.15s", mark, item);
    return ret->first <= ret->last;
}

/* --- ports --- */

static bool port_item(char *item, struct span *ret, char want[ITEM_LEN])
{
    char *mark = strpbrk(item, ":-");

    if (mark)
        *mark++ = '\0';
    if (!number(item, 1, 65535, &ret->first) || !number(mark ? mark : item, 1, 65535, &ret->last))
        return false;
    if (ret->first > ret->last)
        snprintf(want, ITEM_LEN, "%.15s:%.15s", mark, item);
    return ret->first <= ret->last;
}

/* --- lists --- */

/* What stands between two commas or semicolons, without the blanks around it; false: more than any item has. */
static bool take_item(const char **p, char item[ITEM_LEN])
{
    const char *from = *p + strspn(*p, " "), *end = from + strcspn(from, ",;");
    size_t n = (size_t)(end - from);

    *p = *end ? end + 1 : NULL;
    while (n > 0 && from[n - 1] == ' ')
        n--;
    if (n >= ITEM_LEN)
        return false;
    memcpy(item, from, n);
    item[n] = '\0';
    return true;
}

static int in_order(const void *a, const void *b)
{
    const struct span *x = a, *y = b;

    return x->first != y->first ? (x->first > y->first) - (x->first < y->first)
                                : (x->last > y->last) - (x->last < y->last);
}

/* Sorted; those that overlap or touch become one. */
static void put_together(struct spans *s)
{
    size_t n = 0;

    qsort(s->v, s->n, sizeof(s->v[0]), in_order);
    for (size_t i = 0; i < s->n; i++) {
        struct span *before = n ? &s->v[n - 1] : NULL;

        if (before && s->v[i].first <= (uint64_t)before->last + 1)
            before->last = s->v[i].last > before->last ? s->v[i].last : before->last;
        else
            s->v[n++] = s->v[i];
    }
    s->n = n;
}

static enum sv_err parse(const char *text, item_fn parse_item, const char *format, enum sv_field field,
                         struct spans *ret, struct sv_error *err)
{
    const char *p = text && text[strspn(text, " ")] ? text : NULL;

    ret->n = 0;
    while (p) {
        char item[ITEM_LEN], want[ITEM_LEN] = "";

        if (ret->n == SV_MAX_RANGES)
            return sv_fail(err, SV_E_PARAM_RANGE, field, "at most 64 in a list");
        if (!take_item(&p, item) || !parse_item(item, &ret->v[ret->n], want))
            return sv_fail(err, SV_E_PARAM_FORMAT, field, want[0] ? want : format);
        ret->n++;
    }
    put_together(ret);
    return SV_OK;
}

static bool is_all(const struct spans *s, uint32_t min, uint32_t max)
{
    return s->n == 1 && s->v[0].first == min && s->v[0].last == max;
}

_Static_assert(SV_MAX_RANGES == 64, "the error of a list that is too long says so");

enum sv_err sv_parse_ranges(const char *text, enum sv_field field, struct sv_arena *a, struct sv_net_ranges *ret,
                            struct sv_error *err)
{
    struct sv_net_range *v;
    struct spans s;
    enum sv_err rc = parse(text, address_item, WANT_IPS, field, &s, err);

    if (rc)
        return rc;
    *ret = (struct sv_net_ranges){0};
    if (s.n == 0 || is_all(&s, 0, UINT32_MAX))
        return SV_OK;
    v = sv_arena_alloc(a, s.n * sizeof(*v));
    for (size_t i = 0; i < s.n; i++)
        v[i] = (struct sv_net_range){s.v[i].first, s.v[i].last};
    *ret = (struct sv_net_ranges){v, s.n};
    return SV_OK;
}

enum sv_err sv_parse_ports(const char *text, enum sv_field field, struct sv_arena *a, struct sv_net_ports *ret,
                           struct sv_error *err)
{
    struct sv_net_port_range *v;
    struct spans s;
    enum sv_err rc = parse(text, port_item, WANT_PORTS, field, &s, err);

    if (rc)
        return rc;
    *ret = (struct sv_net_ports){0};
    if (s.n == 0 || is_all(&s, 1, UINT16_MAX))
        return SV_OK;
    v = sv_arena_alloc(a, s.n * sizeof(*v));
    for (size_t i = 0; i < s.n; i++)
        v[i] = (struct sv_net_port_range){(uint16_t)s.v[i].first, (uint16_t)s.v[i].last};
    *ret = (struct sv_net_ports){v, s.n};
    return SV_OK;
}

/* --- back to text --- */

/* The prefix whose network is the whole range, 33 where there is none. */
static unsigned prefix_of(const struct sv_net_range *r)
{
    for (unsigned prefix = 0; prefix <= 32; prefix++) {
        const uint32_t bits = host_bits(prefix);

        if (!(r->first & bits) && r->last == (r->first | bits))
            return prefix;
    }
    return 33;
}

static void put_range(struct sv_buf *b, const struct sv_net_range *r)
{
    const unsigned prefix = prefix_of(r);
    char first[SV_IP4_LEN], last[SV_IP4_LEN];

    sv_ip4_format(r->first, first);
    sv_ip4_format(r->last, last);
    if (prefix == 32)
        sv_buf_puts(b, first);
    else if (prefix < 32)
        sv_buf_printf(b, "%s/%u", first, prefix);
    else
        sv_buf_printf(b, "%s-%s", first, last);
}

static const char *take_text(struct sv_buf *b, struct sv_arena *a)
{
    const char *text = sv_arena_strndup(a, b->p ? b->p : "", b->n);

    sv_buf_free(b);
    return text;
}

const char *sv_ranges_text(const struct sv_net_ranges *r, struct sv_arena *a)
{
    struct sv_buf b = {0};

    for (size_t i = 0; i < r->n; i++) {
        if (i > 0)
            sv_buf_putc(&b, ',');
        put_range(&b, &r->v[i]);
    }
    return take_text(&b, a);
}

const char *sv_ports_text(const struct sv_net_ports *p, struct sv_arena *a)
{
    struct sv_buf b = {0};

    for (size_t i = 0; i < p->n; i++) {
        sv_buf_printf(&b, "%s%u", i > 0 ? "," : "", p->v[i].first);
        if (p->v[i].last != p->v[i].first)
            sv_buf_printf(&b, ":%u", p->v[i].last);
    }
    return take_text(&b, a);
}
