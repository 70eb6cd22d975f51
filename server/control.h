/* DIR/control (starvirt/control.h), the server's side: a Unix socket with mode 0600. The kernel says who is at the
 * other end: the server's own user, or root. */
#ifndef STARVIRT_SERVER_CONTROL_H
#define STARVIRT_SERVER_CONTROL_H

#include "starvirt/db.h"

struct sv_control;
/* Asked for from now on, by a thread of its own. NULL when there can be no socket: the log says why, and the server
 * goes without. */
struct sv_control *sv_control_start(struct sv_db *db, const char *dir);
void sv_control_stop(struct sv_control *c); /* NULL ok */

#endif
