#include "handlers/starvcenter/wire.h"

#include <string.h>
#include <strings.h>

#include "starvirt/limits.h"

/* Form bodies, and the same fields in the query. Our own parser: the HTTP library's loses a field whose value has a
 * raw '=' and turns '+' into a blank, and Base64 is made of both. Only KEY_PARAM is looked for. */

#define EXPECTED "application/x-www-form-urlencoded / multipart/form-data"

const struct sv_phrase sv_form_phrases[] = {
    {"too many form fields", "表单字段过多"},
    {"KEY_PARAM is given twice", "KEY_PARAM 重复"},
    {"KEY_PARAM is given in the query and in the body", "查询串和请求体中都有 KEY_PARAM"},
    {"the form has no field KEY_PARAM", "表单中没有 KEY_PARAM 字段"},
    {"'%' without two hex digits in KEY_PARAM", "KEY_PARAM 中的 % 后缺少两位十六进制数字"},
    {"'%' without two hex digits in a form field's name", "表单字段名中的 % 后缺少两位十六进制数字"},
    {"multipart: no boundary in Content-Type", "multipart:Content-Type 中没有 boundary"},
    {"multipart: the boundary is not alone on its line", "multipart:分隔行含有多余内容"},
    {"multipart: the closing boundary is missing", "multipart:缺少结束分隔行"},
    {0},
};

static enum sv_err malformed(struct sv_error *err, const char *what)
{
    return sv_fail(err, SV_E_BAD_REQUEST, SV_F_NONE, what);
}

