#include "server/language.h"

#include <string.h>
#include <strings.h>

enum { WHOLE = 1000, UNSAID = -1 };

static const struct {
    const char *tag;
    enum sv_lang lang;
} known[] = {{"zh", SV_LANG_ZH}, {"en", SV_LANG_EN}};
enum { KNOWN = sizeof(known) / sizeof(known[0]) };

/* "0.85" in thousandths; what is no weight counts as none said. */
static int weight(const char *p, size_t n)
{
    int w = 0;
    if (n == 0 || n > 5 || (p[0] != '0' && p[0] != '1') || (n > 1 && p[1] != '.'))
        return WHOLE;
    for (size_t i = 2, unit = 100; i < n; i++, unit /= 10) {
        if (p[i] < '0' || p[i] > '9')
            return WHOLE;
        w += (p[i] - '0') * (int)unit;
    }
    return p[0] == '1' ? WHOLE : w;
}

/* Of one element: "en-GB ; Q=0.5". */
static int weight_of(const char *e, size_t n)
{
    const char *p = memchr(e, ';', n), *end = e + n;
    if (!p)
        return WHOLE;
    for (p++; p < end && strchr(" \t", *p); p++)
        ;
    if (end - p < 2 || (*p | 0x20) != 'q' || p[1] != '=')
        return WHOLE;
    p += 2;
    return weight(p, strcspn(p, " \t,;"));
}

enum sv_lang sv_language_of(const char *list)
{
    int found[KNOWN], rank[KNOWN] = {0}, any = UNSAID, place = 0;
    for (unsigned i = 0; i < KNOWN; i++)
        found[i] = UNSAID;
    for (const char *p = list; p && *(p += strspn(p, " \t,")); p += strcspn(p, ",")) {
        size_t n = strcspn(p, ","), tag = strcspn(p, " \t,;-");
        place++;
        if (tag == 1 && *p == '*' && any == UNSAID)
            any = weight_of(p, n);
        for (unsigned i = 0; i < KNOWN; i++)
            if (tag == strlen(known[i].tag) && strncasecmp(p, known[i].tag, tag) == 0 && weight_of(p, n) > found[i]) {
                found[i] = weight_of(p, n);
                rank[i] = place;
            }
    }
    unsigned best = 0;
    for (unsigned i = 0; i < KNOWN; i++)
        if (found[i] == UNSAID) { /* "*" stands for what is not named */
            found[i] = any;
            rank[i] = place + 1;
        }
    for (unsigned i = 1; i < KNOWN; i++)
        if (found[i] > 0 && (found[i] > found[best] || (found[i] == found[best] && rank[i] < rank[best])))
            best = i;
    return known[best].lang;
}
