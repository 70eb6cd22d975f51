#include "api/internal.h"

#include <stdio.h>

#include "starvirt/limits.h"

/* A strict reader of JSON that builds nothing. It stands before the tree parser, which takes duplicate
 * keys, NaN, single quotes, raw newlines, lone surrogates and integers of any size without a word. What a wire
 * tolerates between members (SV_TAKES_WIDE) is mended in a copy of the same length, for that parser. */

/* "，" and "：" */
#define WIDE_COMMA "\xef\xbc\x8c"
#define WIDE_COLON "\xef\xbc\x9a"

#define MAX_VALUES 16384 /* of one document: what a tree costs in memory is bounded by this */

struct key {
    const char *p;
    size_t n;
    uint32_t hash;
};
struct scan {
    const char *start, *p, *end;
    bool wide;    /* tolerates them, and a last comma */
    char *mended; /* the text without them; NULL = it had none */
    struct sv_arena *arena;
    struct sv_error *err;
    unsigned depth;
    unsigned values;
    struct sv_slice top_key; /* the member of the outermost object being read */
    struct key *keys;        /* stack: the keys of every open object */
    size_t key_count, key_room;
};

/* What is wrong and where. */
static bool fail(struct scan *s, const char *what)
{
    char text[SV_ERR_ARG_MAX];
    snprintf(text, sizeof(text), "%s at byte %zu", what, (size_t)(s->p - s->start) + 1);
    sv_fail(s->err, SV_E_BAD_JSON, SV_F_NONE, text);
    return false;
}

static bool fail_at(struct scan *s, const char *at, const char *what)
{
    s->p = at;
    return fail(s, what);
}

/* What was expected, and the character that stands there instead. */
static bool unexpected(struct scan *s, const char *what)
{
    char text[96];
    size_t n = 0;
    const uint32_t c = s->p < s->end ? sv_utf8_char(s->p, &n) : 0;
    if (n == 0)
        snprintf(text, sizeof(text), "%s, found the end", what);
    else if (sv_utf8_hidden(c))
        snprintf(text, sizeof(text), "%s, found U+%04X", what, (unsigned)c);
    else
        snprintf(text, sizeof(text), "%s, found '%.*s' (U+%04X)", what, (int)n, s->p, (unsigned)c);
    return fail(s, text);
}

static void skip_blanks(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static bool next_is(const struct scan *s, char c)
{
    return s->p < s->end && *s->p == c;
}

static bool next_are(const struct scan *s, const char *bytes, size_t n)
{
    return (size_t)(s->end - s->p) >= n && memcmp(s->p, bytes, n) == 0;
}

/* `n` bytes at `at`, outside of any string, stand for `c`. */
static void mend(struct scan *s, const char *at, size_t n, char c)
{
    const size_t size = (size_t)(s->end - s->start);
    if (!s->mended)
        s->mended = memcpy(sv_arena_alloc(s->arena, size + 1), s->start, size);
    char *to = s->mended + (at - s->start);
    memset(to, ' ', n);
    *to = c;
}

/* `c`, or what people's keyboards make of it. */
static bool take(struct scan *s, char c, const char *wide)
{
    if (next_is(s, c)) {
        s->p++;
        return true;
    }
    const size_t n = strlen(wide);
    if (!s->wide || !next_are(s, wide, n))
        return false;
    mend(s, s->p, n, c);
    s->p += n;
    return true;
}

static bool digit(const struct scan *s)
{
    return s->p < s->end && *s->p >= '0' && *s->p <= '9';
}

/* --- strings ------------------------------------------------------------------------------------ */

static bool hex4(struct scan *s, unsigned *ret)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++, s->p++) {
        char c = s->p < s->end ? *s->p : '\0', lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            v = v << 4 | (unsigned)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            v = v << 4 | (unsigned)(lower - 'a' + 10);
        else
            return unexpected(s, "\\u needs four hex digits");
    }
    *ret = v;
    return true;
}

