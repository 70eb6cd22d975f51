#include "server/traces.h"
#include "starvirt/id.h"
#include "starvirt/mem.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

/* Files that begin with an id are ours; what else lies there an administrator may have put. */
static unsigned count_ours(const char *dir)
{
    DIR *d = opendir(dir);
    unsigned n = 0;
    for (const struct dirent *e; d && (e = readdir(d));) {
        char id[SV_ID_LEN + 1];
        sv_copy(id, sizeof(id), e->d_name);
        const struct sv_id found = sv_id_from(id);
        n += strlen(e->d_name) >= SV_ID_LEN && !sv_id_empty(&found);
    }
    if (d)
        closedir(d);
    return n;
}

static void add(struct sv_buf *out, const char *what, unsigned n)
{
    sv_buf_printf(out, "%s%s", out->n ? ", " : "", what);
    if (n)
        sv_buf_printf(out, " (%u)", n);
}

char *sv_traces(const char *data_dir)
{
    static const char *const folders[] = {"images", "backups"}, *const files[] = {"secrets/key", "admin.token"};
    struct sv_buf out = {0};
    for (unsigned i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        SV_AUTOFREE char *path = sv_asprintf("%s/%s", data_dir, folders[i]);
        const unsigned n = count_ours(path);
        if (n)
            add(&out, folders[i], n);
    }
    for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        SV_AUTOFREE char *path = sv_asprintf("%s/%s", data_dir, files[i]);
        if (access(path, F_OK) == 0)
            add(&out, files[i], 0);
    }
    return out.p;
}