static bool slice_is(struct sv_slice s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static bool slice_is_nocase(struct sv_slice s, const char *text)
{
    return s.n == strlen(text) && strncasecmp(s.p, text, s.n) == 0;
}

static struct sv_slice trim(struct sv_slice s)
{
    while (s.n > 0 && strchr(" \t\r\n", s.p[0]))
        s.p++, s.n--;
    while (s.n > 0 && strchr(" \t\r\n", s.p[s.n - 1]))
        s.n--;
    return s;
}

/* Cuts `rest` at the first `c`; what is before it comes back. */
static struct sv_slice cut(struct sv_slice *rest, char c)
{
    const char *at = rest->n ? memchr(rest->p, c, rest->n) : NULL;
    struct sv_slice head = {rest->p, at ? (size_t)(at - rest->p) : rest->n};
    size_t used = at ? head.n + 1 : head.n;
    rest->p += used;
    rest->n -= used;
    return head;
}

/* --- one field after the other ------------------------------------------------------------------- */

struct fields {
    unsigned count;
    bool foreign;          /* there was a field other than KEY_PARAM and KEY_TOKEN */
    struct sv_slice found; /* KEY_PARAM */
};

static enum sv_err take_field(struct fields *f, struct sv_slice name, struct sv_slice value, struct sv_error *err)
{
    if (++f->count > SV_MAX_FORM_FIELDS)
        return malformed(err, "too many form fields");
    if (!slice_is(name, "KEY_PARAM")) {
        /* Some clients repeat the token here. */
        f->foreign = f->foreign || !slice_is(name, "KEY_TOKEN");
        return SV_OK;
    }
    if (f->found.p)
        return malformed(err, "KEY_PARAM is given twice");
    f->found = value;
    return SV_OK;
}

static enum sv_err parse_urlencoded(struct sv_slice body, struct sv_arena *a, struct fields *f, struct sv_error *err)
{
    while (body.n > 0) {
        struct sv_slice value = cut(&body, '&');
        struct sv_slice raw_name = cut(&value, '='), name;
        if (raw_name.n == 0 && value.n == 0)
            continue;
        if (!sv_percent_decode(raw_name, true, a, &name))
            return malformed(err, "'%' without two hex digits in a form field's name");
        /* '+' stays: the Base64 decoder reads it and a blank alike. */
        if (slice_is(name, "KEY_PARAM") && !sv_percent_decode(value, false, a, &value))
            return malformed(err, "'%' without two hex digits in KEY_PARAM");
        enum sv_err rc = take_field(f, name, value, err);
        if (rc)
            return rc;
    }
    return SV_OK;
}

/* --- multipart (RFC 7578) ------------------------------------------------------------------------ */

/* `; name=value` or `; name="value"` of a header; the first part (type, disposition) is skipped. */
static bool header_param(struct sv_slice header, const char *name, struct sv_slice *ret)
{
    cut(&header, ';');
    while (header.n > 0) {
        const char *eq = memchr(header.p, '=', header.n), *semicolon = memchr(header.p, ';', header.n);
        if (!eq || (semicolon && semicolon < eq)) {
            cut(&header, ';');
            continue;
        }
        struct sv_slice key = trim(cut(&header, '=')), value;
        while (header.n > 0 && (*header.p == ' ' || *header.p == '\t'))
            header.p++, header.n--;
        if (header.n > 0 && *header.p == '"') {
            header.p++, header.n--;
            value = cut(&header, '"');
            cut(&header, ';');
        } else {
            value = trim(cut(&header, ';'));
        }
        if (slice_is_nocase(key, name)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

/* The name in the part's Content-Disposition; n = 0 if it has none. `part` is left at the content. */
static bool part_headers(struct sv_slice *part, struct sv_slice *ret_name)
{
    *ret_name = (struct sv_slice){"", 0};
    while (part->n > 0) {
        struct sv_slice line = cut(part, '\n');
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n == 0)
            return true;
        struct sv_slice value = line, key = trim(cut(&value, ':'));
        if (slice_is_nocase(key, "Content-Disposition"))
            header_param(value, "name", ret_name);
    }
    return false;
}

/* The next "--boundary" at the start of a line; *ret_end is where the part before it ends. */
static const char *next_delimiter(struct sv_slice in, bool at_start, struct sv_slice delimiter, const char **ret_end)
{
    const char *p = in.p, *end = in.p + in.n;
    while ((p = memmem(p, (size_t)(end - p), delimiter.p, delimiter.n))) {
        if (p == in.p && at_start) {
            *ret_end = p;
            return p;
        }
        if (p > in.p && p[-1] == '\n') {
            *ret_end = p - 1 > in.p && p[-2] == '\r' ? p - 2 : p - 1;
            return p;
        }
        p++;
    }
    return NULL;
}

/* What follows "--boundary": "--" ends the body, a line end begins a part. */
static enum sv_err after_delimiter(struct sv_slice *rest, bool *ret_last, struct sv_error *err)
{
    *ret_last = rest->n >= 2 && rest->p[0] == '-' && rest->p[1] == '-';
    if (*ret_last)
        return SV_OK;
    const char *newline = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    if (!newline || trim(cut(rest, '\n')).n != 0)
        return malformed(err, "multipart: the boundary is not alone on its line");
    return SV_OK;
}

static enum sv_err parse_multipart(struct sv_slice rest, struct sv_slice delimiter, struct fields *f,
                                   struct sv_error *err)
{
    const char *part_end, *at = next_delimiter(rest, true, delimiter, &part_end);
    while (at) {
        bool last;
        rest.n -= (size_t)(at + delimiter.n - rest.p);
        rest.p = at + delimiter.n;
        enum sv_err rc = after_delimiter(&rest, &last, err);
        if (rc || last)
            return rc;
        at = next_delimiter(rest, true, delimiter, &part_end);
        struct sv_slice part = {rest.p, at ? (size_t)(part_end - rest.p) : 0}, name;
        if (!at || !part_headers(&part, &name))
            break;
        rc = take_field(f, name, part, err);
        if (rc)
            return rc;
    }
    return malformed(err, "multipart: the closing boundary is missing");
}

static enum sv_err multipart_body(struct sv_slice type, struct sv_slice body, struct sv_arena *a, struct fields *f,
                                  struct sv_error *err)
{
    struct sv_slice boundary;
    if (!header_param(type, "boundary", &boundary) || boundary.n == 0 || boundary.n > 70)
        return malformed(err, "multipart: no boundary in Content-Type");
    struct sv_slice delimiter = {sv_arena_printf(a, "--%.*s", (int)boundary.n, boundary.p), boundary.n + 2};
    return parse_multipart(body, delimiter, f, err);
}

/* A body without a type is a form: some clients name none, Java's for every PUT. */
static enum sv_err parse_body(const struct sv_input *in, struct sv_slice body, struct sv_arena *a, struct fields *f,
                              struct sv_error *err)
{
    struct sv_slice header = {in->content_type ? in->content_type : "", 0}, rest;
    header.n = strlen(header.p);
    rest = header;
    struct sv_slice type = trim(cut(&rest, ';'));
    enum sv_err rc;
    if (trim(header).n == 0 || slice_is_nocase(type, "application/x-www-form-urlencoded"))
        rc = parse_urlencoded(body, a, f, err);
    else if (slice_is_nocase(type, "multipart/form-data"))
        rc = multipart_body(header, body, a, f, err);
    else
        rc = sv_fail(err, SV_E_MEDIA_TYPE, SV_F_NONE, EXPECTED);
    /* A misspelt field, or JSON sent as if it were a form, must not pass for "no parameters". */
    if (!rc && !f->found.p && f->foreign)
        rc = malformed(err, "the form has no field KEY_PARAM");
    return rc;
}

/* The query's other keys are for the rows. */
static enum sv_err parse_query(const struct sv_input *in, struct sv_arena *a, struct fields *f, struct sv_error *err)
{
    struct sv_slice query = {in->query, in->query ? strlen(in->query) : 0};
    return parse_urlencoded(query, a, f, err);
}

const char *const sv_form_query_keys[] = {"KEY_PARAM", "KEY_TOKEN", NULL};

enum sv_err sv_form_key_param(const struct sv_input *in, struct sv_arena *a, struct sv_slice *ret, struct sv_error *err)
{
    struct fields f = {0}, url = {0};
    struct sv_slice body = {in->body, in->body ? in->body_len : 0};
    *ret = (struct sv_slice){0};
    if (body.n > SV_MAX_BODY)
        return sv_fail(err, SV_E_BODY_TOO_LARGE, SV_F_NONE, sv_dec(SV_MAX_BODY).s);
    enum sv_err rc = parse_query(in, a, &url, err);
    if (!rc && trim(body).n > 0)
        rc = parse_body(in, body, a, &f, err);
    if (rc)
        return rc;
    if (f.found.p && url.found.p)
        return malformed(err, "KEY_PARAM is given in the query and in the body");
    *ret = f.found.p ? f.found : url.found;
    return SV_OK;
}
