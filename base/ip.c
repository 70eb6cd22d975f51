#include "base/internal.h"
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
