#include "net/linux/internal.h"

#include <stdlib.h>

#include "starvirt/text.h"

static int by_address(const void *a, const void *b)
{
    const struct sv_net_nic *const *x = a, *const *y = b;
    return (*x)->ip < (*y)->ip ? -1 : (*x)->ip > (*y)->ip;
}

static const struct sv_net_nic **sorted_nics(const struct sv_net_nic *nics, size_t n)
{
    const struct sv_net_nic **r = sv_alloc((n + 1) * sizeof(*r));
    for (size_t i = 0; i < n; i++)
        r[i] = &nics[i];
    qsort(r, n, sizeof(*r), by_address);
    return r;
}

/* sv_net_hostname() makes nothing else; but a name that could end its line would be an option of
 * dnsmasq's (threat 14), so nothing else gets past here either. */
static bool hostname_ok(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return n > 0 && s[n] == '\0' && s[0] != '-';
}

enum sv_err hosts_text(const struct sv_net_nic *nics, size_t n, struct sv_buf *ret, struct sv_error *err)
{
    SV_AUTOFREE const struct sv_net_nic **sorted = sorted_nics(nics, n);
    for (size_t i = 0; i < n; i++) {
        char mac[SV_MAC_LEN], ip[SV_IP4_LEN];
        if (!hostname_ok(sorted[i]->hostname))
            return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, "a host name that is not one of ours");
        sv_mac_format(sorted[i]->mac, mac);
        sv_ip4_format(sorted[i]->ip, ip);
        sv_buf_printf(ret, "%s,%s,%s\n", mac, ip, sorted[i]->hostname);
    }
    return SV_OK;
}

static bool next_line(const struct sv_buf *b, size_t *at, const char **ret, size_t *ret_n)
{
    if (*at >= b->n)
        return false;
    const char *end = memchr(b->p + *at, '\n', b->n - *at);
    *ret = b->p + *at;
    *ret_n = end ? (size_t)(end - *ret) : b->n - *at;
    *at += *ret_n + 1;
    return true;
}

/* Both are in the same order, so what was kept is found in one pass. */
bool hosts_only_added(const struct sv_buf *old, const struct sv_buf *text)
{
    const char *was, *is;
    size_t at_old = 0, at_new = 0, was_n, is_n;
    while (next_line(old, &at_old, &was, &was_n)) {
        do {
            if (!next_line(text, &at_new, &is, &is_n))
                return false;
        } while (was_n != is_n || memcmp(was, is, is_n) != 0);
    }
    return true;
}

/* Field `index` of a line of blank-separated fields; false when there is none or it does not fit. */
static bool field(const char *line, size_t n, int index, char *buf, size_t size)
{
    const char *end = line + n;
    for (; index > 0 && line < end; index--) {
        const char *blank = memchr(line, ' ', (size_t)(end - line));
        line = blank ? blank + 1 : end;
    }
    const char *blank = line < end ? memchr(line, ' ', (size_t)(end - line)) : NULL;
    if (!blank || (size_t)(blank - line) >= size)
        return false;
    memcpy(buf, line, (size_t)(blank - line));
    buf[blank - line] = '\0';
    return true;
}

/* "expiry mac address name client-id" */
static bool lease_wanted(const char *line, size_t n, const struct sv_net_nic *const *sorted, size_t count)
{
    char mac[SV_MAC_LEN], ip[SV_IP4_LEN], own[SV_MAC_LEN];
    struct sv_net_nic key = {0};
    const struct sv_net_nic *at = &key;
    if (!field(line, n, 1, mac, sizeof(mac)) || !field(line, n, 2, ip, sizeof(ip)) || !sv_ip4_parse(ip, &key.ip))
        return false;
    const struct sv_net_nic *const *hit = bsearch(&at, sorted, count, sizeof(*sorted), by_address);
    if (!hit)
        return false;
    sv_mac_format((*hit)->mac, own);
    return strcmp(own, mac) == 0;
}

bool leases_filter(const struct sv_buf *leases, const struct sv_net_nic *nics, size_t n, struct sv_buf *ret)
{
    SV_AUTOFREE const struct sv_net_nic **sorted = sorted_nics(nics, n);
    const char *line;
    size_t at = 0, len;
    bool dropped = false;
    while (next_line(leases, &at, &line, &len)) {
        if (lease_wanted(line, len, sorted, n)) {
            sv_buf_add(ret, line, len);
            sv_buf_putc(ret, '\n');
        } else {
            dropped = true;
        }
    }
    return dropped;
}
