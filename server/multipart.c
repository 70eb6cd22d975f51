#include "server/multipart.h"

#include <string.h>
#include <strings.h>

static enum sv_err refuse(struct sv_error *err, const char *why)
{
    return sv_fail(err, SV_E_BAD_REQUEST, SV_F_NONE, why);
}

/* --- parameters of a header: ; name=value ; name="value" ------------------------------------------------ */

/* The value at *p, which moves behind it; cut at `size`. False when a quote is not closed or it does not fit. */
static bool take_value(const char **p, char *buf, size_t size)
{
    const bool quoted = **p == '"';
    size_t n = 0;
    for (*p += quoted; quoted ? **p && **p != '"' : **p && !strchr("; \t", **p); ++*p) {
        if (quoted && **p == '\\' && (*p)[1])
            ++*p;
        if (n + 1 < size)
            buf[n] = **p;
        n++;
    }
    buf[n < size ? n : size - 1] = '\0';
    if (quoted && *(*p)++ != '"')
        return false;
    return n < size;
}

enum found { ABSENT, PRESENT, MALFORMED };

/* The parameter of this name, behind the header's first word. */
static enum found parameter(const char *value, const char *name, char *buf, size_t size)
{
    enum found found = ABSENT;
    for (const char *p = strchr(value, ';'); p && *p;) {
        char other[SV_PART_LINE_MAX + 1];
        p += strspn(p, "; \t");
        const size_t n = strcspn(p, "=; \t");
        const bool it_is = n == strlen(name) && strncasecmp(p, name, n) == 0;
        p += n;
        if (*p != '=')
            continue;
        p++;
        if (!take_value(&p, it_is ? buf : other, it_is ? size : sizeof(other)))
            return MALFORMED;
        if (it_is && found == PRESENT)
            return MALFORMED; /* twice: which one counts? */
        if (it_is)
            found = PRESENT;
    }
    return found;
}

/* --- the type --------------------------------------------------------------------------------------------- */

