/* Secrets that must outlive the process: sealed files DIR/secrets/<owner>.<kind>, AES-256-GCM under a key
 * in DIR/secrets/key. A copy of one file, of the database or of a log shows nothing (threats 23). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/internal.h"
#include "starvirt/mem.h"

enum { KEY_LEN = 32, NONCE_LEN = 12, TAG_LEN = 16, VALUE_MAX = 1024 };

struct sv_secrets {
    int dir;
    gnutls_aead_cipher_hd_t cipher;
};

static enum sv_err fail_errno(struct sv_error *err, const char *what)
{
    char text[SV_ERR_ARG_MAX];

    snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));
    return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, text);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* The key is made once; O_EXCL keeps two first starts from using two keys. */
static enum sv_err load_key(int dir, unsigned char key[KEY_LEN], struct sv_error *err)
{
    SV_CLEANUP(close_fd) int fd = openat(dir, "key", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd >= 0)
        return read(fd, key, KEY_LEN) == KEY_LEN ? SV_OK
                                                 : sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "secrets/key is damaged");
    fd = openat(dir, "key", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_errno(err, "secrets/key");
    sv_random(key, KEY_LEN);
    if (write(fd, key, KEY_LEN) != KEY_LEN || fsync(fd) < 0)
        return fail_errno(err, "secrets/key");
    return SV_OK;
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
    close(s->dir);
    free(s);
}

static void file_name(const struct sv_id *owner, const char *kind, char buf[SV_ID_LEN + 32])
{
    snprintf(buf, SV_ID_LEN + 32, "%s.%s", owner->s, kind);
}

enum sv_err sv_secret_put(struct sv_secrets *s, const struct sv_id *owner, const char *kind, const char *value,
                          struct sv_error *err)
{
    unsigned char sealed[NONCE_LEN + VALUE_MAX + TAG_LEN];
    size_t n = VALUE_MAX + TAG_LEN;
    const size_t len = strlen(value);
    char name[SV_ID_LEN + 32], temp[SV_ID_LEN + 40];
    SV_CLEANUP(close_fd) int fd = -1;

    if (len > VALUE_MAX)
        return sv_fail(err, SV_E_PARAM_LENGTH, SV_F_PASSWORD, sv_dec(VALUE_MAX).s);
    file_name(owner, kind, name);
    snprintf(temp, sizeof(temp), "%s.new", name);
    sv_random(sealed, NONCE_LEN);
    /* The name is authenticated with the value: a file moved to another owner does not open. */
    if (gnutls_aead_cipher_encrypt(s->cipher, sealed, NONCE_LEN, name, strlen(name), TAG_LEN, value, len,
                                   sealed + NONCE_LEN, &n) < 0)
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "sealing failed");
    unlinkat(s->dir, temp, 0); /* of a write that broke off */
    fd = openat(s->dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, sealed, NONCE_LEN + n) != (ssize_t)(NONCE_LEN + n) || fdatasync(fd) < 0 ||
        renameat(s->dir, temp, s->dir, name) < 0)
        return fail_errno(err, "secrets");
    return SV_OK;
}

enum sv_err sv_secret_get(struct sv_secrets *s, const struct sv_id *owner, const char *kind, char *buf, size_t size,
                          struct sv_error *err)
{
    unsigned char sealed[NONCE_LEN + VALUE_MAX + TAG_LEN], value[VALUE_MAX + TAG_LEN];
    size_t n = sizeof(value) - 1;
    char name[SV_ID_LEN + 32];
    SV_CLEANUP(close_fd) int fd = -1;
    ssize_t got;

    buf[0] = '\0';
    file_name(owner, kind, name);
    fd = openat(s->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? SV_OK : fail_errno(err, "secrets");
    got = read(fd, sealed, sizeof(sealed));
    if (got < NONCE_LEN + TAG_LEN ||
        gnutls_aead_cipher_decrypt(s->cipher, sealed, NONCE_LEN, name, strlen(name), TAG_LEN, sealed + NONCE_LEN,
                                   (size_t)got - NONCE_LEN, value, &n) < 0)
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "a sealed secret is damaged");
    value[n] = '\0';
    sv_copy(buf, size, (const char *)value);
    gnutls_memset(value, 0, sizeof(value));
    return SV_OK;
}

void sv_secret_drop(struct sv_secrets *s, const struct sv_id *owner, const char *kind)
{
    char name[SV_ID_LEN + 32];

    file_name(owner, kind, name);
    unlinkat(s->dir, name, 0);
}

/* "<id>.<kind>" or what a crash left of its writing; false for anything else. */
static bool is_of_kind(const char *name, const char *kind, struct sv_id *ret)
{
    char id[SV_ID_LEN + 1];
    const size_t n = strlen(kind);

    if (strlen(name) <= SV_ID_LEN || name[SV_ID_LEN] != '.' || strncmp(name + SV_ID_LEN + 1, kind, n) != 0)
        return false;
    if (name[SV_ID_LEN + 1 + n] && strcmp(name + SV_ID_LEN + 1 + n, ".new") != 0)
        return false;
    memcpy(id, name, SV_ID_LEN);
    id[SV_ID_LEN] = '\0';
    *ret = sv_id_from(id);
    return !sv_id_empty(ret);
}

void sv_secret_sweep(struct sv_secrets *s, const char *kind, bool (*keep)(void *arg, const struct sv_id *owner),
                     void *arg)
{
    const int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    struct sv_id owner;

    while (d && (e = readdir(d))) {
        if (is_of_kind(e->d_name, kind, &owner) && !keep(arg, &owner))
            unlinkat(s->dir, e->d_name, 0);
    }
    if (d)
        closedir(d);
}
