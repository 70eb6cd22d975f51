/* Are the files of backups there? They may lie on storages that hang: a thread for each storage looks. */
#include "core/copy/backup.h"

/* The files of one backup, and what was seen of them. */
struct one {
    struct sv_id backup;
    bool there;
    unsigned n;
    int64_t bytes[SV_HV_MAX_DISKS];
    char *path[SV_HV_MAX_DISKS];
};
struct list {
    size_t n;
    struct one v[];
};

/* A VM's backups on one storage; rows of others are passed over. */
struct asked {
    const struct sv_id *storage;
    const struct sv_backup_rows *rows;
    size_t n;
    struct sv_arena *arena;
    bool *ret_there;
};

static void *question(void *arg)
{
    const struct asked *a = arg;
    struct list *l = sv_alloc(sizeof(*l) + a->n * sizeof(l->v[0]));

    for (size_t i = 0; i < a->n; i++) {
        const struct sv_backup_rows *row = &a->rows[i];
        struct one *o = &l->v[l->n];

        if (!sv_id_eq(&row->b.storage, a->storage))
            continue;
        o->backup = row->b.id;
        for (; o->n < row->disk_count; o->n++) {
            o->bytes[o->n] = row->disks[o->n].bytes;
            o->path[o->n] = sv_strdup(sv_backup_path(row, &row->disks[o->n], a->arena));
        }
        l->n++;
    }
    return l;
}

static void look_at(void *seen)
{
    struct list *l = seen;

    for (size_t i = 0; i < l->n; i++) {
        struct one *o = &l->v[i];

        o->there = o->n > 0;
        for (unsigned k = 0; k < o->n && o->there; k++)
            o->there = o->bytes[k] > 0 && sv_backup_file_size(o->path[k]) == o->bytes[k];
    }
}

/* NULL = it came later. */
static const struct one *find(const struct list *l, const struct sv_id *backup)
{
    for (size_t i = 0; i < l->n; i++) {
        if (sv_id_eq(&l->v[i].backup, backup))
            return &l->v[i];
    }
    return NULL;
}

static bool answers(const void *seen, void *arg)
{
    const struct asked *a = arg;
    bool all = true;

    for (size_t i = 0; i < a->n; i++) {
        const struct one *o;

        if (!sv_id_eq(&a->rows[i].b.storage, a->storage))
            continue;
        o = find(seen, &a->rows[i].b.id);
        a->ret_there[i] = o && o->there;
        all = all && o;
    }
    return all;
}

static void list_free(void *seen)
{
    struct list *l = seen;

    for (size_t i = 0; i < l->n; i++) {
        for (unsigned k = 0; k < l->v[i].n; k++)
            free(l->v[i].path[k]);
    }
    free(l);
}

static bool is_first_of_storage(const struct sv_backup_rows *rows, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (sv_id_eq(&rows[k].b.storage, &rows[i].b.storage))
            return false;
    }
    return true;
}

void sv_backup_looked(struct sv_cloud *c, const struct sv_id *vm, const struct sv_backup_rows *rows, size_t n,
                      struct sv_look *look, struct sv_arena *a, bool *ret_there)
{
    static const struct sv_look_kind kind = {
        .news = "backups", .question = question, .look = look_at, .answers = answers, .free = list_free};

    for (size_t i = 0; i < n; i++)
        ret_there[i] = false;
    for (size_t i = 0; i < n; i++) {
        struct asked asked = {&rows[i].b.storage, rows, n, a, ret_there};

        if (is_first_of_storage(rows, i))
            sv_looked(c, &kind, asked.storage, vm, look, &asked);
    }
}
