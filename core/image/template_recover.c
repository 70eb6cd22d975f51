/* Uploads and copies that a crash left, at the start. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/image/template.h"

struct wanted {
    struct sv_id id;
    const char *source;
};

struct uploads {
    struct sv_cloud *c;
    struct wanted *wanted;
    size_t n, cap;
    struct sv_arena *a;
};

static void add_wanted(void *arg, const struct sv_template *t)
{
    struct uploads *u = arg;

    if (t->state != SV_TEMPLATE_IMPORTING || !t->source[0])
        return;
    u->wanted = sv_grow(u->wanted, u->n, &u->cap, sizeof(*u->wanted));
    u->wanted[u->n++] = (struct wanted){t->id, sv_arena_strdup(u->a, t->source)};
}

static enum sv_err read_wanted(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_template_filter any = {.name = NULL};
    const struct sv_page all = {0};
    uint64_t total;

    return sv_template_list(tx, sv_scope_system(), &any, &all, add_wanted, arg, &total, err);
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* By file name: the data directory may be another one this time, or spelt another way. */
static struct wanted *find_wanted(const struct uploads *u, const char *name)
{
    for (size_t i = 0; i < u->n; i++) {
        if (strcmp(file_name(u->wanted[i].source), name) == 0)
            return &u->wanted[i];
    }
    return NULL;
}

static enum sv_err write_source(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct wanted *w = arg;

    return sv_template_set_source(tx, &w->id, w->source, err);
}

static enum sv_err put_right(struct uploads *u, struct wanted *w, const char *path, struct sv_error *err)
{
    if (strcmp(w->source, path) == 0)
        return SV_OK;
    w->source = sv_arena_strdup(u->a, path);
    return sv_db_write(u->c->db, write_source, w, err);
}

/* What nobody waits for goes; what somebody does is where it is. */
static enum sv_err sweep(struct uploads *u, const char *dir, struct sv_error *err)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    enum sv_err rc = SV_OK;

    while (!rc && d && (e = readdir(d))) {
        SV_AUTOFREE char *path = sv_asprintf("%s/%s", dir, e->d_name);
        struct wanted *w = find_wanted(u, e->d_name);

        if (e->d_name[0] == '.')
            continue;
        if (w)
            rc = put_right(u, w, path, err);
        else
            unlink(path);
    }
    if (d)
        closedir(d);
    return rc;
}

/* A copy may not have been begun: no file tells where it is to be. */
static enum sv_err put_copies_right(struct uploads *u, struct sv_error *err)
{
    enum sv_err rc = SV_OK;

    for (size_t i = 0; !rc && i < u->n; i++) {
        struct wanted *w = &u->wanted[i];
        SV_AUTOFREE char *path = sv_template_copy_path(u->c, &w->id);

        if (strcmp(file_name(path), file_name(w->source)) == 0)
            rc = put_right(u, w, path, err);
    }
    return rc;
}

enum sv_err sv_template_recover(struct sv_cloud *c, struct sv_error *err)
{
    SV_AUTOFREE char *uploads = sv_asprintf("%s/upload", c->data_dir);
    SV_AUTOFREE char *copies = sv_asprintf("%s/copy", c->data_dir);
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    struct uploads u = {.c = c, .a = a};
    enum sv_err rc = sv_db_read(c->db, read_wanted, &u, err);

    if (!rc)
        rc = sweep(&u, uploads, err);
    if (!rc)
        rc = sweep(&u, copies, err);
    if (!rc)
        rc = put_copies_right(&u, err);
    free(u.wanted);
    return rc;
}
