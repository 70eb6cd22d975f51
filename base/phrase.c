#include "base/internal.h"

#include <string.h>

#include "starvirt/mem.h"

/* Reasons for readers of Chinese: the rows of phrases.def. */

static const struct phrase {
    const char *en, *zh;
} phrases[] = {
#define SV_PHRASE(en_, zh_) {(en_), (zh_)},
#include "base/phrases.def"
#undef SV_PHRASE
};

enum { GAPS = 3, DEPTH = 3 };
struct span {
    const char *p;
    size_t n;
};

/* The text against a row; what stands at its '*'s comes back. */
static bool match(const char *en, struct span text, struct span gap[GAPS])
{
    for (unsigned g = 0;; g++) {
        const size_t n = strcspn(en, "*");
        if (text.n < n || memcmp(en, text.p, n) != 0)
            return false;
        text.p += n, text.n -= n;
        if (!en[n])
            return text.n == 0;
        en += n + 1;
        /* up to where the row goes on; to the end of the text where it does not, or goes on with its last piece */
        const size_t next = strcspn(en, "*");
        const char *at = text.p + text.n;
        if (en[next] == '*')
            at = memmem(text.p, text.n, en, next);
        else if (text.n >= next)
            at -= next;
        if (g == GAPS || !at || at <= text.p)
            return false;
        gap[g] = (struct span){text.p, (size_t)(at - text.p)};
        text.n -= (size_t)(at - text.p);
        text.p = at;
    }
}

static bool translate(struct span text, unsigned depth, struct sv_buf *out);

static void put(struct span text, unsigned depth, struct sv_buf *out)
{
    if (!translate(text, depth, out))
        sv_buf_add(out, text.p, text.n);
}

static void fill(const char *zh, const struct span gap[GAPS], unsigned depth, struct sv_buf *out)
{
    for (unsigned g = 0; *zh; g++) {
        const size_t n = strcspn(zh, "*");
        sv_buf_add(out, zh, n);
        zh += n;
        if (*zh == '*') {
            put(gap[g], depth + 1, out);
            zh++;
        }
    }
}

static bool by_row(struct span text, unsigned depth, struct sv_buf *out)
{
    struct span gap[GAPS] = {0};
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
        if (match(phrases[i].en, text, gap)) {
            fill(phrases[i].zh, gap, depth, out);
            return true;
        }
    return false;
}

/* "open: No such file or directory": what was done, and why it failed. */
static bool by_cause(struct span text, unsigned depth, struct sv_buf *out)
{
    const size_t before = out->n;
    for (size_t i = text.n; i-- > 1;) {
        if (text.p[i - 1] != ':' || text.p[i] != ' ')
            continue;
        put((struct span){text.p, i - 1}, depth + 1, out);
        sv_buf_puts(out, ":");
        if (translate((struct span){text.p + i + 1, text.n - i - 1}, depth + 1, out))
            return true;
        out->n = before;
        return false;
    }
    return false;
}

/* "3 VMs, 1 VPC": each piece by itself. */
static bool by_piece(struct span text, unsigned depth, struct sv_buf *out)
{
    const size_t before = out->n;
    const char *comma = memmem(text.p, text.n, ", ", 2);
    for (bool first = true; comma || !first; first = false) {
        const struct span piece = {text.p, comma ? (size_t)(comma - text.p) : text.n};
        sv_buf_puts(out, first ? "" : "、");
        if (!by_row(piece, depth + 1, out)) {
            out->n = before;
            return false;
        }
        if (!comma)
            return true;
        text.n -= piece.n + 2;
        text.p += piece.n + 2;
        comma = memmem(text.p, text.n, ", ", 2);
    }
    return false;
}

static bool translate(struct span text, unsigned depth, struct sv_buf *out)
{
    return depth < DEPTH && text.n > 0 &&
           (by_piece(text, depth, out) || by_row(text, depth, out) || by_cause(text, depth, out));
}

/* Words of somebody else's: a sentence, and in English. */
static bool is_foreign(const char *text)
{
    bool blank = false;
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p >= 0x80)
            return false;
        blank = blank || *p == ' ';
    }
    return blank;
}

void sv_phrase_text(const char *text, char *buf, size_t size)
{
    struct sv_buf out SV_CLEANUP(sv_buf_free) = {0};
    if (translate((struct span){text, strlen(text)}, 0, &out))
        sv_buf_putc(&out, '\0');
    else
        sv_buf_printf(&out, is_foreign(text) ? "“%s”" : "%s", text);
    sv_copy(buf, size, out.p);
}
