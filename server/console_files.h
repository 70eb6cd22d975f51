/* The files of /console/, compiled in: ours of web/console/ and noVNC's. The table is made at build time by
 * scripts/embed-console. */
#ifndef STARVIRT_SERVER_CONSOLE_FILES_H
#define STARVIRT_SERVER_CONSOLE_FILES_H

#include <stdbool.h>
#include <stddef.h>

struct sv_console_file {
    const char *path; /* below /console/, "" = the page itself; NULL ends the table */
    const char *type;
    const char *text;
    size_t size;
    bool lasting; /* noVNC's: browsers may keep it for a while */
};
extern const struct sv_console_file sv_console_files[];

#endif
