#include "api/internal.h"

#include <strings.h>

/* Bare JSON as a wire's body. */

enum sv_err sv_json_read(const struct sv_input *in, struct sv_arena *a, struct sv_slice *ret, struct sv_error *err)
{
    static const char json[] = "application/json";
    const char *type = in->content_type ? in->content_type + strspn(in->content_type, " \t") : "";
    if (!*type)
        type = json;
    size_t n = strcspn(type, "; \t");
    (void)a;
    *ret = (struct sv_slice){0};
    if (!in->body || in->body_len == 0)
        return SV_OK;
    if (n != sizeof(json) - 1 || strncasecmp(type, json, n) != 0)
        return sv_fail(err, SV_E_MEDIA_TYPE, SV_F_NONE, json);
    /* "null" is what some clients send for no body at all */
    if (in->body_len != 4 || memcmp(in->body, "null", 4) != 0)
        *ret = (struct sv_slice){in->body, in->body_len};
    return SV_OK;
}
