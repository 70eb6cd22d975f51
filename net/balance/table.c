#include "net/balance/internal.h"

/* What nodes answer to checks is among the cells: they are quoted, and may hold what parts them. */
static bool next_cell(const char **at, const char *end, char separator, struct cell *ret)
{
    const char *p = *at;
    if (p >= end || *p == '\n')
        return false;
    const bool quoted = separator == ',' && *p == '"';
    if (quoted)
        for (p++; p < end && (*p != '"' || (p + 1 < end && p[1] == '"')); p++)
            p += *p == '"'; /* a quote within is written twice */
    while (p < end && *p != separator && *p != '\n')
        p++;
    *ret = (struct cell){*at, (size_t)(p - *at)};
    *at = p < end && *p == separator ? p + 1 : p;
    return true;
}

bool cell_is(const struct cell *c, const char *text)
{
    return c->n == strlen(text) && memcmp(c->p, text, c->n) == 0;
}

uint64_t cell_number(const struct cell *c)
{
    uint64_t v = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->p[i] < '0' || c->p[i] > '9' || v > (UINT64_MAX - 9) / 10)
            return 0;
        v = v * 10 + (uint64_t)(c->p[i] - '0');
    }
    return v;
}

static const char *head(const struct sv_buf *text)
{
    const char *p = text->p;
    while (p && !(p[0] == '#' && p[1] == ' ')) {
        const char *line = memchr(p, '\n', text->n - (size_t)(p - text->p));
        p = line ? line + 1 : NULL;
    }
    return p;
}

bool table_open(struct table *t, const struct sv_buf *text, char separator, const char *const *columns, size_t count)
{
    const char *p = head(text);
    struct cell c;
    size_t found = 0;
    if (!p || count > TABLE_COLUMNS)
        return false;
    *t = (struct table){.at = p + 2, .end = text->p + text->n, .separator = separator, .count = count};
    for (size_t i = 0; next_cell(&t->at, t->end, separator, &c); i++)
        for (size_t k = 0; k < count; k++)
            if (cell_is(&c, columns[k])) {
                t->column[k] = i;
                found++;
            }
    return found == count;
}

static bool read_row(struct table *t, struct cell ret[TABLE_COLUMNS])
{
    struct cell c;
    size_t found = 0;
    for (size_t i = 0; next_cell(&t->at, t->end, t->separator, &c); i++)
        for (size_t k = 0; k < t->count; k++)
            if (t->column[k] == i) {
                ret[k] = c;
                found++;
            }
    return found == t->count;
}

bool table_next(struct table *t, struct cell ret[TABLE_COLUMNS])
{
    while (t->at < t->end) {
        if (*t->at == '\n')
            t->at++;
        else if (read_row(t, ret))
            return true;
    }
    return false;
}
