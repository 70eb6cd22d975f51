/* Are the files of backups there? They may lie on storages that hang, so no thread that others need looks: each
 * directory of backups gets one of its own, while it is asked about, and whoever asked is told when it has looked. */
#include "core/copy/backup.h"
#include "starvirt/thread.h"

enum { STOP_LIMIT_MS = 2000, KEEP_US = 60 * 1000 * 1000 };

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

/* A VM's backups in one directory. */
struct item {
    struct sv_id vm;
    struct list *todo;  /* to be looked at; NULL = nobody asks */
    struct list *found; /* as last seen, by a look that began at `since` [us] */
    int64_t since;
    bool busy;
    struct item *next;
};
struct root {
    struct sv_looks *all;
    struct sv_id storage;
    bool running;
    struct item *items;
    struct root *next;
};
struct sv_looks {
    struct sv_crew crew; /* its mutex guards all of it; not held while a disk is looked at */
    struct root *roots;
    void (*news)(void *arg, const char *key);
    void *news_arg;
};

static void list_free(struct list *l)
{
    for (size_t i = 0; l && i < l->n; i++) {
        for (unsigned k = 0; k < l->v[i].n; k++)
            free(l->v[i].path[k]);
    }
    free(l);
}

static struct list *list_of(const struct sv_backup_rows *rows, size_t n, const struct sv_id *storage,
                            struct sv_arena *a)
{
    struct list *l = sv_alloc(sizeof(*l) + n * sizeof(l->v[0]));

    for (size_t i = 0; i < n; i++) {
        struct one *o = &l->v[l->n];

        if (!sv_id_eq(&rows[i].b.storage, storage))
            continue;
        o->backup = rows[i].b.id;
        for (; o->n < rows[i].disk_count; o->n++) {
            o->bytes[o->n] = rows[i].disks[o->n].bytes;
            o->path[o->n] = sv_strdup(sv_backup_path(&rows[i], &rows[i].disks[o->n], a));
        }
        l->n++;
    }
    return l;
}

/* --- the thread of a directory ------------------------------------------------------------------------ */

static void look_at(struct list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        struct one *o = &l->v[i];

        o->there = o->n > 0;
        for (unsigned k = 0; k < o->n && o->there; k++)
            o->there = o->bytes[k] > 0 && sv_backup_file_size(o->path[k]) == o->bytes[k];
    }
}

static struct item *due(struct root *r)
{
    struct item *i = r->items;

    while (i && !i->todo)
        i = i->next;
    return i;
}

static void tell(const struct sv_looks *s, const struct sv_id *vm)
{
    char key[SV_BACKUPS_KEY_LEN];

    sv_backups_key(vm, key);
    if (s->news)
        s->news(s->news_arg, key);
}

/* An item that is busy stays where it is. */
static void look(struct sv_looks *s, struct item *i)
{
    struct list *l = i->todo;
    const struct sv_id vm = i->vm;
    const int64_t began = sv_mono_us();

    i->todo = NULL;
    i->busy = true;
    pthread_mutex_unlock(&s->crew.mutex);
    look_at(l);
    pthread_mutex_lock(&s->crew.mutex);
    list_free(i->found);
    i->found = l;
    i->since = began;
    i->busy = false;
    if (s->crew.stop)
        return;
    pthread_mutex_unlock(&s->crew.mutex);
    tell(s, &vm);
    pthread_mutex_lock(&s->crew.mutex);
}

static void *look_main(void *arg)
{
    struct root *r = arg;
    struct sv_looks *s = r->all;
    struct item *i;

    pthread_mutex_lock(&s->crew.mutex);
    while (!s->crew.stop && (i = due(r)))
        look(s, i);
    sv_crew_leave(&s->crew, &r->running);
    pthread_mutex_unlock(&s->crew.mutex);
    return NULL;
}

/* --- asking ------------------------------------------------------------------------------------------- */

static void item_free(struct item *i)
{
    list_free(i->todo);
    list_free(i->found);
    free(i);
}

