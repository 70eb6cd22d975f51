/* The file in a body of multipart/form-data (RFC 7578, 2046), read as it comes: the bytes of exactly one part with a
 * file name, whatever pieces they come in. */
#ifndef STARVIRT_SERVER_MULTIPART_H
#define STARVIRT_SERVER_MULTIPART_H

#include "starvirt/error.h"

enum {
    SV_BOUNDARY_MAX = 70,                    /* [bytes] RFC 2046 */
    SV_PART_LINE_MAX = 1024,                 /* [bytes] a line of a part's head */
    SV_MULTIPART_REST = 1024 * 1024,         /* [bytes] all that is not the file */
    SV_MULTIPART_HELD = SV_BOUNDARY_MAX + 4, /* [bytes] that may come out later than they went in */
};

/* Where the bytes of the file go, and the names of other parts. A refusal (BAD_REQUEST) ends the reading. */
struct sv_multipart_sink {
    void (*file)(void *arg, const char *p, size_t n);
    enum sv_err (*field)(void *arg, const char *name, struct sv_error *err); /* a part without a file name */
    void *arg;
};

struct sv_multipart {
    struct sv_multipart_sink sink;
    char delimiter[4 + SV_BOUNDARY_MAX + 1]; /* CR LF "--" boundary */
    size_t delimiter_len;
    size_t matched; /* bytes of the delimiter that came */
    size_t owed;    /* of these, how many are in no case content */
    enum { SV_PART_NONE, SV_PART_LINE_END, SV_PART_HEAD, SV_PART_FIELD, SV_PART_FILE, SV_PART_OVER } at;
    char line[SV_PART_LINE_MAX + 1];
    size_t line_len;
    size_t rest;         /* [bytes] that were not the file's */
    bool is_file, named; /* the part whose head is read */
    bool seen;           /* a file */
};

/* False when this is no multipart/form-data; `boundary` is "" when it says none that can be used. */
bool sv_multipart_type(const char *content_type, char boundary[SV_BOUNDARY_MAX + 1]);
void sv_multipart_begin(struct sv_multipart *m, const char *boundary, const struct sv_multipart_sink *sink);
/* Any piece of the body. Hands on no more than n + SV_MULTIPART_HELD bytes. BAD_REQUEST; then it is over. */
enum sv_err sv_multipart_feed(struct sv_multipart *m, const char *p, size_t n, struct sv_error *err);
/* The body has ended: BAD_REQUEST unless it was whole and had a file. */
enum sv_err sv_multipart_end(const struct sv_multipart *m, struct sv_error *err);

#endif
