#include "base/internal.h"
#include "starvirt/id.h"
#include "starvirt/text.h"

/* One octet without leading zeros (which others read as octal); advances *p past it. */
static bool octet(const char **p, uint32_t *ret)
{
    const char *s = *p;
    uint32_t v = 0;
    unsigned n = 0;
    for (; n < 3 && s[n] >= '0' && s[n] <= '9'; n++)
        v = v * 10 + (uint32_t)(s[n] - '0');
    if (n == 0 || v > 255 || (n > 1 && s[0] == '0'))
        return false;
    *p = s + n;
    *ret = v;
    return true;
}

bool sv_ip4_parse(const char *s, uint32_t *ret)
{
    uint32_t ip = 0;
    if (!s)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        uint32_t v;
        if ((i > 0 && *s++ != '.') || !octet(&s, &v))
            return false;
        ip = ip << 8 | v;
    }
    if (*s != '\0')
        return false;
    *ret = ip;
    return true;
}

void sv_ip4_format(uint32_t ip, char buf[SV_IP4_LEN])
{
    char *o = buf;
    for (int shift = 24; shift >= 0; shift -= 8) {
        char dec[24];
        size_t n = sv_dec_write(dec, ip >> shift & 255);
        memcpy(o, dec, n);
        o += n;
        *o++ = shift ? '.' : '\0';
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool sv_mac_parse(const char *s, unsigned char ret[6])
{
    unsigned char mac[6];
    if (!s)
        return false;
    for (unsigned i = 0; i < 6; i++, s += 3) {
        int high = hex_digit(s[0]), low = high < 0 ? -1 : hex_digit(s[1]);
        if (low < 0 || s[2] != (i < 5 ? ':' : '\0'))
            return false;
        mac[i] = (unsigned char)(high << 4 | low);
    }
    memcpy(ret, mac, sizeof(mac));
    return true;
}

void sv_mac_format(const unsigned char mac[6], char buf[SV_MAC_LEN])
{
    char hex[13];
    sv_hex(mac, 6, hex);
    for (unsigned i = 0; i < 6; i++) {
        memcpy(buf + 3 * i, hex + 2 * i, 2);
        buf[3 * i + 2] = i < 5 ? ':' : '\0';
    }
}
