/* Opening and closing: the directory, its lock, the file, the threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/engine.h"
#include "starvirt/path.h"
#include "starvirt/thread.h"

/* Others may pass through to the images below (a hypervisor under its own user), but not list. */
#define DIR_MODE  0711
#define FILE_MODE 0600

static enum sv_err system_failed(const char *path, struct sv_error *err)
{
    const int code = errno;
    const bool full = code == ENOSPC || code == EDQUOT, io = code == EIO || code == EROFS;
    return sv_fail_path(err, full ? SV_E_DISK_FULL : io ? SV_E_DB_IO : SV_E_SYSTEM, NULL, path, strerror(code));
}

/* Who may write here can plant links and files where we are going to write tokens and keys (threat 7). */
static enum sv_err check_dir(const char *dir, struct sv_error *err)
{
    struct stat st;
    if (stat(dir, &st) != 0)
        return system_failed(dir, err);
    if (!S_ISDIR(st.st_mode))
        return sv_fail_path(err, SV_E_SYSTEM, NULL, dir, "is not a directory");
    if ((st.st_uid == geteuid() || st.st_uid == 0) && !(st.st_mode & (S_IWGRP | S_IWOTH)))
        return SV_OK;
    return sv_fail_path(err, SV_E_SYSTEM, NULL, dir, "others may write in it; chown it and chmod go-w");
}

static enum sv_err make_dir(const char *dir, struct sv_error *err)
{
    if (mkdir(dir, DIR_MODE) == 0) /* the umask may have taken what others need */
        return chmod(dir, DIR_MODE) == 0 ? SV_OK : system_failed(dir, err);
    if (errno == EEXIST)
        return check_dir(dir, err);
    return errno == ENOENT ? sv_fail_path(err, SV_E_SYSTEM, NULL, dir, "the directory it would be in is not there")
                           : system_failed(dir, err);
}

/* For people and scripts: whom to ask to end. 0: nobody any more. Nothing depends on it. */
static void name_process(int fd, pid_t pid)
{
    if (ftruncate(fd, 0) == 0 && pid > 0)
        dprintf(fd, "%ld\n", (long)pid);
}

static enum sv_err take_lock(struct sv_db *db, struct sv_error *err)
{
    SV_AUTOFREE char *path = sv_asprintf("%s/lock", db->dir);
    db->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (db->lock_fd < 0)
        return system_failed(path, err);
    if (flock(db->lock_fd, LOCK_EX | LOCK_NB) == 0) {
        db->locked = true;
        name_process(db->lock_fd, getpid());
        return SV_OK;
    }
    return errno == EWOULDBLOCK ? sv_fail(err, SV_E_DB_LOCKED, SV_F_NONE, db->dir) : system_failed(path, err);
}

/* Makes the file with its mode before SQLite could make it with another; its companions inherit the mode. */
static enum sv_err make_file(const char *path, bool create, struct sv_error *err)
{
    int fd = open(path, O_RDWR | (create ? O_CREAT : 0) | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return system_failed(path, err);
    close(fd);
    return SV_OK;
}

/* One that is refused stays as it is, its log as well: somebody may want to look at them. */
static enum sv_err look_at_file(struct sv_db *db, const struct sv_db_options *opt, struct sv_error *err)
{
    sqlite3_db_config(db->conn.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    enum sv_err code = sv_life_compare(db, opt, err);
    if (code == SV_OK)
        sqlite3_db_config(db->conn.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    sv_outage_know_file(db);
    return code;
}

static enum sv_err open_writing(struct sv_db *db, const struct sv_db_options *opt, struct sv_error *err)
{
    enum sv_err code = opt->create ? make_dir(db->dir, err) : SV_OK;
    if (code == SV_OK)
        code = take_lock(db, err);
    if (code == SV_OK)
        code = sv_life_expect(db, opt, err);
    if (code == SV_OK)
        code = make_file(db->path, opt->create, err);
    if (code == SV_OK)
        code = sv_conn_open(db->path, false, &db->conn, err);
    if (code == SV_OK)
        code = look_at_file(db, opt, err);
    if (code == SV_OK)
        code = sv_migrate(&db->conn, err);
    if (code == SV_OK)
        code = sv_life_begin(db, err);
    if (code == SV_OK)
        code = sv_checkpoint_start(db, err);
    if (code == SV_OK)
        code = sv_writer_start(db, err);
    if (code == SV_OK && opt->inspect)
        sv_inspect_start(db);
    return code;
}

static enum sv_err open_reading(struct sv_db *db, struct sv_error *err)
{
    if (access(db->path, R_OK) != 0)
        return system_failed(db->path, err);
    /* Kept open: while it is, no other process removes the files beside the database. */
    enum sv_err code = sv_conn_open(db->path, true, &db->conn, err);
    return code == SV_OK ? sv_migrate(&db->conn, err) : code;
}

static struct sv_db *db_new(const char *dir, bool read_only)
{
    struct sv_db *db = sv_alloc(sizeof(*db));
    db->dir = sv_strdup(dir);
    db->path = sv_asprintf("%s/starvirt.db", dir);
    db->mark_path = sv_asprintf("%s/starvirt.mark", dir);
    db->lock_fd = -1;
    db->read_only = read_only;
    db->marks = sv_marks_new();
    sv_queue_init(&db->queue);
    sv_queue_init(&db->waiting);
    sv_queue_init(&db->aside);
    atomic_store(&db->outage.works, true);
    db->mark_fd = -1;
    pthread_mutex_init(&db->mutex, NULL);
    sv_cond_init(&db->wake);
    pthread_cond_init(&db->wake_copier, NULL);
    return db;
}

enum sv_err sv_db_open(const char *dir, const struct sv_db_options *opt, struct sv_db **ret, struct sv_error *err)
{
    struct sv_db *db = db_new(dir, opt->read_only);
    enum sv_err code = opt->read_only ? open_reading(db, err) : open_writing(db, opt, err);
    if (code != SV_OK) {
        sv_db_close(db);
        return code;
    }
    *ret = db;
    return SV_OK;
}

void sv_db_close(struct sv_db *db)
{
    if (!db)
        return;
    sv_inspect_stop(db);
    sv_writer_stop(db);
    sv_checkpoint_stop(db);
    sv_readers_close(db);
    sv_conn_close(&db->conn); /* last: copies the whole log back and empties it */
    sv_marks_free(db->marks);
    if (db->locked)
        name_process(db->lock_fd, 0);
    if (db->lock_fd >= 0)
        close(db->lock_fd);
    pthread_cond_destroy(&db->wake_copier);
    pthread_cond_destroy(&db->wake);
    pthread_mutex_destroy(&db->mutex);
    if (db->mark_fd >= 0)
        close(db->mark_fd);
    free(db->mark_path);
    free(db->path);
    free(db->dir);
    free(db);
}
