#include "hv/libvirt/internal.h"

#include "starvirt/log.h"
#include "starvirt/text.h"

#include <stdlib.h>

/* Images of Ceph pools, through libvirt: raw, named by the id of their disk. The key goes to libvirt as a
 * secret that it keeps in memory and shows nobody. */

/* --- the secret --- */

static char *secret_xml(const struct sv_id *id)
{
    struct sv_buf out = {0};
    struct sv_xml x;
    SV_AUTOFREE char *usage = sv_asprintf("starvirt storage %s", id->s);
    sv_xml_init(&x, &out);
    sv_xml_open(&x, "secret");
    sv_xml_attr(&x, "ephemeral", "yes");
    sv_xml_attr(&x, "private", "yes");
    sv_xml_leaf(&x, "uuid", id->s);
    sv_xml_open(&x, "usage");
    sv_xml_attr(&x, "type", "ceph");
    sv_xml_leaf(&x, "name", usage);
    sv_xml_close(&x);
    sv_xml_close(&x);
    return sv_buf_steal(&out);
}

static void free_secret(virSecretPtr *s)
{
    if (*s)
        virSecretFree(*s);
}

enum sv_err lv_rbd_secret(struct lv_host *h, virConnectPtr conn, const struct sv_hv_pool *pool, struct sv_error *err)
{
    unsigned char raw[sizeof(pool->rbd_key)];
    size_t n = 0, bad;
    if (!sv_b64_decode(pool->rbd_key, strlen(pool->rbd_key), raw, &n, &bad) || n == 0)
        return sv_fail(err, SV_E_STORAGE, SV_F_NONE, "the key is not Base64");
    SV_AUTOFREE char *xml = secret_xml(&pool->id);
    SV_CLEANUP(free_secret) virSecretPtr s = virSecretDefineXML(conn, xml, 0);
    enum sv_err rc = SV_OK;
    if (!s || virSecretSetValue(s, raw, n, 0) < 0)
        rc = lv_storage_error(h, conn, "secret", err);
    explicit_bzero(raw, sizeof(raw));
    return rc;
}

void lv_rbd_forget(virConnectPtr conn, const struct sv_id *pool)
{
    SV_CLEANUP(free_secret) virSecretPtr s = virSecretLookupByUUIDString(conn, pool->s);
    if (s)
        virSecretUndefine(s);
    virResetLastError();
}

/* --- the pool --- */

/* "10.0.0.1:6789", "mon.example", "[2001:db8::1]:3300" */
static void monitor(struct sv_xml *x, const char *at, size_t n)
{
    const bool bracketed = n && at[0] == '[';
    SV_AUTOFREE char *host = sv_asprintf("%.*s", (int)n, at);
    char *end = bracketed ? strchr(host, ']') : strchr(host, ':');
    const char *port = end ? strchr(end, ':') : NULL;
    SV_AUTOFREE char *number = port ? sv_strdup(port + 1) : NULL;
    if (end)
        *end = '\0';
    sv_xml_open(x, "host");
    sv_xml_attr(x, "name", bracketed ? host + 1 : host);
    if (number)
        sv_xml_attr(x, "port", number);
    sv_xml_close(x);
}

char *lv_rbd_xml(const struct sv_hv_pool *pool)
{
    struct sv_buf out = {0};
    struct sv_xml x;
    sv_xml_init(&x, &out);
    sv_xml_open(&x, "pool");
    sv_xml_attr(&x, "type", "rbd");
    sv_xml_leaf(&x, "name", pool->id.s);
    sv_xml_leaf(&x, "uuid", pool->id.s);
    sv_xml_open(&x, "source");
    sv_xml_leaf(&x, "name", pool->rbd_pool);
    for (const char *at = pool->monitors; *at;) {
        size_t n = strcspn(at, ",");
        monitor(&x, at, n);
        at += n + (at[n] == ',');
    }
    sv_xml_open(&x, "auth");
    sv_xml_attr(&x, "username", pool->rbd_user);
    sv_xml_attr(&x, "type", "ceph");
    sv_xml_open(&x, "secret");
    sv_xml_attr(&x, "uuid", pool->id.s);
    sv_xml_close(&x);
    sv_xml_close(&x);
    sv_xml_close(&x);
    sv_xml_close(&x);
    return sv_buf_steal(&out);
}

/* --- volumes --- */

static void free_volume(virStorageVolPtr *v)
{
    if (*v)
        virStorageVolFree(*v);
}
#define LV_VOLUME SV_CLEANUP(free_volume) virStorageVolPtr

static virStorageVolPtr lookup(virStoragePoolPtr p, const struct sv_id *disk)
{
    virStorageVolPtr v = virStorageVolLookupByName(p, disk->s);
    virResetLastError();
    return v;
}

static char *volume_xml(const struct sv_hv_disk *disk)
{
    struct sv_buf out = {0};
    struct sv_xml x;
    sv_xml_init(&x, &out);
    sv_xml_open(&x, "volume");
    sv_xml_leaf(&x, "name", disk->id.s);
    sv_xml_open(&x, "capacity");
    sv_xml_attr(&x, "unit", "bytes");
    sv_xml_text(&x, sv_dec(disk->size).s);
    sv_xml_close(&x);
    sv_xml_close(&x);
    return sv_buf_steal(&out);
}

static virStoragePoolPtr pool_of(virConnectPtr conn, const struct lv_op *op, struct sv_error *err)
{
    virStoragePoolPtr p = lv_storage_lookup(conn, &op->disk.pool);
    if (!p)
        sv_fail(err, SV_E_STORAGE, SV_F_NONE, "the storage is not open on this host");
    return p;
}