static bool is_boundary(const char *b)
{
    static const char others[] = "'()+_,-./:=? ";
    const size_t n = strlen(b);
    for (const char *p = b; *p; p++)
        if (!((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || strchr(others, *p)))
            return false;
    return n > 0 && b[n - 1] != ' ';
}

bool sv_multipart_type(const char *content_type, char boundary[SV_BOUNDARY_MAX + 1])
{
    static const char type[] = "multipart/form-data";
    const size_t n = sizeof(type) - 1;
    if (!content_type || strncasecmp(content_type, type, n) != 0 ||
        (content_type[n] && !strchr("; \t", content_type[n])))
        return false;
    if (parameter(content_type, "boundary", boundary, SV_BOUNDARY_MAX + 1) != PRESENT || !is_boundary(boundary))
        boundary[0] = '\0';
    return true;
}

/* --- the head of a part -------------------------------------------------------------------------------------- */

/* The value where the line is this header's. */
static const char *header(const char *line, const char *name)
{
    const size_t n = strlen(name);
    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
        return NULL;
    return line + n + 1 + strspn(line + n + 1, " \t");
}

static enum sv_err take_disposition(struct sv_multipart *m, const char *value, struct sv_error *err)
{
    char name[SV_PART_LINE_MAX + 1] = "", file[SV_PART_LINE_MAX + 1], extended[SV_PART_LINE_MAX + 1];
    const enum found named = parameter(value, "name", name, sizeof(name));
    const enum found plain = parameter(value, "filename", file, sizeof(file));
    const enum found star = parameter(value, "filename*", extended, sizeof(extended));
    if (m->named)
        return refuse(err, "multipart: two Content-Disposition in a part");
    if (strncasecmp(value, "form-data", 9) != 0 || (value[9] && !strchr("; \t", value[9])) || named == MALFORMED ||
        plain == MALFORMED || star == MALFORMED)
        return refuse(err, "multipart: Content-Disposition");
    m->named = true;
    m->is_file = plain == PRESENT || star == PRESENT;
    return m->is_file ? SV_OK : m->sink.field(m->sink.arg, name, err);
}

static enum sv_err take_header(struct sv_multipart *m, struct sv_error *err)
{
    static const char *const as_they_are[] = {"binary", "8bit", "7bit"};
    const char *value = header(m->line, "Content-Disposition");
    if (value)
        return take_disposition(m, value, err);
    if (header(m->line, "Content-Encoding"))
        return refuse(err, "multipart: Content-Encoding in a part");
    value = header(m->line, "Content-Transfer-Encoding");
    for (size_t i = 0; value && i < sizeof(as_they_are) / sizeof(as_they_are[0]); i++)
        if (strcasecmp(value, as_they_are[i]) == 0)
            value = NULL;
    return value ? refuse(err, "multipart: Content-Transfer-Encoding in a part") : SV_OK;
}

static enum sv_err end_head(struct sv_multipart *m, struct sv_error *err)
{
    if (!m->named)
        return refuse(err, "multipart: a part without Content-Disposition");
    if (m->is_file && m->seen)
        return refuse(err, "multipart: more than one file");
    m->seen |= m->is_file;
    m->at = m->is_file ? SV_PART_FILE : SV_PART_FIELD;
    m->matched = m->owed = 2; /* a part without content: its head's last line end is the delimiter's, too */
    m->is_file = m->named = false;
    return SV_OK;
}

/* --- lines ------------------------------------------------------------------------------------------------------- */

/* Behind a boundary nothing but blanks. */
static enum sv_err end_boundary(struct sv_multipart *m, struct sv_error *err)
{
    if (m->line[strspn(m->line, " \t")])
        return refuse(err, "multipart: a boundary that goes on");
    m->at = SV_PART_HEAD;
    return SV_OK;
}

static enum sv_err end_line(struct sv_multipart *m, struct sv_error *err)
{
    const size_t n = m->line_len - 1;
    m->line_len = 0;
    if (m->line[n] != '\r' || memchr(m->line, '\0', n) || memchr(m->line, '\r', n))
        return refuse(err, "multipart: a line in a part's head");
    m->line[n] = '\0';
    if (m->at == SV_PART_LINE_END)
        return end_boundary(m, err);
    if (n == 0)
        return end_head(m, err);
    return m->line[0] == ' ' || m->line[0] == '\t' ? refuse(err, "multipart: a folded line") : take_header(m, err);
}

/* One byte of a line. Two dashes behind a boundary say that it was the last; whatever follows is over. */
static enum sv_err take_line(struct sv_multipart *m, char c, struct sv_error *err)
{
    if (c == '\n')
        return m->line_len ? end_line(m, err) : refuse(err, "multipart: a line in a part's head");
    if (m->line_len == SV_PART_LINE_MAX)
        return refuse(err, "multipart: a line in a part's head is too long");
    m->line[m->line_len++] = c;
    if (m->at == SV_PART_LINE_END && m->line_len == 2 && m->line[0] == '-' && c == '-')
        m->at = SV_PART_OVER;
    return SV_OK;
}

/* --- content ------------------------------------------------------------------------------------------------------ */

static void hand_on(struct sv_multipart *m, const char *p, size_t n)
{
    if (n && m->at == SV_PART_FILE)
        m->sink.file(m->sink.arg, p, n);
    else
        m->rest += n;
}

/* Content up to the delimiter, or to the end of what is there: how many bytes were read. The delimiter's CR stands at
 * its begin only, so what turns out to be none can hide no other but one that begins here. */
static size_t take_content(struct sv_multipart *m, const char *p, size_t n)
{
    size_t i = 0;
    while (i < n) {
        if (m->matched == 0) {
            const char *cr = memchr(p + i, '\r', n - i);
            const size_t k = cr ? (size_t)(cr - p) - i : n - i;
            hand_on(m, p + i, k);
            i += k;
            if (i == n)
                break;
        }
        if (p[i] != m->delimiter[m->matched]) {
            hand_on(m, m->delimiter + m->owed, m->matched - m->owed);
            m->matched = m->owed = 0;
            continue;
        }
        i++;
        if (++m->matched == m->delimiter_len) {
            m->matched = m->owed = 0;
            m->at = SV_PART_LINE_END;
            break;
        }
    }
    return i;
}

void sv_multipart_begin(struct sv_multipart *m, const char *boundary, const struct sv_multipart_sink *sink)
{
    *m = (struct sv_multipart){.sink = *sink, .matched = 2, .owed = 2}; /* the first stands at the begin of a line */
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary, strlen(boundary) + 1);
    m->delimiter_len = 4 + strlen(boundary);
}

enum sv_err sv_multipart_feed(struct sv_multipart *m, const char *p, size_t n, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    for (size_t i = 0; !rc && i < n;) {
        switch (m->at) {
        case SV_PART_NONE:
        case SV_PART_FIELD:
        case SV_PART_FILE:
            i += take_content(m, p + i, n - i);
            break;
        case SV_PART_LINE_END:
        case SV_PART_HEAD:
            m->rest++;
            rc = take_line(m, p[i++], err);
            break;
        case SV_PART_OVER:
            m->rest += n - i;
            i = n;
            break;
        }
        if (!rc && m->rest > SV_MULTIPART_REST)
            rc = refuse(err, "multipart: too much beside the file");
    }
    return rc;
}

enum sv_err sv_multipart_end(const struct sv_multipart *m, struct sv_error *err)
{
    if (m->at != SV_PART_OVER)
        return refuse(err, "multipart: it ends before its last boundary");
    return m->seen ? SV_OK : refuse(err, "multipart: no file in it");
}
