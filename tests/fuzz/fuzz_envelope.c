/* A body as it comes from the wire: the content type up to the first newline, then the body. */
#include "tests/fuzz/fuzz_check.h"

static void bind_with(const char *type, const char *body, size_t n)
{
    struct sv_input in = {type, body, n, NULL};
    struct bound b = bind_to(0, &in);
    must_hold(&b);
    bound_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
    if (!newline)
        return 0;
    size_t type_n = (size_t)(newline - data), body_n = size - type_n - 1;
    SV_AUTOFREE char *type = sv_alloc(type_n + 1);
    /* of its exact size, so that one byte too many is seen */
    SV_AUTOFREE char *body = sv_alloc(body_n ? body_n : 1);
    memcpy(type, data, type_n);
    memcpy(body, newline + 1, body_n);
    bind_with(type, body, body_n);
    bind_with("application/x-www-form-urlencoded", body, body_n);
    bind_with("multipart/form-data; boundary=B", body, body_n);
    return 0;
}