static char *put_utf8(char *o, unsigned c)
{
    if (c < 0x80) {
        *o++ = (char)c;
        return o;
    }
    if (c < 0x800) {
        *o++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *o++ = (char)(0xe0 | c >> 12);
        } else {
            *o++ = (char)(0xf0 | c >> 18);
            *o++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *o++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *o++ = (char)(0x80 | (c & 0x3f));
    return o;
}

static bool unicode_escape(struct scan *s, char **out)
{
    const char *at = s->p - 2; /* its backslash */
    unsigned c = 0, low = 0;
    if (!hex4(s, &c))
        return false;
    if (c == 0)
        return fail_at(s, at, "\\u0000 is not allowed");
    if (c >= 0xdc00 && c <= 0xdfff)
        return fail_at(s, at, "lone surrogate");
    if (c >= 0xd800 && c <= 0xdbff) {
        if (!next_are(s, "\\u", 2))
            return fail_at(s, at, "lone surrogate");
        s->p += 2;
        if (!hex4(s, &low))
            return false;
        if (low < 0xdc00 || low > 0xdfff)
            return fail_at(s, at, "lone surrogate");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    *out = put_utf8(*out, c);
    return true;
}

static bool escape(struct scan *s, char **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (s->p >= s->end)
        return fail(s, "unfinished string");
    char c = *s->p;
    const char *at = c ? strchr(from, c) : NULL;
    if (!at && c != 'u')
        return unexpected(s, "unknown escape");
    s->p++;
    if (c == 'u')
        return unicode_escape(s, out);
    *(*out)++ = to[at - from];
    return true;
}

/* The closing quote, or the end. */
static const char *closing_quote(const struct scan *s)
{
    const char *p = s->p;
    while (p < s->end && *p != '"')
        p += *p == '\\' && s->end - p > 1 ? 2 : 1;
    return p;
}

/* The rest of a string from its first escape on, onto `out`; NULL: checked only. */
static bool escaped_rest(struct scan *s, char *out, char **ret_end)
{
    while (s->p < s->end && *s->p != '"') {
        char scratch[4], *to = out ? out : scratch;
        if ((unsigned char)*s->p < ' ')
            return unexpected(s, "raw control character in a string");
        if (*s->p != '\\') {
            *to++ = *s->p++;
        } else {
            s->p++;
            if (!escape(s, &to))
                return false;
        }
        if (out)
            out = to;
    }
    *ret_end = out;
    return true;
}

/* With `ret` the text comes back decoded; an escape is never shorter than what it stands for. */
static bool string(struct scan *s, struct sv_slice *ret)
{
    const char *begin = ++s->p;
    while (s->p < s->end && *s->p != '"' && *s->p != '\\' && (unsigned char)*s->p >= ' ')
        s->p++;
    size_t plain = (size_t)(s->p - begin);
    struct sv_slice text = {begin, plain};
    if (s->p < s->end && *s->p != '"') {
        char *copy = NULL, *end = NULL;
        if (ret) {
            copy = sv_arena_alloc(s->arena, (size_t)(closing_quote(s) - begin) + 1);
            memcpy(copy, begin, plain);
        }
        if (!escaped_rest(s, copy ? copy + plain : NULL, &end))
            return false;
        if (copy)
            text = (struct sv_slice){copy, (size_t)(end - copy)};
    }
    if (s->p >= s->end)
        return fail(s, "unfinished string");
    s->p++;
    if (ret)
        *ret = text;
    return true;
}

/* --- numbers and words -------------------------------------------------------------------------- */

static bool too_big(struct scan *s, const char *begin)
{
    char text[32];
    size_t n = (size_t)(s->p - begin);
    int64_t v;
    if (n < 19)
        return false;
    if (n >= sizeof(text))
        return true;
    memcpy(text, begin, n);
    text[n] = '\0';
    return !sv_parse_int(text, &v);
}

static bool integer_range(struct scan *s, const char *begin)
{
    if (s->depth != 1 || !s->err)
        return fail_at(s, begin, "integer out of range");
    sv_fail(s->err, SV_E_PARAM_RANGE, SV_F_NONE, "-2^63 - 2^63-1");
    struct sv_slice key = sv_trim_key(s->top_key);
    sv_printable(s->err->wire, sizeof(s->err->wire), key.p, key.n);
    return false;
}

static bool number(struct scan *s)
{
    const char *begin = s->p;
    bool whole = true;
    if (next_is(s, '-'))
        s->p++;
    if (!digit(s))
        return unexpected(s, "value expected");
    if (*s->p++ == '0' && digit(s))
        return fail_at(s, s->p - 1, "leading zero");
    while (digit(s))
        s->p++;
    if (next_is(s, '.')) {
        whole = false;
        s->p++;
        if (!digit(s))
            return unexpected(s, "digit expected");
        while (digit(s))
            s->p++;
    }
    if (next_is(s, 'e') || next_is(s, 'E')) {
        whole = false;
        s->p++;
        if (next_is(s, '+') || next_is(s, '-'))
            s->p++;
        if (!digit(s))
            return unexpected(s, "digit expected");
        while (digit(s))
            s->p++;
    }
    return whole && too_big(s, begin) ? integer_range(s, begin) : true;
}

static bool word(struct scan *s, const char *w)
{
    for (; *w; w++, s->p++)
        if (!next_is(s, *w))
            return unexpected(s, "value expected");
    return true;
}

/* --- objects and arrays ------------------------------------------------------------------------- */

static bool value(struct scan *s);

static bool duplicate(struct scan *s, struct sv_slice k, const char *at)
{
    char shown[64], text[96];
    sv_printable(shown, sizeof(shown), k.p, k.n);
    snprintf(text, sizeof(text), "duplicate key \"%s\"", shown);
    return fail_at(s, at, text);
}

/* `first`: where the keys of this object begin on the stack. `at`: of the key in the text. */
static bool remember_key(struct scan *s, size_t first, struct sv_slice k, const char *at)
{
    uint32_t h = sv_hash_on(SV_HASH_BEGIN, k.p, k.n);
    for (size_t i = first; i < s->key_count; i++)
        if (s->keys[i].hash == h && s->keys[i].n == k.n && memcmp(s->keys[i].p, k.p, k.n) == 0)
            return duplicate(s, k, at);
    if (s->key_count - first >= SV_MAX_JSON_KEYS)
        return fail_at(s, at, "too many keys");
    if (s->key_count == s->key_room) {
        size_t room = s->key_room ? s->key_room * 2 : 32;
        struct key *more = sv_arena_alloc(s->arena, room * sizeof(*more));
        if (s->key_count)
            memcpy(more, s->keys, s->key_count * sizeof(*more));
        s->keys = more;
        s->key_room = room;
    }
    s->keys[s->key_count++] = (struct key){k.p, k.n, h};
    return true;
}

static bool member(struct scan *s, size_t first)
{
    struct sv_slice k;
    skip_blanks(s);
    const char *at = s->p;
    if (!next_is(s, '"'))
        return unexpected(s, "key in double quotes expected");
    if (!string(s, &k) || !remember_key(s, first, k, at))
        return false;
    if (s->depth == 1)
        s->top_key = k;
    skip_blanks(s);
    if (!take(s, ':', WIDE_COLON))
        return unexpected(s, "':' expected");
    return value(s);
}

/* The inside of {} or [], the opening bracket being read already. */
static bool items(struct scan *s, char close, size_t first)
{
    skip_blanks(s);
    if (next_is(s, close)) {
        s->p++;
        return true;
    }
    for (;;) {
        if (!(close == '}' ? member(s, first) : value(s)))
            return false;
        skip_blanks(s);
        if (next_is(s, close)) {
            s->p++;
            return true;
        }
        const char *comma = s->p;
        if (!take(s, ',', WIDE_COMMA))
            return unexpected(s, close == '}' ? "',' or '}' expected" : "',' or ']' expected");
        const size_t n = (size_t)(s->p - comma);
        skip_blanks(s);
        if (s->wide && next_is(s, close)) {
            mend(s, comma, n, ' ');
            s->p++;
            return true;
        }
    }
}

static bool container(struct scan *s, char close)
{
    size_t first = s->key_count;
    if (++s->depth > SV_MAX_JSON_DEPTH)
        return fail(s, "nested too deep");
    s->p++;
    if (!items(s, close, first))
        return false;
    s->depth--;
    s->key_count = first;
    return true;
}

static bool value(struct scan *s)
{
    skip_blanks(s);
    if (s->p >= s->end)
        return fail(s, "unexpected end");
    if (++s->values > MAX_VALUES)
        return fail(s, "too many values");
    switch (*s->p) {
    case '{':
        return container(s, '}');
    case '[':
        return container(s, ']');
    case '"':
        return string(s, NULL);
    case 't':
        return word(s, "true");
    case 'f':
        return word(s, "false");
    case 'n':
        return word(s, "null");
    default:
        return number(s);
    }
}

/* True with the text to be parsed. */
static bool whole(struct scan *s)
{
    const size_t size = (size_t)(s->end - s->start), good = sv_utf8_span(s->start, size);
    if (good < size)
        return fail_at(s, s->start + good, "not UTF-8");
    skip_blanks(s);
    if (!next_is(s, '{'))
        return unexpected(s, "object expected");
    if (!value(s))
        return false;
    skip_blanks(s);
    return s->p == s->end || unexpected(s, "text after the object");
}

enum sv_err sv_json_check(const char **text, size_t n, unsigned takes, struct sv_arena *a, struct sv_error *err)
{
    struct sv_error local;
    if (!err)
        err = &local;
    struct scan s = {
        .start = *text, .p = *text, .end = *text + n, .wide = takes & SV_TAKES_WIDE, .arena = a, .err = err};
    if (!whole(&s))
        return err->code;
    if (s.mended)
        *text = s.mended;
    return SV_OK;
}
