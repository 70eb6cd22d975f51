/* Opening and closing: the directory, its lock, the file, the threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/engine.h"

/* Others may pass through to the images below (a hypervisor under its own user), but not list. */
#define DIR_MODE  0711
#define FILE_MODE 0600

static enum sv_err system_failed(const char *path, struct sv_error *err)
{
    int code = errno;
    SV_AUTOFREE char *what = sv_asprintf("%s: %s", path, strerror(code));
    return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, what);
}

/* Who may write here can plant links and files where we are going to write tokens and keys (threat 7). */
static enum sv_err check_dir(const char *dir, struct sv_error *err)
{
    struct stat st;
    if (stat(dir, &st) != 0)
        return system_failed(dir, err);
    if ((st.st_uid == geteuid() || st.st_uid == 0) && !(st.st_mode & (S_IWGRP | S_IWOTH)))
        return SV_OK;
    SV_AUTOFREE char *what = sv_asprintf("%s: others may write in it; chown it and chmod go-w", dir);
    return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, what);
}

static enum sv_err make_dir(const char *dir, struct sv_error *err)
{
    if (mkdir(dir, DIR_MODE) != 0)
        return errno == EEXIST ? check_dir(dir, err) : system_failed(dir, err);
    /* The umask may have taken what others need. */
    return chmod(dir, DIR_MODE) == 0 ? SV_OK : system_failed(dir, err);
}

static enum sv_err take_lock(struct sv_db *db, struct sv_error *err)
{
    SV_AUTOFREE char *path = sv_asprintf("%s/lock", db->dir);
    db->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (db->lock_fd < 0)
        return system_failed(path, err);
    if (flock(db->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return SV_OK;
    return errno == EWOULDBLOCK ? sv_fail(err, SV_E_DB_LOCKED, SV_F_NONE) : system_failed(path, err);
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

static enum sv_err open_writing(struct sv_db *db, bool create, struct sv_error *err)
{
    enum sv_err code = create ? make_dir(db->dir, err) : SV_OK;
    if (code == SV_OK)
        code = take_lock(db, err);
    if (code == SV_OK)
        code = make_file(db->path, create, err);
    if (code == SV_OK)
        code = sv_conn_open(db->path, false, &db->conn, err);
    if (code == SV_OK)
        code = sv_migrate(&db->conn, err);
    if (code == SV_OK)
        code = sv_checkpoint_start(db, err);
    if (code == SV_OK)
        code = sv_writer_start(db, err);
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
    db->lock_fd = -1;
    db->read_only = read_only;
    db->marks = sv_marks_new();
    db->queue.tail = &db->queue.head;
    pthread_mutex_init(&db->mutex, NULL);
    pthread_cond_init(&db->wake, NULL);
    pthread_cond_init(&db->wake_copier, NULL);
    return db;
}

enum sv_err sv_db_open(const char *dir, const struct sv_db_options *opt, struct sv_db **ret, struct sv_error *err)
{
    struct sv_db *db = db_new(dir, opt->read_only);
    enum sv_err code = opt->read_only ? open_reading(db, err) : open_writing(db, opt->create, err);
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
    sv_writer_stop(db);
    sv_checkpoint_stop(db);
    sv_readers_close(db);
    sv_conn_close(&db->conn); /* last: copies the whole log back and removes it */
    sv_marks_free(db->marks);
    if (db->lock_fd >= 0)
        close(db->lock_fd);
    pthread_cond_destroy(&db->wake_copier);
    pthread_cond_destroy(&db->wake);
    pthread_mutex_destroy(&db->mutex);
    free(db->path);
    free(db->dir);
    free(db);
}
