/* Substrings as searches mean them: literal, ASCII letters of either case alike. Done here and not in SQL, where
 * the two calls a row that this takes cost twice as much as the row itself. */
#include "db/internal.h"

static unsigned char lower(unsigned char c)
{
    return (unsigned char)(c - 'A') < 26 ? (unsigned char)(c + ('a' - 'A')) : c;
}

struct sv_match sv_match_of(struct sv_tx *tx, const char *text)
{
    const size_t n = text ? strlen(text) : 0;
    char *copy;

    if (n == 0)
        return (struct sv_match){.n = 0};
    copy = sv_arena_strndup(tx->arena, text, n);
    for (size_t i = 0; i < n; i++)
        copy[i] = (char)lower((unsigned char)copy[i]);
    return (struct sv_match){.text = copy, .n = n};
}

static bool begins(const unsigned char *s, const struct sv_match *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (lower(s[i]) != (unsigned char)m->text[i])
            return false;
    return true;
}

static bool within(const struct sv_match *m, const unsigned char *s, size_t n)
{
    for (; n >= m->n; s++, n--)
        if (begins(s, m))
            return true;
    return false;
}

bool sv_match_text(const struct sv_match *m, const char *text)
{
    return m->n == 0 || within(m, (const unsigned char *)text, strlen(text));
}

bool sv_match_col(const struct sv_match *m, sqlite3_stmt *st, int col)
{
    const unsigned char *s;

    if (m->n == 0)
        return true;
    /* As a blob: a text would be copied to get its end marked. */
    s = sqlite3_column_blob(st, col);
    return within(m, s, (size_t)sqlite3_column_bytes(st, col));
}

struct sv_found sv_found_of(struct sv_tx *tx, const struct sv_page *p, const char *name)
{
    return (struct sv_found){.page = p, .name = sv_match_of(tx, name)};
}

bool sv_found_shows(struct sv_found *f, const char *name)
{
    return sv_match_text(&f->name, name) && sv_on_page(f->page, f->total++);
}