static enum sv_err do_create(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_STORAGE p = pool_of(conn, op, err);
    if (!p)
        return err->code;
    LV_VOLUME there = lookup(p, &op->disk.id);
    if (there)
        return SV_OK;
    SV_AUTOFREE char *xml = volume_xml(&op->disk);
    LV_VOLUME made = virStorageVolCreateXML(p, xml, 0);
    if (made)
        return SV_OK;
    enum sv_err rc = lv_storage_error(h, conn, "volume_create", err);
    /* made before a crash, and not seen since? */
    virStoragePoolRefresh(p, 0);
    LV_VOLUME late = lookup(p, &op->disk.id);
    return late ? SV_OK : rc;
}

enum sv_err lv_rbd_create(struct lv_host *h, const struct sv_hv_disk *disk, const struct sv_deadline *d,
                          struct sv_error *err)
{
    LV_OP op = lv_op_new(NULL);
    if (!sv_id_empty(&disk->template_id))
        return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, "a Ceph volume from a template");
    op->disk = *disk;
    return lv_call(h, op, do_create, LV_CALL_HOST, d, err);
}

static enum sv_err do_delete(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_STORAGE p = pool_of(conn, op, err);
    LV_VOLUME v = p ? lookup(p, &op->disk.id) : NULL;
    if (!p)
        return err->code;
    if (!v && virStoragePoolRefresh(p, 0) < 0)
        return lv_storage_error(h, conn, "pool_refresh", err);
    LV_VOLUME late = v ? NULL : lookup(p, &op->disk.id);
    v = v ? v : late;
    late = NULL;
    if (v && virStorageVolDelete(v, 0) < 0)
        return lv_storage_error(h, conn, "volume_delete", err);
    return SV_OK;
}

/* op->pending: it is there. */
static enum sv_err do_resize(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    virStorageVolInfo info;
    LV_STORAGE p = pool_of(conn, op, err);
    LV_VOLUME v = p ? lookup(p, &op->disk.id) : NULL;
    if (!p)
        return err->code;
    op->pending = v != NULL;
    if (!v)
        return SV_OK;
    if (virStorageVolGetInfo(v, &info) < 0)
        return lv_storage_error(h, conn, "volume_info", err);
    if (info.capacity == (unsigned long long)op->value)
        return SV_OK;
    if (info.capacity > (unsigned long long)op->value)
        return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, "a smaller disk");
    return virStorageVolResize(v, (unsigned long long)op->value, 0) < 0
               ? lv_storage_error(h, conn, "volume_resize", err)
               : SV_OK;
}

static enum sv_err do_list(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    virStorageVolPtr *v = NULL;
    LV_STORAGE p = pool_of(conn, op, err);
    if (!p)
        return err->code;
    int n = virStoragePoolRefresh(p, 0) < 0 ? -1 : virStoragePoolListAllVolumes(p, &v, 0);
    if (n < 0)
        return lv_storage_error(h, conn, "volume_list", err);
    op->rows = sv_alloc(((size_t)n + 1) * sizeof(*op->rows));
    for (int i = 0; i < n; i++) {
        virStorageVolInfo info;
        const char *name = virStorageVolGetName(v[i]);
        if (name && sv_id_valid(name) && virStorageVolGetInfo(v[i], &info) == 0)
            op->rows[op->row_count++] =
                (struct lv_row){.vm = sv_id_from(name), .state = {.memory = (int64_t)info.allocation}};
        virStorageVolFree(v[i]);
    }
    free(v);
    return SV_OK;
}

/* --- over all of them --- */

/* The next Ceph pool at or after *i. */
static bool next_pool(struct lv_host *h, size_t *i, struct sv_id *ret)
{
    for (bool more = true; more; (*i)++) {
        SV_AUTOFREE char *dir = lv_place_at(h, *i, ret, &more);
        if (!more)
            return false;
        if (!dir) {
            (*i)++;
            return true;
        }
    }
    return false;
}

enum sv_err lv_rbd_delete(struct lv_host *h, const struct sv_id *disk, const struct sv_deadline *d,
                          struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    struct sv_id pool;
    for (size_t i = 0; !rc && next_pool(h, &i, &pool);) {
        LV_OP op = lv_op_new(NULL);
        op->disk = (struct sv_hv_disk){.id = *disk, .pool = pool};
        rc = lv_call(h, op, do_delete, LV_CALL_HOST, d, err);
    }
    return rc;
}

enum sv_err lv_rbd_resize(struct lv_host *h, const struct sv_id *disk, int64_t bytes, bool *ret_found,
                          const struct sv_deadline *d, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    struct sv_id pool;
    *ret_found = false;
    for (size_t i = 0; !rc && !*ret_found && next_pool(h, &i, &pool);) {
        LV_OP op = lv_op_new(NULL);
        op->disk = (struct sv_hv_disk){.id = *disk, .pool = pool};
        op->value = bytes;
        rc = lv_call(h, op, do_resize, LV_CALL_HOST, d, err);
        *ret_found = !rc && op->pending;
    }
    return rc;
}

enum sv_err lv_rbd_list(struct lv_host *h,
                        void (*row)(void *arg, const struct sv_id *volume, bool is_template, int64_t bytes), void *arg,
                        const struct sv_deadline *d, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    struct sv_id pool;
    for (size_t i = 0; !rc && next_pool(h, &i, &pool);) {
        LV_OP op = lv_op_new(NULL);
        op->disk.pool = pool;
        rc = lv_call(h, op, do_list, LV_CALL_HOST, d, err);
        for (size_t r = 0; !rc && r < op->row_count; r++)
            row(arg, &op->rows[r].vm, false, op->rows[r].state.memory);
    }
    return rc;
}
