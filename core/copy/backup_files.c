/* The files of backups: DIR/backups/<backup id>/<disk target>.qcow2, or below a storage for backups. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/copy/backup.h"

/* In each directory, with the id of this cloud: several may keep theirs on one shared storage. */
#define MARK ".cloud"

static enum sv_err failed(const char *what, struct sv_error *err)
{
    const bool full = errno == ENOSPC || errno == EDQUOT;
    SV_AUTOFREE char *text = sv_asprintf("backup: %s: %s", what, strerror(errno));

    return sv_fail(err, full ? SV_E_STORAGE_FULL : SV_E_STORAGE, SV_F_NONE, text);
}

const char *sv_backup_path(const struct sv_backup_rows *rows, const struct sv_backup_disk *d, struct sv_arena *a)
{
    return sv_arena_printf(a, "%s/%s.qcow2", rows->dir, d->target);
}

/* --- directories -------------------------------------------------------------------------------------- */

static int sync_path(const char *path, int flags)
{
    const int fd = open(path, flags | O_RDONLY | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return -1;
    rc = fsync(fd);
    close(fd);
    return rc;
}

enum sv_err sv_backup_dir_sync(const char *dir, struct sv_error *err)
{
    return sync_path(dir, O_DIRECTORY) < 0 ? failed("cannot be made durable", err) : SV_OK;
}

static enum sv_err write_mark(const struct sv_cloud *c, const char *dir, struct sv_error *err)
{
    SV_AUTOFREE char *path = sv_asprintf("%s/" MARK, dir);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    const ssize_t n = (ssize_t)strlen(c->admin.s);
    bool bad = fd < 0 || write(fd, c->admin.s, (size_t)n) != n;

    if (fd >= 0 && close(fd) < 0)
        bad = true;
    return bad ? failed("cannot be written", err) : SV_OK;
}

/* Nobody lists them; QEMU, which may be another user, opens by name. */
static enum sv_err make_dir(const char *path, struct sv_error *err)
{
    const bool made = mkdir(path, 0711) == 0;

    if ((!made && errno != EEXIST) || (made && chmod(path, 0711) < 0)) /* whatever the umask */
        return failed("cannot make the directory", err);
    return SV_OK;
}

enum sv_err sv_backup_dir_make(const struct sv_cloud *c, const char *dir, struct sv_error *err)
{
    SV_AUTOFREE char *parent = sv_strdup(dir);
    enum sv_err rc;

    *strrchr(parent, '/') = '\0';
    rc = make_dir(parent, err);
    if (!rc)
        rc = make_dir(dir, err);
    if (!rc)
        rc = write_mark(c, dir, err);
    return rc ? rc : sv_backup_dir_sync(parent, err);
}

enum sv_err sv_backup_dir_remove(const char *dir, struct sv_error *err)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    enum sv_err rc = SV_OK;

    if (!d)
        return errno == ENOENT ? SV_OK : failed("cannot be read", err);
    while (!rc && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || strcmp(e->d_name, MARK) == 0)
            continue;
        if (unlinkat(dirfd(d), e->d_name, 0) < 0 && errno != ENOENT)
            rc = failed("cannot be removed", err);
    }
    /* Last: what is left after a crash still tells whose it is. */
    if (!rc && unlinkat(dirfd(d), MARK, 0) < 0 && errno != ENOENT)
        rc = failed("cannot be removed", err);
    closedir(d);
    if (!rc && rmdir(dir) < 0 && errno != ENOENT)
        rc = failed("cannot be removed", err);
    return rc;
}

/* --- files -------------------------------------------------------------------------------------------- */

int64_t sv_backup_file_size(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) ? st.st_size : 0;
}

static bool is_there(const char *path, int64_t bytes)
{
    return bytes > 0 && sv_backup_file_size(path) == bytes;
}

struct sv_backup_progress sv_backup_progress_of(struct sv_run *r, const struct sv_backup_rows *rows)
{
    struct sv_backup_progress p = {.r = r};

    for (unsigned i = 0; i < rows->disk_count; i++)
        p.total += rows->disks[i].bytes;
    return p;
}

void sv_backup_progress_next(struct sv_backup_progress *p, int64_t bytes)
{
    p->before += p->now;
    p->now = bytes;
}

void sv_backup_progress_copy(void *arg, int64_t done, int64_t total)
{
    const struct sv_backup_progress *p = arg;
    const double share = total > 0 ? (double)done / (double)total : 0;

    sv_run_progress(p->r, p->before + (int64_t)(share * (double)p->now), p->total);
}

static bool go_on(void *arg, int64_t done)
{
    const struct sv_backup_progress *p = arg;
    const struct sv_deadline *d = sv_run_deadline(p->r);

    sv_run_progress(p->r, p->before + done, p->total);
    return !sv_deadline_cancelled(d) && !sv_deadline_over(d);
}

static enum sv_err digest(struct sv_backup_progress *p, const char *path, char sha256[65], struct sv_error *err)
{
    if (sv_file_digest_while(path, sha256, NULL, go_on, p) == 0)
        return SV_OK;
    if (errno != ECANCELED)
        return failed("cannot be read", err);
    if (sv_deadline_cancelled(sv_run_deadline(p->r)))
        return sv_fail(err, SV_E_JOB_CANCELLED, SV_F_NONE);
    return sv_fail(err, SV_E_JOB_DEADLINE, SV_F_NONE, "checksum");
}

enum sv_err sv_backup_seal(struct sv_backup_progress *p, const char *path, int64_t *ret_bytes, char sha256[65],
                           struct sv_error *err)
{
    struct stat st;
    enum sv_err rc;

