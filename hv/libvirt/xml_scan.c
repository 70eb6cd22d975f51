#include "hv/libvirt/internal.h"

#include <stdlib.h>

/* Libvirt writes its XML by one writer: tags are whole, attributes are quoted, '<' and '>' in values and
 * text are escaped. Reading a handful of attributes needs no more than that. */

static const char *next_tag(const char *at, const char *elem, const char **ret_end)
{
    size_t n = strlen(elem);
    for (at = strchr(at, '<'); at; at = strchr(at + 1, '<')) {
        if (strncmp(at + 1, elem, n) != 0 || !strchr(" />\n", at[1 + n]))
            continue;
        *ret_end = strchr(at, '>');
        return *ret_end ? at + 1 + n : NULL;
    }
    return NULL;
}

static void put_unescaped(const char *s, size_t n, char *buf, size_t size)
{
    static const struct {
        const char *form;
        char c;
    } rows[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    size_t out = 0;
    for (size_t i = 0; i < n && out + 1 < size;) {
        size_t used = 1;
        char c = s[i];
        for (size_t r = 0; c == '&' && r < sizeof(rows) / sizeof(rows[0]); r++)
            if (strncmp(s + i, rows[r].form, strlen(rows[r].form)) == 0) {
                c = rows[r].c;
                used = strlen(rows[r].form);
                break;
            }
        buf[out++] = c;
        i += used;
    }
    buf[out] = '\0';
}

/* ` name='value'` between `at` and `end`. */
static bool attr_in_tag(const char *at, const char *end, const char *name, char *buf, size_t size)
{
    size_t n = strlen(name);
    while (at < end) {
        at += strspn(at, " \n\t/");
        const char *eq = memchr(at, '=', (size_t)(end - at));
        if (!eq || (eq[1] != '\'' && eq[1] != '"'))
            return false;
        const char *value = eq + 2, *close = memchr(value, eq[1], (size_t)(end - value));
        if (!close)
            return false;
        if ((size_t)(eq - at) == n && strncmp(at, name, n) == 0) {
            put_unescaped(value, (size_t)(close - value), buf, size);
            return true;
        }
        at = close + 1;
    }
    return false;
}

bool lv_xml_attr(const char *xml, const char *elem, const char *key, const char *value, const char *attr, char *buf,
                 size_t size)
{
    const char *end = NULL;
    for (const char *tag = next_tag(xml, elem, &end); tag; tag = next_tag(end, elem, &end)) {
        char got[128];
        if (!key || (attr_in_tag(tag, end, key, got, sizeof(got)) && strcmp(got, value) == 0))
            return attr_in_tag(tag, end, attr, buf, size);
    }
    return false;
}

bool lv_xml_text(const char *xml, const char *elem, char *buf, size_t size)
{
    const char *end = NULL, *tag = next_tag(xml, elem, &end);
    const char *stop = tag && end == tag ? strchr(end, '<') : NULL;
    if (!stop)
        return false;
    put_unescaped(end + 1, (size_t)(stop - end - 1), buf, size);
    return true;
}
