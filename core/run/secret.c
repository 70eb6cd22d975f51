/* Secrets that must outlive the process: rows sealed with AES-256-GCM under the key in DIR/secrets/key, written in the
 * transaction of what they belong to. A copy of the database or of a log shows nothing (threat 23). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/run/run.h"
#include "starvirt/mem.h"
#include "starvirt/store_secret.h"

enum { KEY_LEN = 32, NONCE_LEN = 12, TAG_LEN = 16 };
enum { FILE_VALUE_MAX = 1024 }; /* [bytes] of earlier versions' files */

struct sv_secrets {
    int dir;
    pthread_mutex_t mutex; /* the cipher's, which keeps a nonce while it works */
    gnutls_aead_cipher_hd_t cipher;
};

static enum sv_err fail_errno(struct sv_error *err, const char *what)
{
    const bool full = errno == ENOSPC || errno == EDQUOT;
    char text[SV_ERR_ARG_MAX];

    snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));
    return sv_fail(err, full ? SV_E_DISK_FULL : SV_E_SYSTEM, SV_F_NONE, text);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* The key is made once; O_EXCL keeps two first starts from using two keys. */
/* Whole or not at all under its name: a disk that is full, or a kill, leaves no half of a key. */
static enum sv_err make_key(int dir, unsigned char key[KEY_LEN], struct sv_error *err)
{
    SV_CLEANUP(close_fd) int fd = -1;

    unlinkat(dir, "key.new", 0);
    fd = openat(dir, "key.new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_errno(err, "secrets/key");
    sv_random(key, KEY_LEN);
    if (write(fd, key, KEY_LEN) != KEY_LEN || fsync(fd) < 0 || renameat(dir, "key.new", dir, "key") < 0)
        return fail_errno(err, "secrets/key");
    return fsync(dir) == 0 ? SV_OK : fail_errno(err, "secrets/key");
}

static enum sv_err load_key(int dir, unsigned char key[KEY_LEN], struct sv_error *err)
{
    SV_CLEANUP(close_fd) int fd = openat(dir, "key", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    const ssize_t n = fd < 0 ? 0 : read(fd, key, KEY_LEN);

    if (n == KEY_LEN)
        return SV_OK;
    if (n != 0) /* an empty one has sealed nothing */
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "secrets/key is damaged");
    return make_key(dir, key, err);
}

enum sv_err sv_secrets_open(const char *data_dir, struct sv_secrets **ret, struct sv_error *err)
{
    SV_AUTOFREE char *path = sv_asprintf("%s/secrets", data_dir);
    SV_AUTOFREE struct sv_secrets *s = sv_alloc(sizeof(*s));
    SV_CLEANUP(close_fd) int dir = -1;
    unsigned char key[KEY_LEN];
    gnutls_datum_t k = {key, KEY_LEN};
    enum sv_err rc;

    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return fail_errno(err, "secrets");
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return fail_errno(err, "secrets");
    rc = load_key(dir, key, err);
    if (rc)
        return rc;
    if (gnutls_aead_cipher_init(&s->cipher, GNUTLS_CIPHER_AES_256_GCM, &k) < 0)
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "AES-256-GCM is not available");
    gnutls_memset(key, 0, sizeof(key));
    pthread_mutex_init(&s->mutex, NULL);
    s->dir = dir;
    dir = -1;
    *ret = s;
    s = NULL;
    return SV_OK;
}

void sv_secrets_close(struct sv_secrets *s)
{
    if (!s)
        return;
    gnutls_aead_cipher_deinit(s->cipher);
    pthread_mutex_destroy(&s->mutex);
    close(s->dir);
    free(s);
}

/* Authenticated with the value: a row given to another owner does not open. */
static void name_of(const struct sv_id *owner, const char *kind, char buf[SV_ID_LEN + 32])
{
    snprintf(buf, SV_ID_LEN + 32, "%s.%s", owner->s, kind);
}

enum sv_err sv_secret_put(struct sv_secrets *s, struct sv_tx *tx, const struct sv_id *owner, const char *kind,
                          const char *value, struct sv_error *err)
{
    const size_t len = strlen(value);
    size_t n = len + TAG_LEN;
    SV_AUTOFREE unsigned char *sealed = sv_alloc(NONCE_LEN + n);
    char name[SV_ID_LEN + 32];
    int rc;

    if (len > SV_MAX_SECRET)
        return sv_fail(err, SV_E_PARAM_LENGTH, SV_F_PASSWORD, sv_dec(SV_MAX_SECRET).s);
    name_of(owner, kind, name);
    sv_random(sealed, NONCE_LEN);
    pthread_mutex_lock(&s->mutex);
    rc = gnutls_aead_cipher_encrypt(s->cipher, sealed, NONCE_LEN, name, strlen(name), TAG_LEN, value, len,
                                    sealed + NONCE_LEN, &n);
    pthread_mutex_unlock(&s->mutex);
    if (rc < 0)
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "sealing failed");
    return sv_sealed_put(tx, owner, kind, sealed, NONCE_LEN + n, err);
}

