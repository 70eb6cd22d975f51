#include "server/framing.h"
#include "server/head.h"

#include <microhttpd.h>
#include <strings.h>

/* The library sticks a line that continues a header to its name, which it moves away from the value for that:
 * "Content-Length: 5" CRLF " 0" arrives as "Content-Length0" with 5. */
static bool is_folded(const char *key, size_t n, const char *value)
{
    const char *p = key + n + 1; /* behind the colon */
    if ((uintptr_t)value < (uintptr_t)p)
        return true;
    for (; p != value; p++)
        if (*p != ' ' && *p != '\t')
            return true;
    return false;
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_size,
                                 const char *value, size_t value_size)
{
    struct sv_request *r = cls;
    (void)kind;
    r->head_tail = value ? value + value_size : NULL;
    if (value && is_folded(key, key_size, value))
        sv_head_unframe(r, "header over several lines"); /* RFC 9112 5.2 */
    else
        sv_head_field(r, key, key_size, value, value_size);
    return MHD_YES;
}

void sv_framing_read(struct MHD_Connection *c, struct sv_request *r)
{
    if (r->head_read)
        return;
    r->head_read = true;
    MHD_get_connection_values_n(c, MHD_HEADER_KIND, on_header, r);
    sv_head_framed(r);
}

/* A line that begins with a colon ends the head for the library, and what follows is the next request: a proxy may see
 * that otherwise. Behind the last value there must be nothing but line ends, which the library has turned into NULs. */
void sv_framing_check_end(struct MHD_Connection *c, struct sv_request *r, const char *method)
{
    const union MHD_ConnectionInfo *size = MHD_get_connection_info(c, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const char *p = r->head_tail, *end = size ? method + size->header_size : NULL;
    if (!p || !end || r->unframed)
        return;
    for (unsigned n = 0; p != end; p++)
        if (*p != '\0' || ++n > 2 * strlen("\r\n")) {
            sv_head_unframe(r, "name of a header");
            return;
        }
}

static enum MHD_Result see(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_size, const char *value,
                           size_t value_size)
{
    (void)kind, (void)key, (void)key_size, (void)value, (void)value_size;
    *(bool *)cls = true;
    return MHD_NO;
}

bool sv_framing_has_trailers(struct MHD_Connection *c)
{
    bool found = false;
    MHD_get_connection_values_n(c, MHD_FOOTER_KIND, see, &found);
    return found;
}

/* What the library is told of a field; NULL = it is not there. */
static const char *framing_of(const struct sv_request *r, const char *key)
{
    if (r->unframed)
        return NULL;
    if (strcasecmp(key, "Transfer-Encoding") == 0)
        return r->chunked ? "chunked" : NULL;
    if (strcasecmp(key, "Expect") == 0)
        return r->expects ? "100-continue" : NULL;
    if (strcasecmp(key, "Content-Length") == 0)
        return r->length >= 0 ? sv_arena_strdup(r->arena, sv_dec(r->length).s) : NULL;
    return NULL;
}

/* Called by the library itself, when the head is complete and later. It asks for Cookie and Host as well: both are
 * none of its business here. */
__attribute__((visibility("default"))) enum MHD_Result
MHD_lookup_connection_value_n(struct MHD_Connection *c, enum MHD_ValueKind kind, const char *key, size_t key_size,
                              const char **ret_value, size_t *ret_size)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    const struct sv_link *conn = info ? info->socket_context : NULL;
    (void)key_size;
    if (kind != MHD_HEADER_KIND || !conn || !conn->request || !key)
        return MHD_NO;
    sv_framing_read(c, conn->request);
    const char *value = framing_of(conn->request, key);
    if (!value)
        return MHD_NO;
    if (ret_value)
        *ret_value = value;
    if (ret_size)
        *ret_size = strlen(value);
    return MHD_YES;
}
