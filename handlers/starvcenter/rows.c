/* What several resources of this dialect share. */
#include "handlers/starvcenter/rows.h"

struct sv_page sv_page_of(const struct sv_page_in *in)
{
    const unsigned limit = in->size.set ? (unsigned)in->size.v : SV_MAX_PAGE;
    const uint64_t page = in->start.set ? (uint64_t)in->start.v : 1;

    if (!in->start.set && !in->size.set)
        return (struct sv_page){0};
    return (struct sv_page){.offset = (page - 1) * limit, .limit = limit};
}

enum sv_err sv_wire_fail(struct sv_call *c, enum sv_err code, const char *wire, const char *arg)
{
    sv_fail(c->err, code, SV_F_NONE, arg);
    SV_COPY(c->err->wire, wire);
    return code;
}
