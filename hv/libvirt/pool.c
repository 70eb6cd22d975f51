#include "hv/libvirt/internal.h"

#include "starvirt/log.h"
#include "starvirt/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Where volumes live besides the image directory. A directory is used as the image directory is, without
 * libvirt. An NFS export is mounted by a pool of libvirt's and then a directory like any other. A Ceph pool
 * is one of libvirt's, too (rbd.c). Those of libvirt are transient and named by their storage's id, so that
 * what is there after a crash is found again. */

void lv_places_init(struct lv_places *p)
{
    pthread_mutex_init(&p->mu, NULL);
}

void lv_places_free(struct lv_places *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->v[i].dir);
    free(p->v);
    pthread_mutex_destroy(&p->mu);
}

/* --- the table --- */

/* Under p->mu. */
static struct lv_place *find(const struct lv_places *p, const struct sv_id *id)
{
    for (size_t i = 0; i < p->n; i++)
        if (sv_id_eq(&p->v[i].id, id))
            return &p->v[i];
    return NULL;
}

/* `dir` is taken over; NULL for Ceph. */
static void put(struct lv_places *p, const struct sv_id *id, enum sv_hv_pool_kind kind, char *dir, bool made)
{
    pthread_mutex_lock(&p->mu);
    struct lv_place *at = find(p, id);
    if (at) {
        made = made || at->made;
        free(at->dir);
    } else {
        p->v = sv_realloc(p->v, (p->n + 1) * sizeof(*p->v));
        at = &p->v[p->n++];
    }
    *at = (struct lv_place){.id = *id, .kind = kind, .dir = dir, .made = made};
    pthread_mutex_unlock(&p->mu);
}

/* The caller frees ret->dir. */
static bool get(struct lv_places *p, const struct sv_id *id, struct lv_place *ret)
{
    pthread_mutex_lock(&p->mu);
    const struct lv_place *at = find(p, id);
    if (at) {
        *ret = *at;
        ret->dir = at->dir ? sv_strdup(at->dir) : NULL;
    }
    pthread_mutex_unlock(&p->mu);
    return at != NULL;
}

static void drop(struct lv_places *p, const struct sv_id *id)
{
    pthread_mutex_lock(&p->mu);
    struct lv_place *at = find(p, id);
    if (at) {
        free(at->dir);
        *at = p->v[--p->n];
    }
    pthread_mutex_unlock(&p->mu);
}

char *lv_place_at(struct lv_host *h, size_t i, struct sv_id *ret_id, bool *ret_more)
{
    char *dir = NULL;
    pthread_mutex_lock(&h->places.mu);
    *ret_more = i < h->places.n;
    if (*ret_more) {
        *ret_id = h->places.v[i].id;
        dir = h->places.v[i].dir ? sv_strdup(h->places.v[i].dir) : NULL;
    }
    pthread_mutex_unlock(&h->places.mu);
    return dir;
}

bool lv_place_is_rbd(struct lv_host *h, const struct sv_id *pool)
{
    struct lv_place at = {.dir = NULL};
    bool yes = get(&h->places, pool, &at) && at.kind == SV_HV_POOL_RBD;
    free(at.dir);
    return yes;
}

char *lv_place_dir(struct lv_host *h, const struct sv_id *pool, struct sv_error *err)
{
    struct lv_place at = {.dir = NULL};
    if (sv_id_empty(pool))
        return sv_strdup(h->image_dir);
    if (get(&h->places, pool, &at) && at.dir)
        return at.dir;
    sv_fail(err, SV_E_STORAGE, SV_F_NONE,
            at.kind == SV_HV_POOL_RBD ? "a Ceph storage has no files" : "the storage is not open on this host");
    return NULL;
}

/* --- a volume's file --- */

char *lv_volume_find(struct lv_host *h, const struct sv_id *disk)
{
    char *first = lv_volume_path(h->image_dir, disk, false);
    struct sv_id id;
    bool more = access(first, F_OK) != 0;
    for (size_t i = 0; more; i++) {
        SV_AUTOFREE char *dir = lv_place_at(h, i, &id, &more);
        char *path = dir ? lv_volume_path(dir, disk, false) : NULL;
        if (path && access(path, F_OK) == 0) {
            free(first);
            return path;
        }
        free(path);
    }
    return first;
}