static enum sv_err unseal(struct sv_secrets *s, const char *name, const unsigned char *sealed, size_t len, char *buf,
                          size_t size, struct sv_error *err)
{
    SV_AUTOFREE unsigned char *value = sv_alloc(len + 1);
    size_t n = len;
    int rc = -1;

    if (len >= NONCE_LEN + TAG_LEN) {
        pthread_mutex_lock(&s->mutex);
        rc = gnutls_aead_cipher_decrypt(s->cipher, sealed, NONCE_LEN, name, strlen(name), TAG_LEN, sealed + NONCE_LEN,
                                        len - NONCE_LEN, value, &n);
        pthread_mutex_unlock(&s->mutex);
    }
    if (rc < 0)
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "a sealed secret is damaged");
    value[n] = '\0';
    sv_copy(buf, size, (const char *)value);
    gnutls_memset(value, 0, len);
    return SV_OK;
}

enum sv_err sv_secret_get(struct sv_secrets *s, struct sv_tx *tx, const struct sv_id *owner, const char *kind,
                          char *buf, size_t size, struct sv_error *err)
{
    const size_t room = NONCE_LEN + SV_MAX_SECRET + TAG_LEN;
    SV_AUTOFREE unsigned char *sealed = sv_alloc(room);
    char name[SV_ID_LEN + 32];
    size_t n;
    enum sv_err rc = sv_sealed_get(tx, owner, kind, sealed, room, &n, err);

    buf[0] = '\0';
    name_of(owner, kind, name);
    return rc || n == 0 ? rc : unseal(s, name, sealed, n, buf, size, err);
}

struct reading {
    struct sv_secrets *s;
    const struct sv_id *owner;
    const char *kind;
    char *buf;
    size_t size;
};

static enum sv_err read_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct reading *r = arg;

    return sv_secret_get(r->s, tx, r->owner, r->kind, r->buf, r->size, err);
}

enum sv_err sv_secret_read(struct sv_secrets *s, struct sv_db *db, const struct sv_id *owner, const char *kind,
                           char *buf, size_t size, struct sv_error *err)
{
    struct reading r = {s, owner, kind, buf, size};

    return sv_db_read(db, read_tx, &r, err);
}

/* --- files of versions that kept none in rows --------------------------------------------------------- */

/* "<id>.<kind>"; false for anything else. */
static bool is_sealed_file(const char *name, struct sv_id *ret)
{
    char id[SV_ID_LEN + 1];

    if (strlen(name) <= SV_ID_LEN + 1 || name[SV_ID_LEN] != '.')
        return false;
    memcpy(id, name, SV_ID_LEN);
    id[SV_ID_LEN] = '\0';
    *ret = sv_id_from(id);
    return !sv_id_empty(ret);
}

/* What its job needs once only is the job's; those files were the VM's, which the job has locked. */
static enum sv_err owner_of(struct sv_tx *tx, const char *kind, struct sv_id *owner, struct sv_error *err)
{
    struct sv_lock lock;
    bool held = false;
    enum sv_err rc = SV_OK;

    if (strcmp(kind, SV_SECRET_ACCOUNT) == 0 || strcmp(kind, SV_SECRET_PASSWORD) == 0)
        rc = sv_lock_get(tx, owner, &lock, &held, err);
    if (!rc && held)
        *owner = lock.job;
    return rc;
}

/* One that does not open is of no use to anybody. */
static enum sv_err take_file(struct sv_secrets *s, struct sv_tx *tx, const char *name, struct sv_id owner,
                             struct sv_error *err)
{
    unsigned char sealed[NONCE_LEN + FILE_VALUE_MAX + TAG_LEN];
    char value[FILE_VALUE_MAX + 1];
    const char *kind = name + SV_ID_LEN + 1;
    SV_CLEANUP(close_fd) int fd = openat(s->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    const ssize_t n = fd < 0 ? -1 : read(fd, sealed, sizeof(sealed));
    struct sv_error bad;
    enum sv_err rc;

    if (n < 0 || unseal(s, name, sealed, (size_t)n, value, sizeof(value), &bad))
        return SV_OK;
    rc = owner_of(tx, kind, &owner, err);
    if (!rc)
        rc = sv_secret_put(s, tx, &owner, kind, value, err);
    gnutls_memset(value, 0, sizeof(value));
    return rc;
}

static enum sv_err each_file(struct sv_secrets *s, struct sv_tx *tx, unsigned *ret_n, struct sv_error *err)
{
    const int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    struct sv_id owner;
    enum sv_err rc = SV_OK;

    *ret_n = 0;
    while (d && !rc && (e = readdir(d))) {
        if (!is_sealed_file(e->d_name, &owner))
            continue;
        *ret_n += 1;
        if (tx)
            rc = take_file(s, tx, e->d_name, owner, err);
        else
            unlinkat(s->dir, e->d_name, 0);
    }
    if (d)
        closedir(d);
    return rc;
}

static enum sv_err take_tx(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    unsigned n;
    enum sv_err rc = each_file(arg, tx, &n, err);

    return rc || n == 0 ? rc : sv_sealed_sweep(tx, err);
}

enum sv_err sv_secrets_take(struct sv_secrets *s, struct sv_db *db, struct sv_error *err)
{
    unsigned n;
    enum sv_err rc = sv_db_try(db, take_tx, s, err);

    return rc ? rc : each_file(s, NULL, &n, err);
}
