/* Volumes of a host and the template library of all: sizes and names, no bytes but a short text. */
#include "hv/sim/internal.h"

#include <stddef.h>
#include <stdlib.h>

/* Journaled as it is, behind the key; without its tail where a volume is in the image directory. */
struct image_record {
    struct sim_key template_id;
    int64_t size, virtual_size;
    struct sim_key pool;
};
enum { SHORT_RECORD = offsetof(struct image_record, pool) };

static size_t record_size(const struct image_record *r)
{
    return sim_key_empty(&r->pool) ? SHORT_RECORD : sizeof(*r);
}

static struct sim_volume *image_new(const struct sim_key *k, const struct image_record *r)
{
    struct sim_volume *v = sv_alloc(sizeof(*v));

    *v = (struct sim_volume){
        .key = *k, .template_id = r->template_id, .pool = r->pool, .size = r->size, .virtual_size = r->virtual_size};
    return v;
}

void sim_volume_free(void *p)
{
    struct sim_volume *v = p;

    if (v)
        free(v->content);
    free(v);
}

static struct image_record record_of(const struct sim_volume *v)
{
    return (struct image_record){
        .template_id = v->template_id, .size = v->size, .virtual_size = v->virtual_size, .pool = v->pool};
}

static void table_each(const struct sim_table *t, struct sim_rewrite *w)
{
    const struct sim_volume *v;

    for (size_t pos = 0; (v = sim_table_next(t, &pos));) {
        const struct image_record r = record_of(v);
        sim_journal_put(w, SIM_REC_VOLUME, &v->key, &r, record_size(&r));
        if (v->content)
            sim_journal_put(w, SIM_REC_CONTENT, &v->key, v->content, strlen(v->content));
    }
}

static bool table_grow(struct sim_volume *v, const struct image_record *r, int64_t *ret_delta)
{
    const bool alone = sim_key_empty(&r->template_id); /* it was replaced, and needs its template no more */

    if (r->size < v->size || (!alone && !sim_key_eq(&r->template_id, &v->template_id)))
        return false;
    *ret_delta = r->size - v->size;
    v->template_id = r->template_id;
    v->size = r->size;
    v->virtual_size = r->virtual_size;
    return true;
}

/* Replays one record onto `t`; *ret_delta is what it did to the space used of *ret_pool. */
static bool table_apply(struct sim_table *t, unsigned type, const struct sim_key *k, const unsigned char *p, size_t n,
                        struct sim_key *ret_pool, int64_t *ret_delta)
{
    struct sim_volume *v = sim_table_get(t, k);
    struct image_record r = {0};

    *ret_pool = v ? v->pool : r.pool;
    if (type == SIM_REC_DROP) {
        *ret_delta = v ? -v->size : 0;
        sim_volume_free(sim_table_take(t, k));
        return true;
    }
    if (type != SIM_REC_VOLUME || (n != sizeof(r) && n != SHORT_RECORD))
        return false;
    memcpy(&r, p, n);
    if (v) /* it grew */
        return table_grow(v, &r, ret_delta);
    v = image_new(k, &r);
    sim_table_put(t, &v->key);
    *ret_pool = v->pool;
    *ret_delta = v->size;
    return true;
}

static bool content_apply(struct sim_table *t, const struct sim_key *k, const unsigned char *p, size_t n)
{
    struct sim_volume *v = sim_table_get(t, k);

    if (!v || n > SIM_CONTENT_MAX)
        return false;
    free(v->content);
    v->content = n ? memcpy(sv_alloc(n + 1), p, n) : NULL;
    return true;
}

bool sim_volume_apply(struct sim_host *h, unsigned type, const struct sim_key *k, const unsigned char *p, size_t n)
{
    struct sim_key pool;
    int64_t delta;

    if (type == SIM_REC_CONTENT)
        return content_apply(&h->volumes, k, p, n);
    if (!table_apply(&h->volumes, type, k, p, n, &pool, &delta))
        return false;
    sim_pool_charge(h, &pool, delta);
    return true;
}

void sim_volume_each(struct sim_host *h, struct sim_rewrite *w)
{
    table_each(&h->volumes, w);
}

/* --- volumes --- */

static bool template_there(struct sim *s, const struct sim_key *k)
{
    pthread_mutex_lock(&s->templates.lock);
    const bool there = sim_table_get(&s->templates.table, k) != NULL;
    pthread_mutex_unlock(&s->templates.lock);
    return there;
}

static enum sv_err missing(enum sv_err what, const struct sim_key *k, struct sv_error *err)
{
    return sv_fail(err, what, SV_F_NONE, sim_key_id(k).s);
}

