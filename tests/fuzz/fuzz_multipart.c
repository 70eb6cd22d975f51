/* A form with a file: the first line is its Content-Type, the rest its body, which comes in pieces of the size that the
 * first byte of it says. Whatever the pieces, the same bytes come out. */
#include "server/multipart.h"
#include "starvirt/mem.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

struct out {
    struct sv_buf file, fields;
    size_t in;
};

static void take(void *arg, const char *p, size_t n)
{
    struct out *o = arg;
    sv_buf_add(&o->file, p, n);
    MUST(o->file.n <= o->in + SV_MULTIPART_HELD);
}

static enum sv_err see(void *arg, const char *name, struct sv_error *err)
{
    struct out *o = arg;
    MUST(strlen(name) <= SV_PART_LINE_MAX);
    sv_buf_printf(&o->fields, "%s\n", name);
    return name[0] == '!' ? sv_fail(err, SV_E_BAD_REQUEST, SV_F_NONE, "!") : SV_OK;
}

static enum sv_err read_all(const char *boundary, const char *body, size_t n, size_t step, struct out *o)
{
    const struct sv_multipart_sink sink = {take, see, o};
    struct sv_multipart m;
    struct sv_error err = {0};
    enum sv_err rc = SV_OK;
    sv_multipart_begin(&m, boundary, &sink);
    for (size_t i = 0; !rc && i < n; i += step) {
        const size_t k = n - i < step ? n - i : step;
        o->in += k;
        rc = sv_multipart_feed(&m, body + i, k, &err);
    }
    if (!rc)
        rc = sv_multipart_end(&m, &err);
    MUST(!rc || rc == SV_E_BAD_REQUEST);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = memchr(data, '\n', size);
    char boundary[SV_BOUNDARY_MAX + 1];
    if (!line || line + 1 == data + size)
        return 0;
    SV_AUTOFREE char *type = sv_alloc((size_t)(line - data) + 1);
    memcpy(type, data, (size_t)(line - data));
    if (!sv_multipart_type(type, boundary) || !boundary[0])
        return 0;
    MUST(strlen(boundary) <= SV_BOUNDARY_MAX);
    const char *body = (const char *)line + 2;
    const size_t n = size - (size_t)(line + 2 - data);
    struct out pieces = {0}, whole = {0};
    const enum sv_err one = read_all(boundary, body, n, (size_t)line[1] + 1, &pieces);
    const enum sv_err two = read_all(boundary, body, n, n + 1, &whole);
    MUST(one == two && pieces.file.n == whole.file.n && pieces.fields.n == whole.fields.n);
    MUST(whole.file.n == 0 || memcmp(pieces.file.p, whole.file.p, whole.file.n) == 0);
    sv_buf_free(&pieces.file);
    sv_buf_free(&pieces.fields);
    sv_buf_free(&whole.file);
    sv_buf_free(&whole.fields);
    return 0;
}
