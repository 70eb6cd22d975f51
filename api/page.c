#include "api/internal.h"

/* Paging, in the three ways documents have it. */

struct sv_window sv_page_by_number(const struct sv_page_in *in, int64_t first, unsigned usual)
{
    const unsigned limit = in->size.set ? (unsigned)in->size.v : usual;
    const uint64_t page = in->at.set ? (uint64_t)(in->at.v - first) : 0;
    if (!in->at.set && !in->size.set)
        return (struct sv_window){0};
    return (struct sv_window){.offset = page * limit, .limit = limit};
}

struct sv_window sv_page_by_offset(const struct sv_page_in *in, unsigned usual)
{
    return (struct sv_window){.offset = in->at.set ? (uint64_t)in->at.v : 0,
                              .limit = in->size.set ? (unsigned)in->size.v : usual};
}

struct sv_window sv_page_by_marker(const struct sv_page_in *in, unsigned usual)
{
    return (struct sv_window){.after = in->marker, .limit = in->size.set ? (unsigned)in->size.v : usual};
}
