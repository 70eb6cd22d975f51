/* The envelope's first gate: what is accepted decodes within bounds and means the same when written
 * back; what is refused is refused at a place inside the input. */
#include <string.h>

#include "starvirt/text.h"
#include "tests/fuzz/fuzz.h"

/* Encodes and decodes again; the result must be the same bytes. */
static void round_trip(const unsigned char *data, size_t n)
{
    struct sv_buf text = {0};
    size_t back_n = 0, bad = 0;
    sv_b64_encode(&text, data, n);
    MUST(text.n == (n + 2) / 3 * 4);
    SV_AUTOFREE unsigned char *back = sv_realloc(NULL, text.n);
    MUST(sv_b64_decode(text.p, text.n, back, &back_n, &bad));
    MUST(back_n == n);
    MUST(n == 0 || memcmp(back, data, n) == 0);
    sv_buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SV_AUTOFREE unsigned char *out = sv_realloc(NULL, size);
    size_t n = SIZE_MAX, bad = 0;
    if (sv_b64_decode((const char *)data, size, out, &n, &bad)) {
        MUST(n <= size);
        round_trip(out, n);
    } else {
        MUST(bad >= 1 && bad <= size);
        MUST(n == SIZE_MAX);
    }
    round_trip(data, size);
    return 0;
}