    if (chmod(path, 0600) < 0 || sync_path(path, O_NOFOLLOW) < 0 || lstat(path, &st) < 0)
        return failed("cannot be made durable", err);
    rc = digest(p, path, sha256, err);
    if (!rc)
        *ret_bytes = st.st_size;
    return rc;
}

/* --- checking ----------------------------------------------------------------------------------------- */

static enum sv_err write_damaged(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_backup *b = arg;
    enum sv_err rc = sv_backup_set_state(tx, &b->id, SV_BACKUP_DAMAGED, b->quiesced, err);

    return rc ? rc : sv_cloud_event(tx, "backup.damaged", "backup", &b->id, &b->tenant, b->name, err);
}

/* A file that is not there may come back with its storage; one that differs will not be right again. */
static enum sv_err damaged(struct sv_run *r, const struct sv_backup_rows *rows, const struct sv_backup_disk *d,
                           struct sv_error *err)
{
    struct sv_backup b = rows->b;
    const enum sv_err rc = sv_db_write(sv_run_db(r), write_damaged, &b, err);

    return rc ? rc : sv_fail(err, SV_E_BACKUP_DAMAGED, SV_F_BACKUP, d->target);
}

static enum sv_err check_one(struct sv_backup_progress *p, const struct sv_backup_rows *rows,
                             const struct sv_backup_disk *d, struct sv_error *err)
{
    const char *path = sv_backup_path(rows, d, sv_run_arena(p->r));
    char sha256[65];
    enum sv_err rc;

    if (access(path, F_OK) < 0)
        return sv_fail(err, SV_E_BACKUP_FILE, SV_F_BACKUP, d->target);
    if (!is_there(path, d->bytes))
        return damaged(p->r, rows, d, err);
    rc = digest(p, path, sha256, err);
    if (rc)
        return rc;
    if (strcmp(sha256, d->sha256) != 0)
        return damaged(p->r, rows, d, err);
    sv_run_note(p->r, SV_LOG_INFO, SV_N_CHECKED, d->target, NULL);
    return SV_OK;
}

enum sv_err sv_backup_check(struct sv_run *r, const struct sv_backup_rows *rows, struct sv_error *err)
{
    struct sv_backup_progress p = sv_backup_progress_of(r, rows);
    enum sv_err rc = SV_OK;

    for (unsigned i = 0; !rc && i < rows->disk_count; i++) {
        sv_backup_progress_next(&p, rows->disks[i].bytes);
        rc = check_one(&p, rows, &rows->disks[i], err);
    }
    return rc;
}

/* --- start-up: what is in no row goes ----------------------------------------------------------------- */

static bool is_ours(const struct sv_cloud *c, const char *dir)
{
    SV_AUTOFREE char *path = sv_asprintf("%s/" MARK, dir);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char text[SV_ID_LEN + 1] = "";
    ssize_t n = 0;

    if (fd < 0)
        return false;
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    return n == SV_ID_LEN && strcmp(text, c->admin.s) == 0;
}

struct known {
    struct sv_cloud *c;
    struct sv_arena *a;
    struct sv_ids ids; /* of all backups, sorted */
    const char *roots[SV_MAX_HOSTS];
    unsigned root_count;
};

static enum sv_err sweep_one(const struct known *k, const char *root, const char *name, struct sv_error *err)
{
    const struct sv_id id = sv_id_from(name);
    struct stat st;

    if (sv_id_empty(&id) || sv_ids_have(&k->ids, &id))
        return SV_OK;
    SV_AUTOFREE char *dir = sv_asprintf("%s/%s", root, name);
    if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode) || !is_ours(k->c, dir))
        return SV_OK;
    sv_log(SV_LOG_INFO, "backup.swept", "backup", name, NULL);
    return sv_backup_dir_remove(dir, err);
}

static enum sv_err sweep(const struct known *k, const char *root, struct sv_error *err)
{
    DIR *d = opendir(root);
    const struct dirent *e;
    enum sv_err rc = SV_OK;

    while (d && !rc && (e = readdir(d)))
        rc = sweep_one(k, root, e->d_name, err);
    if (d)
        closedir(d);
    return rc;
}

static void add_root(void *arg, const struct sv_storage *s)
{
    struct known *k = arg;

    if (s->use == SV_STORAGE_SECONDARY && strcmp(s->type, "dir") == 0 && k->root_count < SV_MAX_HOSTS)
        k->roots[k->root_count++] = sv_arena_printf(k->a, "%s/backups", s->location);
}

static void add_known(void *arg, const struct sv_backup *b)
{
    struct known *k = arg;

    sv_ids_add(&k->ids, &b->id);
}

static enum sv_err read_known(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_page all = {0};
    uint64_t total;
    const enum sv_err rc = sv_storage_list(tx, &all, add_root, arg, &total, err);

    return rc ? rc : sv_backup_list(tx, sv_scope_system(), add_known, arg, err);
}

/* A directory that cannot be read or removed is no reason not to start. */
enum sv_err sv_backup_recover(struct sv_cloud *c, struct sv_error *err)
{
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    struct known k = {.c = c, .a = a, .roots = {c->backup_dir}, .root_count = 1};
    const enum sv_err rc = sv_db_read(c->db, read_known, &k, err);

    sv_ids_sort(&k.ids);
    for (unsigned i = 0; !rc && i < k.root_count; i++) {
        struct sv_error why;

        if (sweep(&k, k.roots[i], &why))
            sv_log(SV_LOG_WARN, "backup.sweep", "error", sv_err_symbol(why.code), NULL);
    }
    sv_ids_free(&k.ids);
    return rc;
}
