/* The body of a request on its way in: into memory, into the file of an upload, or, once the request is refused, into
 * nothing. All but sv_body_end() on the request's I/O thread. */
#ifndef STARVIRT_SERVER_BODY_H
#define STARVIRT_SERVER_BODY_H

#include "server/server.h"

/* Of a route that takes a file: does its Content-Type say one, or a form around it? MEDIA_TYPE, BAD_REQUEST. */
enum sv_err sv_body_file_type(struct sv_request *r, struct sv_error *err);
/* The head was looked at: which limits the body has. */
void sv_body_begin(struct sv_request *r);

enum sv_body_word {
    SV_BODY_TAKEN,
    SV_BODY_LATER,  /* nothing was taken: suspend the connection, then sv_body_hand_over(), and offer it again */
    SV_BODY_ANSWER, /* r is answered, and waits for the rest no longer */
    SV_BODY_ENOUGH, /* of a refused body: close the connection */
};
enum sv_body_word sv_body_take(struct sv_request *r, const char *data, size_t n);
void sv_body_hand_over(struct sv_request *r);
/* The file is whole, and on disk. BAD_REQUEST, NO_ROOM. Blocks on the disk. */
enum sv_err sv_body_file_end(struct sv_request *r, struct sv_error *err);

/* It comes no more, for this reason. True for the one who says so first, and who answers the request; for WHOLE
 * again each time. Any thread. */
bool sv_body_end(struct sv_request *r, enum sv_body how);

#endif
