/* DIR/admin.token: an administrator's token for whoever owns the directory, made at the first start and by a reset. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/tenant/tenant.h"
#include "starvirt/mem.h"
#include "starvirt/text.h"

/* Descriptions of the tokens that were written there: one of them is in the file, or was. */
static const char descr_first[] = "first start", descr_reset[] = "token reset";

/* --- the file -------------------------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static enum sv_err file_failed(struct sv_error *err)
{
    const bool full = errno == ENOSPC || errno == EDQUOT;

    return sv_fail(err, full ? SV_E_DISK_FULL : SV_E_SYSTEM, SV_F_NONE, "admin.token", strerror(errno));
}

/* Root may do it for the one whose database it is. */
static int give_to_owner(int fd, const char *dir)
{
    SV_AUTOFREE char *path = sv_asprintf("%s/starvirt.db", dir);
    struct stat st;

    if (geteuid() != 0)
        return 0;
    return stat(path, &st) < 0 ? -1 : fchown(fd, st.st_uid, st.st_gid);
}

/* Beside the file, whole and on disk. */
static enum sv_err write_new(const char *dir, const char *text, struct sv_error *err)
{
    SV_AUTOFREE char *temp = sv_asprintf("%s/admin.token.new", dir);
    SV_CLEANUP(close_fd) int fd = -1;

    unlink(temp); /* of a start that broke off, or planted: never written into */
    fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || give_to_owner(fd, dir) < 0 || dprintf(fd, "%s\n", text) < 0 || fsync(fd) < 0)
        return file_failed(err);
    return SV_OK;
}

static enum sv_err put_in_place(const char *dir, struct sv_error *err)
{
    SV_AUTOFREE char *path = sv_asprintf("%s/admin.token", dir);
    SV_AUTOFREE char *temp = sv_asprintf("%s/admin.token.new", dir);
    SV_CLEANUP(close_fd) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || rename(temp, path) < 0 || fsync(fd) < 0 ? file_failed(err) : SV_OK;
}

/* --- the administrators' tenant -------------------------------------------------------------------------- */

struct admin_search {
    struct sv_id id; /* empty: there is none yet */
};

static void see_admin(void *arg, const struct sv_tenant *t)
{
    struct admin_search *s = arg;

    if (t->is_admin && sv_id_empty(&s->id))
        s->id = t->id;
}

static enum sv_err find_admin(struct sv_tx *tx, struct sv_id *ret, struct sv_error *err)
{
    const struct sv_tenant_filter any = {.name = NULL};
    const struct sv_page all = {0};
    struct admin_search search = {.id = {.s = ""}};
    uint64_t total;
    enum sv_err rc = sv_tenant_list(tx, sv_scope_system(), &any, &all, see_admin, &search, &total, err);

    if (!rc)
        *ret = search.id;
    return rc;
}

/* --- first start ------------------------------------------------------------------------------------------ */

/* The file is written before the commit: a crash between leaves a file that a next start replaces,
 * never an admin without a token. */
enum sv_err sv_tenant_first(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_cloud *c = arg;
    const struct sv_amounts unlimited = {-1, -1, -1, -1, -1, -1, -1};
    const struct sv_tenant t = {.id = sv_id_new(),
                                .name = "admin",
                                .descr = "",
                                .is_admin = true,
                                .created = sv_tx_now(tx),
                                .quota = unlimited};
    const struct sv_token k = {
        .id = sv_id_new(), .tenant = t.id, .role = SV_ROLE_ADMIN, .descr = descr_first, .created = sv_tx_now(tx)};
    unsigned char hash[SV_SHA256_LEN];
    char text[SV_TOKEN_TEXT];
    struct sv_id found;
    enum sv_err rc = find_admin(tx, &found, err);

    if (rc)
        return rc;
    c->admin = sv_id_empty(&found) ? t.id : found;
    if (!sv_id_empty(&found))
        return SV_OK;
    sv_token_make(text, hash);
    rc = sv_tenant_insert(tx, &t, err);
    if (!rc)
        rc = sv_token_insert(tx, &k, hash, err);
    if (!rc)
        rc = write_new(c->data_dir, text, err);
    return rc ? rc : put_in_place(c->data_dir, err);
}

/* --- reset -------------------------------------------------------------------------------------------------- */

struct reset {
    const unsigned char *hash;
    struct sv_id *old; /* those that go */
    unsigned count;
};

static void see_token(void *arg, const struct sv_token *t)
{
    struct reset *r = arg;

    if (t->role != SV_ROLE_ADMIN || (strcmp(t->descr, descr_first) != 0 && strcmp(t->descr, descr_reset) != 0))
        return;
    r->old = sv_realloc(r->old, (r->count + 1) * sizeof(*r->old));
    r->old[r->count++] = t->id;
}

static enum sv_err reset_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct reset *r = arg;
    const struct sv_page all = {0};
    struct sv_token k = {.id = sv_id_new(), .role = SV_ROLE_ADMIN, .descr = descr_reset, .created = sv_tx_now(tx)};
    uint64_t total;
    enum sv_err rc = find_admin(tx, &k.tenant, err);

    r->count = 0;
    if (!rc && sv_id_empty(&k.tenant))
        rc = sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "admin.token", "no server has run here yet: a first start makes it");
    if (!rc)
        rc = sv_token_list(tx, sv_scope_system(), &k.tenant, &all, see_token, r, &total, err);
    for (unsigned i = 0; i < r->count && !rc; i++)
        rc = sv_token_delete(tx, sv_scope_system(), &r->old[i], err);
    if (!rc)
        rc = sv_token_insert(tx, &k, r->hash, err);
    return rc ? rc : sv_cloud_event(tx, "token.reset", "tenant", &k.tenant, &k.tenant, "", err);
}

/* The old file stays until the new token is in force, and goes then: what breaks off in between is asked for again. */
enum sv_err sv_admin_token_reset(struct sv_db *db, const char *dir, unsigned *ret_revoked, struct sv_error *err)
{
    SV_AUTOFREE char *temp = sv_asprintf("%s/admin.token.new", dir);
    unsigned char hash[SV_SHA256_LEN];
    char text[SV_TOKEN_TEXT];
    struct reset r = {.hash = hash};
    enum sv_err rc;

    sv_token_make(text, hash);
    rc = write_new(dir, text, err);
    explicit_bzero(text, sizeof(text));
    if (!rc)
        rc = sv_db_write(db, reset_tx, &r, err);
    free(r.old);
    if (rc) {
        unlink(temp);
        return rc;
    }
    rc = put_in_place(dir, err);
    if (!rc)
        *ret_revoked = r.count;
    return rc;
}