char *lv_disk_path(struct lv_host *h, const struct sv_hv_disk *disk, struct sv_error *err)
{
    if (sv_id_empty(&disk->pool))
        return lv_volume_find(h, &disk->id);
    SV_AUTOFREE char *dir = lv_place_dir(h, &disk->pool, err);
    return dir ? lv_volume_path(dir, &disk->id, false) : NULL;
}

/* --- directories --- */

static enum sv_err cannot(struct sv_error *err, const char *why)
{
    return sv_fail(err, SV_E_STORAGE, SV_F_NONE, why);
}

/* A link on the way could lead anywhere, and elsewhere tomorrow. */
static enum sv_err check_dir(const char *path, struct sv_error *err)
{
    struct stat st;
    SV_AUTOFREE char *real = realpath(path, NULL);
    if (!real || stat(real, &st) != 0)
        return cannot(err, strerrordesc_np(errno));
    if (strcmp(real, path) != 0)
        return cannot(err, "there is a symbolic link on the way to the directory");
    if (!S_ISDIR(st.st_mode))
        return cannot(err, strerrordesc_np(ENOTDIR));
    return access(path, R_OK | W_OK | X_OK) == 0 ? SV_OK : cannot(err, strerrordesc_np(errno));
}

static char *mark_of(const char *dir, const struct sv_id *id)
{
    return sv_asprintf("%s/.storage-%s", dir, id->s);
}

/* A directory that is a mount point is there without the mount, too: nothing must land on it then. */
static enum sv_err check_mark(const struct sv_hv_pool *pool, struct sv_error *err)
{
    SV_AUTOFREE char *path = mark_of(pool->path, &pool->id);
    const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (pool->known ? 0 : O_CREAT), 0600);
    if (fd >= 0)
        close(fd);
    else if (errno == ENOENT)
        return cannot(err, "the directory is another one than was added: is it mounted?");
    else
        return errno == ENOSPC || errno == EDQUOT ? sv_fail(err, SV_E_STORAGE_FULL, SV_F_NONE)
                                                  : cannot(err, strerrordesc_np(errno));
    return SV_OK;
}

static enum sv_err open_dir(struct lv_host *h, const struct sv_hv_pool *pool, struct sv_error *err)
{
    if (h->remote)
        return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, "directories on a host behind a remote URI");
    bool made = mkdir(pool->path, 0711) == 0;
    enum sv_err rc = !made && errno != EEXIST ? cannot(err, strerrordesc_np(errno)) : check_dir(pool->path, err);
    if (rc) {
        if (made)
            rmdir(pool->path);
        return rc;
    }
    struct lv_place known = {.dir = NULL};
    const bool first = !get(&h->places, &pool->id, &known);
    free(known.dir);
    if (made)
        chmod(pool->path, 0711); /* nobody lists it, QEMU opens by name */
    rc = check_mark(pool, err);
    if (rc) {
        if (made)
            rmdir(pool->path);
        return rc;
    }
    if (first) { /* later, something may be in the making there */
        lv_volume_warn_if_hidden(pool->path);
        lv_volume_sweep(pool->path);
    }
    put(&h->places, &pool->id, SV_HV_POOL_DIR, sv_strdup(pool->path), made);
    return SV_OK;
}

/* --- pools of libvirt's --- */

void lv_storage_free(virStoragePoolPtr *p)
{
    if (*p)
        virStoragePoolFree(*p);
}

enum sv_err lv_storage_error(struct lv_host *h, virConnectPtr conn, const char *what, struct sv_error *err)
{
    char why[SV_ERR_ARG_MAX];
    struct sv_error e = {0};
    enum sv_err rc = lv_error(h, conn, what, &e);
    SV_COPY(why, e.arg[0]);
    if (rc == SV_E_HOST_TIMEOUT || rc == SV_E_STORAGE_FULL)
        return sv_fail(err, rc, SV_F_NONE, why);
    return sv_fail(err, SV_E_STORAGE, SV_F_NONE, why);
}

