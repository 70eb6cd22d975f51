#include "server/proxies.h"
#include "starvirt/text.h"

#include <string.h>
#include <strings.h>

enum { MOST = 64, HOPS = 32 };

struct net {
    struct sv_peer first;
    unsigned bits;
};
struct sv_proxies {
    unsigned count;
    struct net nets[MOST];
};

/* --- which are trusted ---------------------------------------------------------------------------------------- */

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    const unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(a, b, whole) == 0 && (rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0);
}

/* Bits beyond the prefix must be 0: who writes 10.0.0.1/8 means something else. */
static bool parse_net(const char *text, size_t n, struct net *ret)
{
    const char *slash = memchr(text, '/', n);
    const size_t host = slash ? (size_t)(slash - text) : n;
    const char *colon = memchr(text, ':', host);
    const bool v6 = colon != NULL;
    char digits[4] = "";
    int64_t bits = v6 ? 128 : 32;
    const bool port = memchr(text, '[', host) || (colon && !memchr(colon + 1, ':', host - (size_t)(colon + 1 - text)));
    if (port || !sv_peer_parse(text, host, &ret->first))
        return false;
    if (slash) {
        const size_t k = n - host - 1;
        if (k == 0 || k >= sizeof(digits))
            return false;
        memcpy(digits, slash + 1, k);
        if (!sv_parse_int(digits, &bits) || bits < 0 || bits > (v6 ? 128 : 32))
            return false;
    }
    ret->bits = (unsigned)bits + (v6 ? 0 : 96);
    for (unsigned i = ret->bits; i < 128; i++)
        if (ret->first.address[i / 8] & (0x80 >> i % 8))
            return false;
    return true;
}

bool sv_proxies_parse(struct sv_arena *a, const char *list, const struct sv_proxies **ret, struct sv_buf *why)
{
    struct sv_proxies *p = sv_arena_alloc(a, sizeof(*p));
    p->count = 0;
    for (const char *e = list; *(e += strspn(e, " \t,")); e += strcspn(e, " \t,")) {
        const size_t n = strcspn(e, " \t,");
        if (p->count == MOST || !parse_net(e, n, &p->nets[p->count])) {
            sv_buf_printf(why, "'%.*s' %s", (int)n, e,
                          p->count == MOST ? "is one too many" : "is not like 10.0.0.1, 10.0.0.0/8 or fd00::/8");
            return false;
        }
        p->count++;
    }
    *ret = p;
    return true;
}

bool sv_proxies_trust(const struct sv_proxies *p, const struct sv_peer *peer)
{
    for (unsigned i = 0; p && i < p->count; i++)
        if (same_bits(p->nets[i].first.address, peer->address, p->nets[i].bits))
            return true;
    return false;
}

/* --- what they say -------------------------------------------------------------------------------------------- */

struct part {
    const char *p;
    size_t n;
};

/* Up to `stop`, which does not count within quotes; without blanks around it. *at goes behind it; false at the end. */
static bool next_part(const char **at, const char *end, char stop, struct part *ret)
{
    const char *p = *at;
    bool quoted = false;
    if (p > end)
        return false;
    for (; p < end && (quoted || *p != stop); p++) {
        if (quoted && *p == '\\' && p + 1 < end)
            p++;
        else if (*p == '"')
            quoted = !quoted;
    }
    *ret = (struct part){*at, (size_t)(p - *at)};
    *at = p + 1;
    while (ret->n > 0 && strchr(" \t", *ret->p))
        ret->p++, ret->n--;
    while (ret->n > 0 && strchr(" \t", ret->p[ret->n - 1]))
        ret->n--;
    return true;
}

static bool unquote(struct part v, char *buf, size_t size, struct part *ret)
{
    size_t n = 0;
    if (v.n < 2 || v.p[0] != '"' || v.p[v.n - 1] != '"') {
        *ret = v;
        return v.n > 0 && !memchr(v.p, '"', v.n);
    }
    for (size_t i = 1; i + 1 < v.n; i++) {
        if (v.p[i] == '\\' && i + 2 < v.n)
            i++;
        if (n == size)
            return false;
        buf[n++] = v.p[i];
    }
    *ret = (struct part){buf, n};
    return true;
}

/* Of one hop: whom it names. */
typedef bool (*read_hop)(struct part hop, struct sv_peer *ret);

static bool read_plain(struct part hop, struct sv_peer *ret)
{
    char buf[128];
    return unquote(hop, buf, sizeof(buf), &hop) && sv_peer_parse(hop.p, hop.n, ret);
}

/* by=203.0.113.43;For="[2001:db8::1]:4711" */
static bool read_forwarded(struct part hop, struct sv_peer *ret)
{
    const char *at = hop.p;
    struct part pair, value = {NULL, 0};
    while (next_part(&at, hop.p + hop.n, ';', &pair)) {
        if (pair.n < 4 || strncasecmp(pair.p, "for=", 4) != 0)
            continue;
        if (value.p)
            return false; /* named twice */
        value = (struct part){pair.p + 4, pair.n - 4};
    }
    return value.p && read_plain(value, ret);
}

/* From the right, while who is named is trusted. */
static struct sv_peer walk(const struct sv_proxies *p, const struct sv_peer *peer, const char *list, read_hop hop)
{
    struct part hops[HOPS], part; /* the last ones, in a ring */
    struct sv_peer found = *peer, next;
    unsigned n = 0;
    const char *at = list, *end = list + strlen(list);
    while (next_part(&at, end, ',', &part))
        if (part.n > 0)
            hops[n++ % HOPS] = part;
    for (unsigned i = 0; i < n && i < HOPS && sv_proxies_trust(p, &found); i++) {
        if (!hop(hops[(n - 1 - i) % HOPS], &next))
            break;
        found = next;
    }
    return found;
}

struct sv_peer sv_proxies_client(const struct sv_proxies *p, const struct sv_peer *peer, const char *x_forwarded_for,
                                 const char *forwarded)
{
    if (!sv_proxies_trust(p, peer) || (!x_forwarded_for && !forwarded))
        return *peer;
    if (!forwarded)
        return walk(p, peer, x_forwarded_for, read_plain);
    const struct sv_peer found = walk(p, peer, forwarded, read_forwarded);
    if (!x_forwarded_for)
        return found;
    const struct sv_peer other = walk(p, peer, x_forwarded_for, read_plain);
    return sv_peer_same(&found, &other) ? found : *peer;
}
