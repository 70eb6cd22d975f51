/* Paths as people name them: on a command line, in a file of options. */
#ifndef STARVIRT_PATH_H
#define STARVIRT_PATH_H

#include "starvirt/error.h"

/* [bytes] A longer one is refused: with the name of a backup's disk behind it, it has to fit into 512. */
enum { SV_PATH_MAX = 400 };

/* `path` from the root: below `base`, which is from the root itself (NULL: the working directory), unless it is so
 * already. Blanks, ".." and symbolic links stay as they are given, and nothing needs to be there; "." and slashes that
 * say nothing go. Free with free(). NULL: *ret_why is what is wrong with it, a text that stays. */
char *sv_path_absolute(const char *path, const char *base, const char **ret_why);
/* What `path`, which is from the root, lies in. Free with free(). */
char *sv_path_parent(const char *path);
/* "WHAT PATH: WHY" as the first argument of an error; of a long path the end is shown. `what` it is for may be NULL. */
enum sv_err sv_fail_path(struct sv_error *err, enum sv_err code, const char *what, const char *path, const char *why);

#endif
