/* Options as rows: what each is called, where its value goes, what it may be. */
#ifndef STARVIRT_SERVER_OPTION_ROWS_H
#define STARVIRT_SERVER_OPTION_ROWS_H

#include <stddef.h>

#include "server/options.h"

enum sv_option_type {
    SV_OPTION_STR,
    SV_OPTION_LIST,
    SV_OPTION_PATH,  /* kept from the root: what it is given to has another working directory, or gets one */
    SV_OPTION_PATHS, /* several, between commas */
    SV_OPTION_INT,
    SV_OPTION_BOOL,
    SV_OPTION_ENUM,
    SV_OPTION_MODE
};

struct sv_option {
    const char *name;
    enum sv_option_type type;
    size_t offset;
    const char *fallback; /* NULL = unset */
    int64_t min, max;     /* INT; MODE: min is the mode */
    const char *const *values;
    bool hidden, cli_only;
    const char *arg, *doc;
};

enum { SV_MAX_OPTIONS = 128 };
extern const struct sv_option sv_option_rows[];
extern const size_t sv_option_count;

#endif