virStoragePoolPtr lv_storage_lookup(virConnectPtr conn, const struct sv_id *id)
{
    virStoragePoolPtr p = virStoragePoolLookupByUUIDString(conn, id->s);
    virResetLastError();
    return p;
}

static char *nfs_dir(const struct lv_host *h, const struct sv_id *id)
{
    return sv_asprintf("%s/%s.nfs", h->image_dir, id->s);
}

/* "server:/export" or "[2001:db8::1]:/export". */
static char *nfs_xml(const struct lv_host *h, const struct sv_hv_pool *pool)
{
    struct sv_buf out = {0};
    struct sv_xml x;
    const char *export = strstr(pool->path, ":/");
    SV_AUTOFREE char *target = nfs_dir(h, &pool->id);
    SV_AUTOFREE char *server = sv_asprintf("%.*s", (int)(export - pool->path), pool->path);
    sv_xml_init(&x, &out);
    sv_xml_open(&x, "pool");
    sv_xml_attr(&x, "type", "netfs");
    sv_xml_leaf(&x, "name", pool->id.s);
    sv_xml_leaf(&x, "uuid", pool->id.s);
    sv_xml_open(&x, "source");
    sv_xml_open(&x, "host");
    sv_xml_attr(&x, "name", server);
    sv_xml_close(&x);
    sv_xml_open(&x, "dir");
    sv_xml_attr(&x, "path", export + 1);
    sv_xml_close(&x);
    sv_xml_open(&x, "format");
    sv_xml_attr(&x, "type", "nfs");
    sv_xml_close(&x);
    sv_xml_close(&x);
    sv_xml_open(&x, "target");
    sv_xml_leaf(&x, "path", target);
    sv_xml_close(&x);
    sv_xml_close(&x);
    return sv_buf_steal(&out);
}

/* One that is active is good as it is: libvirt connects anew for each call. */
static enum sv_err activate(struct lv_host *h, virConnectPtr conn, const struct sv_hv_pool *pool, const char *xml,
                            unsigned flags, struct sv_error *err)
{
    LV_STORAGE there = lv_storage_lookup(conn, &pool->id);
    if (there && virStoragePoolIsActive(there) == 1)
        return SV_OK;
    virResetLastError();
    if (there)
        virStoragePoolDestroy(there); /* in vain when it is gone */
    virResetLastError();
    LV_STORAGE made = virStoragePoolCreateXML(conn, xml, flags);
    return made ? SV_OK : lv_storage_error(h, conn, "pool_create", err);
}

static enum sv_err open_nfs(struct lv_host *h, virConnectPtr conn, const struct sv_hv_pool *pool, struct sv_error *err)
{
    if (h->remote)
        return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, "files on a host behind a remote URI");
    if (!strstr(pool->path, ":/"))
        return cannot(err, "NFS takes server:/export");
    SV_AUTOFREE char *xml = nfs_xml(h, pool);
    SV_AUTOFREE char *dir = nfs_dir(h, &pool->id);
    enum sv_err rc = activate(h, conn, pool, xml, VIR_STORAGE_POOL_CREATE_WITH_BUILD, err);
    if (rc) {
        rmdir(dir);
        return rc;
    }
    put(&h->places, &pool->id, SV_HV_POOL_NFS, sv_strdup(dir), false);
    return SV_OK;
}

static enum sv_err open_rbd(struct lv_host *h, virConnectPtr conn, const struct sv_hv_pool *pool, struct sv_error *err)
{
    enum sv_err rc = lv_rbd_secret(h, conn, pool, err);
    if (rc)
        return rc;
    SV_AUTOFREE char *xml = lv_rbd_xml(pool);
    rc = activate(h, conn, pool, xml, 0, err);
    if (rc) {
        lv_rbd_forget(conn, &pool->id);
        return rc;
    }
    put(&h->places, &pool->id, SV_HV_POOL_RBD, NULL, false);
    return SV_OK;
}

/* --- rows of the driver table --- */

static enum sv_err do_close(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err);

static enum sv_err open_kind(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    switch (op->storage->kind) {
    case SV_HV_POOL_DIR:
        return open_dir(h, op->storage, err);
    case SV_HV_POOL_NFS:
        return open_nfs(h, conn, op->storage, err);
    case SV_HV_POOL_RBD:
        return open_rbd(h, conn, op->storage, err);
    }
    return cannot(err, "unknown kind of storage");
}

