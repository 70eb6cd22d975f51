/* A throw-away dialect that uses every part of a wire: bare JSON with real types, objects and lists of objects in and
 * out, several {name}s, PATCH, 201 with Location, 202, 204, marker paging, streams, operations told apart by the body,
 * two token headers, rows of errors, a listener of its own. It stores nothing: replies are made of the request. */
#ifndef STARVIRT_TESTS_TOY_H
#define STARVIRT_TESTS_TOY_H

#include "starvirt/api.h"

extern const struct sv_wire toy_wire;
extern const struct sv_dialect toy_dialect;

enum { TOY_THINGS = 7, TOY_FILE = 5 * 1024 * 1024 /* [bytes] of a download */ };

struct toy_part {
    const char *id;
    struct sv_opt_int weight;
};
struct toy_place {
    struct sv_opt_int x, y;
};
struct toy_in {
    const char *box, *thing, *name, *secret, *how;
    struct sv_opt_int size;
    struct sv_opt_bool on;
    struct sv_strs tags;
    const struct toy_place *place;
    struct sv_objs parts; /* struct toy_part */
    struct sv_page_in page;
};

#endif