static enum sv_err no_volume(const struct sim_host *h, const struct sim_key *k, struct sv_error *err)
{
    return sim_table_get(&h->volumes, k) ? sv_fail(err, SV_E_STORAGE, SV_F_NONE, "the disk's storage is not open")
                                         : missing(SV_E_DISK_FILE, k, err);
}

enum sv_err sim_volume_there(struct sim_host *h, const struct sim_key *volume, struct sv_error *err)
{
    const struct sim_volume *v = sim_volume_get(h, volume);

    if (!v)
        return no_volume(h, volume, err);
    if (!sim_key_empty(&v->template_id) && !template_there(h->sim, &v->template_id))
        return missing(SV_E_TEMPLATE_FILE, &v->template_id, err);
    return SV_OK;
}

const char *sim_volume_content(const struct sim_host *h, const struct sim_key *volume)
{
    const struct sim_volume *v = sim_volume_get(h, volume);

    return v && v->content ? v->content : "";
}

enum sv_err sim_volume_write(struct sim_host *h, const struct sim_key *volume, const char *text, struct sv_error *err)
{
    const size_t n = strlen(text);

    if (!sim_volume_get(h, volume))
        return no_volume(h, volume, err);
    if (n > SIM_CONTENT_MAX)
        return sv_fail(err, SV_E_STORAGE, SV_F_NONE, "the text is too long for a simulated volume");
    if (strcmp(sim_volume_content(h, volume), text) == 0)
        return SV_OK;
    const enum sv_err rc = sim_record(h, SIM_REC_CONTENT, volume, text, n, err);
    if (!rc)
        (void)content_apply(&h->volumes, volume, (const unsigned char *)text, n);
    return rc;
}

enum sv_err sim_volumes_there(struct sim_host *h, const struct sim_domain *d, struct sv_error *err)
{
    const struct sim_def_disk *disks = sim_def_disks(d->def);
    enum sv_err rc = SV_OK;

    for (unsigned i = 0; !rc && i < d->def->disks; i++)
        rc = sim_volume_there(h, &disks[i].id, err);
    return rc;
}

/* What the template holds, the disk made of it holds. */
static enum sv_err inherit(struct sim_host *h, const struct sim_key *k, const struct sim_key *from,
                           struct sv_error *err)
{
    struct sim_templates *t = &h->sim->templates;
    char content[SIM_CONTENT_MAX + 1] = "";

    pthread_mutex_lock(&t->lock);
    const struct sim_volume *v = sim_table_get(&t->table, from);
    if (v && v->content)
        SV_COPY(content, v->content);
    pthread_mutex_unlock(&t->lock);
    return content[0] && !sim_volume_content(h, k)[0] ? sim_volume_write(h, k, content, err) : SV_OK;
}

/* `from`: its template, which a full copy does not stand on. */
static enum sv_err create(struct sim_host *h, const struct sim_key *k, const struct image_record *r,
                          const struct sim_key *from, struct sv_error *err)
{
    enum sv_err rc = SV_OK;

    if (sim_table_get(&h->volumes, k)) /* its content may not have been written any more */
        return sim_volume_get(h, k) ? inherit(h, k, from, err) : no_volume(h, k, err);
    if (!sim_key_empty(from) && !template_there(h->sim, from))
        return missing(SV_E_TEMPLATE_FILE, from, err);
    rc = sim_pool_room(h, &r->pool, r->size, err);
    if (!rc)
        rc = sim_record(h, SIM_REC_VOLUME, k, r, record_size(r), err);
    if (rc)
        return rc;
    struct sim_volume *v = image_new(k, r);
    sim_table_put(&h->volumes, &v->key);
    sim_pool_charge(h, &v->pool, v->size);
    return inherit(h, k, from, err);
}

enum sv_err sim_volume_create(struct sv_hv_host *hh, const struct sv_hv_disk *disk, const struct sv_deadline *dl,
                              struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct image_record r = {.size = disk->size, .virtual_size = disk->size};
    struct sim_key k = {0}, from = {0};
    enum sv_err rc = sim_key_of(&disk->id, &k, err);

    if (!rc && !sv_id_empty(&disk->template_id))
        rc = sim_key_of(&disk->template_id, &from, err);
    if (!disk->full)
        r.template_id = from;
    if (!rc && !sv_id_empty(&disk->pool))
        rc = sim_key_of(&disk->pool, &r.pool, err);
    if (!rc && disk->size < 1)
        rc = sv_fail(err, SV_E_STORAGE, SV_F_NONE, "invalid volume size");
    if (!rc)
        rc = sim_enter(h, SIM_CALL_volume_create, dl, err);
    if (rc)
        return rc;
    rc = create(h, &k, &r, &from, err);
    sim_leave(h);
    if (!rc && disk->full && disk->progress)
        disk->progress(disk->progress_arg, disk->size, disk->size);
    return rc;
}

