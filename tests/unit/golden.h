/* Texts against tests/golden/NAME; GOLDEN_WRITE=1 writes them anew. Read the difference before you commit it. */
#ifndef STARVIRT_TESTS_GOLDEN_H
#define STARVIRT_TESTS_GOLDEN_H

#include "starvirt/mem.h"
#include "tests/unit/check.h"

#include <libgen.h>

static inline char *golden_path(const char *name)
{
    SV_AUTOFREE char *here = sv_strdup(__FILE__);
    return sv_asprintf("%s/../golden/%s", dirname(here), name);
}

static inline char *golden_read(const char *path)
{
    struct sv_buf b = {0};
    char chunk[4096];
    size_t n;
    FILE *f = fopen(path, "r");
    if (!f)
        check_failed(__FILE__, __LINE__, "%s is missing", path);
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
        sv_buf_add(&b, chunk, n);
    fclose(f);
    return b.n ? sv_buf_steal(&b) : sv_strdup("");
}

static inline void matches_golden_file(const char *name, const char *text)
{
    SV_AUTOFREE char *path = golden_path(name);
    if (getenv("GOLDEN_WRITE")) {
        FILE *f = fopen(path, "w");
        CHECK(f);
        fputs(text, f);
        fclose(f);
    }
    SV_AUTOFREE char *want = golden_read(path);
    CHECK_STR(text, want);
}

#endif