static enum sv_err do_open(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    struct sv_error ignored;
    enum sv_err rc = open_kind(h, conn, op, err);
    pthread_mutex_lock(&h->pool.mu);
    const bool left = op->left;
    pthread_mutex_unlock(&h->pool.mu);
    if (!rc && left) /* who asked was told that it failed */
        (void)do_close(h, conn, op, &ignored);
    return rc;
}

enum sv_err lv_place_open(struct sv_hv_host *h, const struct sv_hv_pool *pool, const struct sv_deadline *d,
                          struct sv_error *err)
{
    LV_OP op = lv_op_new(&pool->id);
    if (!sv_id_valid(pool->id.s))
        return cannot(err, "not an id");
    op->patient = true; /* Ceph and NFS end by themselves, and say why */
    op->storage = sv_alloc(sizeof(*op->storage));
    *op->storage = *pool;
    return lv_call(lv_host_of(h), op, do_open, LV_CALL_HOST, d, err);
}

/* What libvirt has of it goes, whoever made it. */
static enum sv_err do_close(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    struct lv_place at = {.dir = NULL};
    LV_STORAGE p = lv_storage_lookup(conn, &op->vm);
    bool known = get(&h->places, &op->vm, &at);
    SV_AUTOFREE char *dir = at.dir;
    if (p && virStoragePoolIsActive(p) == 1 && virStoragePoolDestroy(p) < 0)
        return lv_storage_error(h, conn, "pool_destroy", err);
    lv_rbd_forget(conn, &op->vm);
    virResetLastError();
    drop(&h->places, &op->vm);
    if (p && !h->remote) {
        SV_AUTOFREE char *mount = nfs_dir(h, &op->vm);
        rmdir(mount);
    }
    if (known && dir && at.kind == SV_HV_POOL_DIR) {
        SV_AUTOFREE char *mark = mark_of(dir, &op->vm);
        unlink(mark);
    }
    if (known && dir && at.made) /* in vain when somebody put something there */
        rmdir(dir);
    return SV_OK;
}

enum sv_err lv_place_close(struct sv_hv_host *h, const struct sv_id *pool, const struct sv_deadline *d,
                           struct sv_error *err)
{
    LV_OP op = lv_op_new(pool);
    return lv_call(lv_host_of(h), op, do_close, LV_CALL_HOST, d, err);
}

static enum sv_err file_system(const char *dir, struct sv_hv_info *ret, struct sv_error *err)
{
    struct statvfs fs;
    if (statvfs(dir, &fs) != 0)
        return cannot(err, strerrordesc_np(errno));
    ret->storage_size = (int64_t)fs.f_blocks * (int64_t)fs.f_frsize;
    ret->storage_used = ret->storage_size - (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    return SV_OK;
}

static enum sv_err do_info(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    virStoragePoolInfo info;
    if (!lv_place_is_rbd(h, &op->vm)) {
        SV_AUTOFREE char *dir = lv_place_dir(h, &op->vm, err);
        return dir ? file_system(dir, &op->info, err) : err->code;
    }
    LV_STORAGE p = lv_storage_lookup(conn, &op->vm);
    if (!p)
        return cannot(err, "the storage is not open on this host");
    if (virStoragePoolRefresh(p, 0) < 0 || virStoragePoolGetInfo(p, &info) < 0)
        return lv_storage_error(h, conn, "pool_info", err);
    op->info.storage_size = (int64_t)info.capacity;
    op->info.storage_used = (int64_t)(info.capacity - info.available);
    return SV_OK;
}

enum sv_err lv_place_info(struct sv_hv_host *h, const struct sv_id *pool, int64_t *ret_size, int64_t *ret_used,
                          const struct sv_deadline *d, struct sv_error *err)
{
    LV_OP op = lv_op_new(pool);
    enum sv_err rc = lv_call(lv_host_of(h), op, do_info, LV_CALL_HOST, d, err);
    if (!rc) {
        *ret_size = op->info.storage_size;
        *ret_used = op->info.storage_used;
    }
    return rc;
}
