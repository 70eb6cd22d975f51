#include <stdlib.h>

#include "base/internal.h"
#include "starvirt/text.h"

#define MAX_DEPTH (sizeof(((struct sv_xml *)0)->open) / sizeof(const char *))

void sv_xml_init(struct sv_xml *x, struct sv_buf *out)
{
    *x = (struct sv_xml){.out = out};
}

/* U+FFFE and U+FFFF are well-formed UTF-8 but no characters of XML. */
static bool is_noncharacter(const char *p)
{
    return memcmp(p, "\xEF\xBF\xBE", 3) == 0 || memcmp(p, "\xEF\xBF\xBF", 3) == 0;
}

/* How the ASCII character c is written; NULL: as it is. A parser turns raw line ends and, in
 * attributes, tabs into something else, so they are written as references. */
static const char *ascii_form(unsigned char c, bool attr)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&apos;";
    case '\r':
        return "&#13;";
    case '\n':
        return attr ? "&#10;" : NULL;
    case '\t':
        return attr ? "&#9;" : NULL;
    default:
        return c < 0x20 ? SV_UTF8_REPLACEMENT : NULL;
    }
}

static void put_escaped(struct sv_buf *out, const char *s, bool attr)
{
    size_t n = s ? strlen(s) : 0, run = 0, i = 0;
    while (i < n) {
        size_t seq = sv_utf8_seq(s + i, n - i);
        const char *form = NULL;
        if (seq == 0 || (seq == 3 && is_noncharacter(s + i)))
            form = SV_UTF8_REPLACEMENT;
        else if (seq == 1)
            form = ascii_form((unsigned char)s[i], attr);
        size_t used = seq ? seq : 1;
        if (form) {
            sv_buf_add(out, s + run, i - run);
            sv_buf_puts(out, form);
            run = i + used;
        }
        i += used;
    }
    if (n > run)
        sv_buf_add(out, s + run, n - run);
}

static void indent(struct sv_xml *x)
{
    for (unsigned i = 0; i < x->depth; i++)
        sv_buf_add(x->out, "  ", 2);
}

void sv_xml_open(struct sv_xml *x, const char *name)
{
    if (x->depth >= MAX_DEPTH)
        abort();
    if (x->in_tag)
        sv_buf_puts(x->out, ">\n");
    indent(x);
    sv_buf_putc(x->out, '<');
    sv_buf_puts(x->out, name);
    x->open[x->depth++] = name;
    x->in_tag = true;
    x->has_text = false;
}

void sv_xml_attr(struct sv_xml *x, const char *name, const char *value)
{
    if (!x->in_tag)
        abort();
    sv_buf_putc(x->out, ' ');
    sv_buf_puts(x->out, name);
    sv_buf_puts(x->out, "=\"");
    put_escaped(x->out, value, true);
    sv_buf_putc(x->out, '"');
}

void sv_xml_attr_int(struct sv_xml *x, const char *name, int64_t value)
{
    char dec[24];
    dec[sv_dec_write(dec, value)] = '\0';
    sv_xml_attr(x, name, dec);
}

void sv_xml_text(struct sv_xml *x, const char *text)
{
    if (x->in_tag)
        sv_buf_putc(x->out, '>');
    x->in_tag = false;
    x->has_text = true;
    put_escaped(x->out, text, false);
}

void sv_xml_close(struct sv_xml *x)
{
    if (x->depth == 0)
        abort();
    x->depth--;
    if (x->in_tag) {
        sv_buf_puts(x->out, "/>\n");
    } else {
        if (!x->has_text)
            indent(x);
        sv_buf_puts(x->out, "</");
        sv_buf_puts(x->out, x->open[x->depth]);
        sv_buf_puts(x->out, ">\n");
    }
    x->in_tag = x->has_text = false;
}

void sv_xml_leaf(struct sv_xml *x, const char *name, const char *text)
{
    sv_xml_open(x, name);
    sv_xml_text(x, text);
    sv_xml_close(x);
}

void sv_xml_empty(struct sv_xml *x, const char *name)
{
    sv_xml_open(x, name);
    sv_xml_close(x);
}