enum sv_err sim_volume_delete(struct sv_hv_host *hh, const struct sv_id *disk, const struct sv_deadline *dl,
                              struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct sim_key k = {0};
    enum sv_err rc = sim_key_of(disk, &k, err);

    if (!rc)
        rc = sim_enter(h, SIM_CALL_volume_delete, dl, err);
    if (rc)
        return rc;
    if (sim_volume_get(h, &k)) {
        rc = sim_record(h, SIM_REC_DROP, &k, NULL, 0, err);
        if (!rc)
            (void)sim_volume_apply(h, SIM_REC_DROP, &k, NULL, 0);
    }
    sim_leave(h);
    return rc;
}

static enum sv_err grow(struct sim_host *h, const struct sim_key *k, int64_t bytes, struct sv_error *err)
{
    const struct sim_volume *v = sim_volume_get(h, k);

    if (!v)
        return no_volume(h, k, err);
    if (bytes < v->size)
        return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, "a smaller volume");
    if (bytes == v->size)
        return SV_OK;
    struct image_record r = record_of(v);
    r.size = r.virtual_size = bytes;
    enum sv_err rc = sim_pool_room(h, &v->pool, bytes - v->size, err);
    if (!rc)
        rc = sim_record(h, SIM_REC_VOLUME, k, &r, record_size(&r), err);
    if (!rc)
        (void)sim_volume_apply(h, SIM_REC_VOLUME, k, (const unsigned char *)&r, record_size(&r));
    return rc;
}

enum sv_err sim_volume_resize(struct sv_hv_host *hh, const struct sv_id *vm, const struct sv_id *disk, int64_t bytes,
                              const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct sim_key k = {0};
    enum sv_err rc = sim_key_of(disk, &k, err);

    (void)vm; /* a guest sees the size of its volumes at once */
    if (!rc)
        rc = sim_enter(h, SIM_CALL_volume_resize, dl, err);
    if (rc)
        return rc;
    rc = grow(h, &k, bytes, err);
    sim_leave(h);
    return rc;
}

/* The size first: killed between the records the old content is there, and the whole is done again. */
enum sv_err sim_volume_put(struct sim_host *h, const struct sim_key *volume, const struct sim_key *pool, int64_t size,
                           const char *content, struct sv_error *err)
{
    const struct sim_volume *v = sim_volume_get(h, volume);
    struct image_record r = {.size = size, .virtual_size = size, .pool = *pool};
    enum sv_err rc;

    if (!v) {
        rc = create(h, volume, &r, &r.template_id, err);
        return rc ? rc : sim_volume_write(h, volume, content, err);
    }
    r.pool = v->pool;
    if (r.size < v->size)
        r.size = r.virtual_size = v->size;
    rc = sim_pool_room(h, &v->pool, r.size - v->size, err);
    if (!rc)
        rc = sim_record(h, SIM_REC_VOLUME, volume, &r, record_size(&r), err);
    if (rc)
        return rc;
    (void)sim_volume_apply(h, SIM_REC_VOLUME, volume, (const unsigned char *)&r, record_size(&r));
    return sim_volume_write(h, volume, content, err);
}

/* --- templates --- */

static bool template_apply(void *arg, unsigned type, const struct sim_key *k, const unsigned char *p, size_t n)
{
    struct sim_templates *t = arg;
    struct sim_key pool;
    int64_t delta;

    if (type == SIM_REC_CONTENT)
        return content_apply(&t->table, k, p, n);
    return table_apply(&t->table, type, k, p, n, &pool, &delta);
}

static void template_each(void *arg, struct sim_rewrite *w)
{
    const struct sim_templates *t = arg;

    table_each(&t->table, w);
}

enum sv_err sim_templates_open(struct sim *s, const char *data_dir, struct sv_error *err)
{
    struct sim_templates *t = &s->templates;
    const bool first = strcmp(s->conf.name, "host") == 0;
    SV_AUTOFREE char *name = first ? sv_strdup("templates") : sv_asprintf("%s.templates", s->conf.name);
    const enum sv_err rc = sim_journal_open(&t->journal, data_dir, name, template_apply, t, err);

    if (rc || !sim_journal_bloated(&t->journal, t->table.n, true))
        return rc;
    return sim_journal_rewrite(&t->journal, template_each, t, err);
}

void sim_templates_close(struct sim *s)
{
    sim_journal_close(&s->templates.journal);
    sim_table_free(&s->templates.table, sim_volume_free);
}

/* True with its figures when the template is there. */
static bool template_get(struct sim *s, const struct sim_key *k, struct image_record *ret)
{
    pthread_mutex_lock(&s->templates.lock);
    const struct sim_volume *v = sim_table_get(&s->templates.table, k);
    if (v)
        *ret = record_of(v);
    pthread_mutex_unlock(&s->templates.lock);
    return v != NULL;
}

