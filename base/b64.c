#include <b64/cdecode.h>

#include "starvirt/text.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* --- encoding ---
 * Not libb64: it breaks lines and works a character at a time, 26 us for a reply of 8 KiB. A table of
 * two characters for each 12 bits takes 2.2 us and writes one line. */

static char pairs[4096][2];

__attribute__((constructor)) static void fill_pairs(void)
{
    for (unsigned i = 0; i < 4096; i++) {
        pairs[i][0] = alphabet[i >> 6];
        pairs[i][1] = alphabet[i & 63];
    }
}

static void encode_tail(char *o, const unsigned char *p, size_t n)
{
    unsigned v = (unsigned)p[0] << 16 | (n > 1 ? (unsigned)p[1] << 8 : 0);
    o[0] = alphabet[v >> 18];
    o[1] = alphabet[v >> 12 & 63];
    o[2] = n > 1 ? alphabet[v >> 6 & 63] : '=';
    o[3] = '=';
}

void sv_b64_encode(struct sv_buf *out, const void *data, size_t n)
{
    const unsigned char *p = data;
    size_t len = (n / 3 + (n % 3 != 0)) * 4;
    sv_buf_reserve(out, len);
    char *o = out->p + out->n;
    for (; n >= 3; n -= 3, p += 3, o += 4) {
        unsigned v = (unsigned)p[0] << 16 | (unsigned)p[1] << 8 | p[2];
        memcpy(o, pairs[v >> 12], 2);
        memcpy(o + 2, pairs[v & 4095], 2);
    }
    if (n > 0)
        encode_tail(o, p, n);
    out->n += len;
    out->p[out->n] = '\0';
}

/* --- decoding ---
 * libb64 skips whatever it does not know and reads outside its table for some bytes, so it sees only
 * what passed our check, in the plain alphabet and in chunks. */

enum kind { BAD = 0, DATA, PLUS, SLASH, LINE_END, PADDING };

/* '-' and '_' are the URL-safe alphabet; a blank is a '+' that a form decoder took for an escaped one. */
static const unsigned char kinds[256] = {
    ['A' ... 'Z'] = DATA, ['a' ... 'z'] = DATA, ['0' ... '9'] = DATA, ['+'] = DATA,      ['/'] = DATA,    ['-'] = PLUS,
    ['_'] = SLASH,        [' '] = PLUS,         ['\r'] = LINE_END,    ['\n'] = LINE_END, ['='] = PADDING,
};

/* The character of the plain alphabet that a character of data stands for. */
static char plain_form(char c, enum kind kind)
{
    return kind == PLUS ? '+' : kind == SLASH ? '/' : c;
}

struct decoder {
    base64_decodestate state;
    char chunk[512];
    size_t in_chunk;
    unsigned char *out;
    size_t out_n;
};

static void flush(struct decoder *d)
{
    if (d->in_chunk == 0)
        return;
    int n = base64_decode_block(d->chunk, (int)d->in_chunk, (char *)d->out + d->out_n, &d->state);
    d->out_n += (size_t)n;
    d->in_chunk = 0;
}

bool sv_b64_decode(const char *in, size_t n, unsigned char *out, size_t *ret_n, size_t *ret_bad)
{
    struct decoder d = {.out = out};
    size_t chars = 0, pads = 0, last = 0;
    base64_init_decodestate(&d.state);
    for (size_t i = 0; i < n; i++) {
        enum kind kind = (enum kind)kinds[(unsigned char)in[i]];
        bool is_data = kind == DATA || kind == PLUS || kind == SLASH;
        /* After padding only more padding, and never more than completes a group of four. */
        bool misplaced = (is_data && pads > 0) || (kind == PADDING && (chars % 4 < 2 || chars % 4 + pads >= 4));
        if (kind == BAD || misplaced) {
            *ret_bad = i + 1;
            return false;
        }
        if (kind == LINE_END)
            continue;
        last = i + 1;
        if (kind == PADDING) {
            pads++;
            continue;
        }
        chars++;
        d.chunk[d.in_chunk++] = plain_form(in[i], kind);
        if (d.in_chunk == sizeof(d.chunk))
            flush(&d);
    }
    if (chars % 4 == 1 || (pads > 0 && (chars + pads) % 4 != 0)) {
        *ret_bad = last;
        return false;
    }
    flush(&d);
    *ret_n = d.out_n;
    return true;
}
