#include "cli/cli.h"

#include <stdlib.h>

/* The text comes out of our own JSON printer: compact, checked, valid UTF-8. Only its shape is read here;
 * anything unexpected gives up. */
struct reader {
    const char *p;
    struct sv_arena *a;
    unsigned depth;
};
enum { MAX_DEPTH = 64 };

static const struct sv_node *read_value(struct reader *r);

static bool eat(struct reader *r, char c)
{
    if (*r->p != c)
        return false;
    r->p++;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool read_u16(struct reader *r, unsigned *ret)
{
    *ret = 0;
    for (unsigned i = 0; i < 4; i++) {
        int d = hex_digit(*r->p);
        if (d < 0)
            return false;
        *ret = *ret * 16 + (unsigned)d;
        r->p++;
    }
    return true;
}

static void put_utf8(struct sv_buf *b, unsigned c)
{
    if (c < 0x80) {
        sv_buf_putc(b, (char)c);
        return;
    }
    if (c < 0x800) {
        sv_buf_putc(b, (char)(0xc0 | c >> 6));
    } else {
        if (c < 0x10000) {
            sv_buf_putc(b, (char)(0xe0 | c >> 12));
        } else {
            sv_buf_putc(b, (char)(0xf0 | c >> 18));
            sv_buf_putc(b, (char)(0x80 | (c >> 12 & 0x3f)));
        }
        sv_buf_putc(b, (char)(0x80 | (c >> 6 & 0x3f)));
    }
    sv_buf_putc(b, (char)(0x80 | (c & 0x3f)));
}

static bool read_unicode(struct reader *r, struct sv_buf *b)
{
    unsigned hi, lo;
    if (!read_u16(r, &hi))
        return false;
    if (hi >= 0xd800 && hi < 0xdc00) {
        if (!eat(r, '\\') || !eat(r, 'u') || !read_u16(r, &lo))
            return false;
        hi = 0x10000 + ((hi - 0xd800) << 10 | (lo & 0x3ff));
    }
    put_utf8(b, hi);
    return true;
}

static bool read_escape(struct reader *r, struct sv_buf *b)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = *r->p++;
    if (c == 'u')
        return read_unicode(r, b);
    const char *at = c ? strchr(from, c) : NULL;
    if (!at)
        return false;
    sv_buf_putc(b, to[at - from]);
    return true;
}

static const char *read_string(struct reader *r)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf b = {0};
    if (!eat(r, '"'))
        return NULL;
    while (*r->p && *r->p != '"') {
        if (*r->p != '\\') {
            sv_buf_putc(&b, *r->p++);
            continue;
        }
        r->p++;
        if (!read_escape(r, &b))
            return NULL;
    }
    return eat(r, '"') ? sv_arena_strndup(r->a, b.p ? b.p : "", b.n) : NULL;
}

/* The members of an object (with keys) or a list, up to `end`. */
static bool read_members(struct reader *r, char end, const struct sv_node **first)
{
    const struct sv_node **last = first;
    if (eat(r, end))
        return true;
    do {
        const char *key = NULL;
        if (end == '}' && (!(key = read_string(r)) || !eat(r, ':')))
            return false;
        const struct sv_node *v = read_value(r);
        if (!v)
            return false;
        struct sv_node *n = sv_arena_alloc(r->a, sizeof(*n));
        *n = *v;
        n->key = key;
        *last = n;
        last = &n->next;
    } while (eat(r, ','));
    return eat(r, end);
}

static const struct sv_node *read_value(struct reader *r)
{
    const char *start = r->p;
    struct sv_node *n = sv_arena_alloc(r->a, sizeof(*n));
    if (++r->depth > MAX_DEPTH)
        return NULL;
    if (*r->p == '"') {
        n->kind = SV_NODE_STR;
        n->text = read_string(r);
        r->depth--;
        return n->text ? n : NULL;
    }
    if (*r->p == '{' || *r->p == '[') {
        n->kind = *r->p == '{' ? SV_NODE_OBJ : SV_NODE_LIST;
        r->p++;
        if (!read_members(r, n->kind == SV_NODE_OBJ ? '}' : ']', &n->child))
            return NULL;
    } else {
        n->kind = SV_NODE_OTHER;
        r->p += strcspn(r->p, ",]}");
    }
    r->depth--;
    n->text = sv_arena_strndup(r->a, start, (size_t)(r->p - start));
    return r->p > start ? n : NULL;
}

const struct sv_node *sv_node_parse(const char *text, struct sv_arena *a)
{
    struct reader r = {.p = text, .a = a};
    const struct sv_node *n = read_value(&r);
    return n && *r.p == '\0' ? n : NULL;
}

const struct sv_node *sv_node_get(const struct sv_node *obj, const char *key)
{
    if (!obj || obj->kind != SV_NODE_OBJ)
        return NULL;
    for (const struct sv_node *n = obj->child; n; n = n->next)
        if (strcmp(n->key, key) == 0)
            return n;
    return NULL;
}

const char *sv_node_text(const struct sv_node *obj, const char *key)
{
    const struct sv_node *n = sv_node_get(obj, key);
    return n ? n->text : "";
}
