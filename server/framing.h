/* Where a request ends: one reading of its head, ours, for us and for the HTTP library.
 *
 * libmicrohttpd (0.9.75) looks up Content-Length, Transfer-Encoding and Expect itself when a head is complete, as they
 * came, with the blanks after a value; it answers a Content-Length that it cannot read on its own, and sends the head
 * of that answer twice. It looks up by a public function of its own, and a program's definition of such a function
 * comes before the library's (ELF). So ours is asked: it reads the whole head first and then says what was found.
 * Nothing can be framed in two ways, and where a body ends nowhere, there is none and our answer goes out alone. */
#ifndef STARVIRT_SERVER_FRAMING_H
#define STARVIRT_SERVER_FRAMING_H

#include "server/server.h"

struct MHD_Connection;

/* Reads the headers into r, once; later calls do nothing. */
void sv_framing_read(struct MHD_Connection *c, struct sv_request *r);
/* Then, with the method as the library names it: does the head end where the library thinks? Else r has a fault. */
void sv_framing_check_end(struct MHD_Connection *c, struct sv_request *r, const char *method);
/* A chunked body ended with fields. Where those end cannot be checked: nothing may follow on the connection. */
bool sv_framing_has_trailers(struct MHD_Connection *c);

#endif
