#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "starvirt/id.h"
#include "starvirt/text.h"

#define MD5_LEN   16
#define READ_SIZE (128 * 1024)

void sv_sha256(const void *data, size_t n, unsigned char out[SV_SHA256_LEN])
{
    /* Fails only when the library itself is unusable; an unset digest must not pass for one. */
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, data, n, out) != 0)
        abort();
}

bool sv_equal_const_time(const void *a, const void *b, size_t n)
{
    const volatile unsigned char *x = a, *y = b;
    unsigned char diff = 0;
    for (size_t i = 0; i < n; i++)
        diff = (unsigned char)(diff | (x[i] ^ y[i]));
    return diff == 0;
}

struct watch {
    bool (*go_on)(void *arg, int64_t done); /* NULL: nobody looks */
    void *arg;
};

/* Feeds the whole file to both (either may be NULL); errno on -1. */
static int hash_chunks(int fd, unsigned char *chunk, gnutls_hash_hd_t sha, gnutls_hash_hd_t md5, const struct watch *w)
{
    for (int64_t done = 0;;) {
        if (w->go_on && !w->go_on(w->arg, done)) {
            errno = ECANCELED;
            return -1;
        }
        ssize_t n = read(fd, chunk, READ_SIZE);
        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if ((sha && gnutls_hash(sha, chunk, (size_t)n) != 0) || (md5 && gnutls_hash(md5, chunk, (size_t)n) != 0)) {
            errno = EIO;
            return -1;
        }
        done += n;
    }
}

static int hash_file(int fd, gnutls_hash_hd_t sha, gnutls_hash_hd_t md5, const struct watch *w)
{
    unsigned char *chunk = sv_realloc(NULL, READ_SIZE);
    const int rc = hash_chunks(fd, chunk, sha, md5, w);
    const int saved = errno;
    free(chunk); /* which may touch errno */
    errno = saved;
    return rc;
}

static void finish(gnutls_hash_hd_t h, size_t len, char *hex)
{
    unsigned char digest[SV_SHA256_LEN];
    if (!h)
        return;
    gnutls_hash_deinit(h, digest);
    if (hex)
        sv_hex(digest, len, hex);
}

static int digest_fd(int fd, char *sha256_hex, char *md5_hex, const struct watch *w)
{
    gnutls_hash_hd_t sha = NULL, md5 = NULL;
    int rc = -1;
    if ((sha256_hex && gnutls_hash_init(&sha, GNUTLS_DIG_SHA256) != 0) ||
        (md5_hex && gnutls_hash_init(&md5, GNUTLS_DIG_MD5) != 0))
        errno = ENOTSUP; /* MD5 in FIPS mode */
    else
        rc = hash_file(fd, sha, md5, w);
    int saved = errno;
    finish(sha, SV_SHA256_LEN, rc == 0 ? sha256_hex : NULL);
    finish(md5, MD5_LEN, rc == 0 ? md5_hex : NULL);
    errno = saved;
    return rc;
}

int sv_file_digest(const char *path, char *sha256_hex, char *md5_hex)
{
    return sv_file_digest_while(path, sha256_hex, md5_hex, NULL, NULL);
}

int sv_file_digest_while(const char *path, char *sha256_hex, char *md5_hex, bool (*go_on)(void *arg, int64_t done),
                         void *arg)
{
    const struct watch w = {go_on, arg};
    /* A FIFO put in place of the file must not hold us up, nor a link lead us elsewhere. */
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    struct stat st;
    int rc = fstat(fd, &st);
    if (rc == 0 && !S_ISREG(st.st_mode)) {
        errno = EINVAL;
        rc = -1;
    }
    if (rc == 0)
        rc = digest_fd(fd, sha256_hex, md5_hex, &w);
    int saved = errno;
    close(fd);
    errno = saved;
    return rc;
}
