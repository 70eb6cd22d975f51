/* Files of "name = value" lines: blank lines and lines that start with '#' are skipped, blanks around
 * name and value are cut, a value in double quotes keeps its own. */
#ifndef STARVIRT_CONF_H
#define STARVIRT_CONF_H

#include "starvirt/error.h"
#include "starvirt/mem.h"

/* Called with each pair; what it returns other than SV_OK ends the reading, and `why` is to say what is wrong. Texts
 * live for the call. */
typedef enum sv_err (*sv_conf_fn)(void *arg, const char *name, const char *value, struct sv_buf *why);

/* CONFIG for a file that cannot be read, a line without '=', or a refusal of fn: `why`, which starts empty, names file
 * and line. */
enum sv_err sv_conf_read(const char *path, sv_conf_fn fn, void *arg, struct sv_buf *why);

#endif