/* The content last: it is there or not, and whoever put the template is told only when it is. */
static enum sv_err template_add(struct sim *s, const struct sim_key *k, const struct image_record *r,
                                const char *content, struct sv_error *err)
{
    struct sim_templates *t = &s->templates;
    enum sv_err rc = SV_OK;

    pthread_mutex_lock(&t->lock);
    if (!sim_table_get(&t->table, k)) {
        rc = sim_journal_add(&t->journal, SIM_REC_VOLUME, k, r, record_size(r), err);
        if (!rc)
            (void)template_apply(t, SIM_REC_VOLUME, k, (const unsigned char *)r, record_size(r));
    }
    const struct sim_volume *v = sim_table_get(&t->table, k);
    if (!rc && content[0] && !v->content) {
        rc = sim_journal_add(&t->journal, SIM_REC_CONTENT, k, content, strlen(content), err);
        if (!rc)
            (void)template_apply(t, SIM_REC_CONTENT, k, (const unsigned char *)content, strlen(content));
    }
    pthread_mutex_unlock(&t->lock);
    return rc;
}

enum sv_err sim_template_put(struct sv_hv_host *hh, const struct sv_id *tmpl, const char *path, const char *format,
                             int64_t *ret_size, int64_t *ret_virtual, sv_hv_progress progress, void *arg,
                             const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct image_record r = {0};
    char content[SIM_CONTENT_MAX + 1];
    struct sv_image image;
    struct sim_key k = {0};
    enum sv_err rc = sim_key_of(tmpl, &k, err);

    if (!rc)
        rc = sim_enter(h, SIM_CALL_template_put, dl, err);
    if (rc)
        return rc;
    sim_leave(h); /* the image is read without the lock */
    if (!template_get(h->sim, &k, &r)) {
        rc = sv_image_sound(path, format, &image, dl, err);
        if (rc == SV_E_SYSTEM) /* a machine without qemu-img: only real hosts need it */
            rc = sv_image_whole(path, format, &image, dl, err);
        if (rc)
            return rc;
        r.size = image.size;
        r.virtual_size = image.virtual_size;
    }
    sim_image_content(path, content);
    rc = template_add(h->sim, &k, &r, content, err);
    if (rc)
        return rc;
    if (progress)
        progress(arg, r.size, r.size);
    *ret_size = r.size;
    *ret_virtual = r.virtual_size;
    return SV_OK;
}

enum sv_err sim_template_delete(struct sv_hv_host *hh, const struct sv_id *tmpl, const struct sv_deadline *dl,
                                struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct sim_templates *t = &h->sim->templates;
    struct sim_key k = {0};
    enum sv_err rc = sim_key_of(tmpl, &k, err);

    if (!rc)
        rc = sim_enter(h, SIM_CALL_template_delete, dl, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&t->lock);
    if (sim_table_get(&t->table, &k)) {
        rc = sim_journal_add(&t->journal, SIM_REC_DROP, &k, NULL, 0, err);
        if (!rc)
            (void)template_apply(t, SIM_REC_DROP, &k, NULL, 0);
    }
    pthread_mutex_unlock(&t->lock);
    sim_leave(h);
    return rc;
}

/* --- both --- */

struct listed {
    struct sim_key key;
    bool is_template;
    int64_t bytes;
};

static size_t copy_rows(const struct sim_host *h, const struct sim_table *t, bool is_template, struct listed *out)
{
    const struct sim_volume *v;
    size_t n = 0;

    for (size_t pos = 0; (v = sim_table_next(t, &pos));) {
        if (is_template || sim_volume_get(h, &v->key))
            out[n++] = (struct listed){.key = v->key, .is_template = is_template, .bytes = v->size};
    }
    return n;
}

enum sv_err sim_list_volumes(struct sv_hv_host *hh,
                             void (*row)(void *arg, const struct sv_id *volume, bool is_template, int64_t bytes),
                             void *arg, const struct sv_deadline *dl, struct sv_error *err)
{
    struct sim_host *h = sim_host_of(hh);
    struct sim_templates *t = &h->sim->templates;
    const enum sv_err rc = sim_enter(h, SIM_CALL_list_volumes, dl, err);

    if (rc)
        return rc;
    pthread_mutex_lock(&t->lock);
    SV_AUTOFREE struct listed *all = sv_alloc((h->volumes.n + t->table.n + 1) * sizeof(*all));
    size_t n = copy_rows(h, &h->volumes, false, all);
    n += copy_rows(h, &t->table, true, all + n);
    pthread_mutex_unlock(&t->lock);
    sim_leave(h);
    for (size_t i = 0; i < n; i++) {
        const struct sv_id id = sim_key_id(&all[i].key);
        row(arg, &id, all[i].is_template, all[i].bytes);
    }
    return SV_OK;
}