static void forget_old(struct root *r, int64_t now)
{
    for (struct item **at = &r->items; *at;) {
        struct item *i = *at;

        if (i->todo || i->busy || i->since > now - KEEP_US) {
            at = &i->next;
            continue;
        }
        *at = i->next;
        item_free(i);
    }
}

static struct root *root_of(struct sv_looks *s, const struct sv_id *storage)
{
    struct root *r = s->roots;

    while (r && !sv_id_eq(&r->storage, storage))
        r = r->next;
    if (r)
        return r;
    r = sv_alloc(sizeof(*r));
    *r = (struct root){.all = s, .storage = *storage, .next = s->roots};
    s->roots = r;
    return r;
}

static struct item *item_of(struct root *r, const struct sv_id *vm)
{
    struct item *i = r->items;

    while (i && !sv_id_eq(&i->vm, vm))
        i = i->next;
    if (i)
        return i;
    i = sv_alloc(sizeof(*i));
    *i = (struct item){.vm = *vm, .next = r->items};
    r->items = i;
    return i;
}

/* What was seen of a backup since then; NULL = nothing. */
static const struct one *seen(const struct item *i, const struct sv_id *backup, int64_t since)
{
    for (size_t k = 0; i->found && i->since >= since && k < i->found->n; k++) {
        if (sv_id_eq(&i->found->v[k].backup, backup))
            return &i->found->v[k];
    }
    return NULL;
}

static void ask(struct root *r, struct item *i, struct list *l)
{
    list_free(i->todo);
    i->todo = l;
    forget_old(r, sv_mono_us());
    sv_crew_wake(&r->all->crew, &r->running, look_main, r);
}

/* Was the directory asked about already, for one of the backups before this one? */
static bool is_asked(const struct item *i, const struct sv_backup_rows *rows, size_t k, int64_t since)
{
    for (size_t j = 0; j < k; j++) {
        if (sv_id_eq(&rows[j].b.storage, &rows[k].b.storage) && !seen(i, &rows[j].b.id, since))
            return true;
    }
    return false;
}

bool sv_backup_looked(struct sv_cloud *c, const struct sv_id *vm, const struct sv_backup_rows *rows, size_t n,
                      int64_t since_us, struct sv_arena *a, bool *ret_there)
{
    struct sv_looks *s = c->looks;
    bool all = true;

    pthread_mutex_lock(&s->crew.mutex);
    for (size_t k = 0; k < n; k++) {
        struct root *r = root_of(s, &rows[k].b.storage);
        struct item *i = item_of(r, vm);
        const struct one *o = seen(i, &rows[k].b.id, since_us);

        ret_there[k] = o && o->there;
        if (o)
            continue;
        if (!is_asked(i, rows, k, since_us))
            ask(r, i, list_of(rows, n, &r->storage, a));
        all = false;
    }
    pthread_mutex_unlock(&s->crew.mutex);
    return all;
}

/* --- life --------------------------------------------------------------------------------------------- */

void sv_looks_init(struct sv_cloud *c, void (*news)(void *arg, const char *key), void *arg)
{
    c->looks = sv_alloc(sizeof(*c->looks));
    sv_crew_init(&c->looks->crew);
    c->looks->news = news;
    c->looks->news_arg = arg;
}

/* One whose disk hangs is left behind: it touches nothing but the looks any more, which then stay. */
void sv_looks_free(struct sv_cloud *c)
{
    struct sv_looks *s = c->looks;
    const int64_t until = sv_mono_ms() + STOP_LIMIT_MS;

    if (!s)
        return;
    pthread_mutex_lock(&s->crew.mutex);
    s->crew.stop = true;
    pthread_cond_broadcast(&s->crew.change);
    while (s->crew.threads && sv_cond_wait(&s->crew.left, &s->crew.mutex, until))
        continue;
    const bool left = s->crew.threads == 0;
    pthread_mutex_unlock(&s->crew.mutex);
    c->looks = NULL;
    if (!left)
        return;
    for (struct root *r = s->roots, *next; r; r = next) {
        next = r->next;
        for (struct item *i = r->items, *after; i; i = after) {
            after = i->next;
            item_free(i);
        }
        free(r);
    }
    sv_crew_free(&s->crew);
    free(s);
}
