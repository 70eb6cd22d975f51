/* The JSON of KEY_PARAM against a route with every type of parameter, and as a query string. */
#include "tests/fuzz/fuzz_check.h"

static void query(const uint8_t *data, size_t size)
{
    SV_AUTOFREE char *text = sv_alloc(size + 1);
    if (size > 0)
        memcpy(text, data, size);
    struct sv_input in = {NULL, NULL, 0, text};
    struct bound b = bind_to(1, &in);
    const struct id_in *got = b.in;
    if (b.code == SV_OK) {
        MUST(strcmp(got->id, "some-id") == 0);
        MUST(!got->since.set || got->since.v >= 0);
        MUST(!got->wait.set || got->wait.v <= 60);
    } else {
        must_be_an_error(&b);
    }
    bound_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bound b = bind_json_n((const char *)data, size);
    must_hold(&b);
    bound_free(&b);
    query(data, size);
    return 0;
}
