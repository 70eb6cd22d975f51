/* What makes the simulated hypervisor outlive the server: one file a host, one write(2) a change.
 *
 * No fsync: the page cache survives the death of the process, which is all a hypervisor beside the
 * server would survive either. A process killed inside write(2) leaves a torn last record, which is cut; any other
 * damage is refused. */
#include "hv/sim/internal.h"
#include "starvirt/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* File: magic, then records in the machine's own byte order. */
static const char magic[8] = "svsim 1\n";

struct head {
    uint32_t sum; /* FNV-1a of all that follows */
    uint16_t n;   /* bytes behind the key */
    uint8_t type;
    uint8_t check; /* of `n` and `type`, which say where the record ends; 0 = of an earlier program */
    struct sim_key key;
};
enum {
    RECORD_MAX = sizeof(struct head) + SIM_RECORD_MAX,
    CHUNK = 1 << 18, /* rewriting goes in writes of this size */
};
_Static_assert(SIM_RECORD_MAX < UINT16_MAX, "a record's length is 16 bits");

struct sim_rewrite {
    struct sv_buf out;
    int fd;
    uint64_t bytes, records;
    int error; /* errno of the first failed write */
};

static enum sv_err fail_errno(struct sv_error *err, const char *what, const char *path, int e)
{
    if (e == ENOSPC || e == EDQUOT)
        return sv_fail(err, SV_E_STORAGE_FULL, SV_F_NONE);
    SV_AUTOFREE char *text = sv_asprintf("%s %s: %s", what, path, strerrordesc_np(e));
    return sv_fail(err, SV_E_STORAGE, SV_F_NONE, text);
}

static uint32_t fnv1a(const unsigned char *p, size_t n)
{
    uint32_t h = 2166136261U;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 16777619U;
    return h;
}

/* Changes with any one bit of what it covers, and never is 0. */
static uint8_t head_check(const struct head *h)
{
    const uint8_t x = (uint8_t)(h->n ^ h->n >> 8 ^ h->type);

    return (uint8_t)(x ? x : 0xff);
}

static bool head_sound(const struct head *h)
{
    return !h->check || h->check == head_check(h);
}

/* Returns the record's length in `out`. */
static size_t encode(unsigned char out[RECORD_MAX], unsigned type, const struct sim_key *k, const void *p, size_t n)
{
    struct head h = {.n = (uint16_t)n, .type = (uint8_t)type, .key = *k};

    h.check = head_check(&h);
    memcpy(out, &h, sizeof(h));
    if (n)
        memcpy(out + sizeof(h), p, n);
    h.sum = fnv1a(out + sizeof(h.sum), sizeof(h) - sizeof(h.sum) + n);
    memcpy(out, &h.sum, sizeof(h.sum));
    return sizeof(h) + n;
}

enum record { WHOLE, TORN, DAMAGED };

/* A kill leaves the beginning of a record and nothing behind it: what is there of it is as it was written. All else
 * is damage, which says nothing of the records behind it. */
static enum record decode(const unsigned char *p, size_t left, struct head *ret, size_t *ret_len)
{
    if (left < sizeof(*ret))
        return TORN;
    memcpy(ret, p, sizeof(*ret));
    *ret_len = sizeof(*ret) + ret->n;
    if (!head_sound(ret) || ret->n > SIM_RECORD_MAX)
        return DAMAGED;
    if (*ret_len > left)
        return TORN;
    return ret->sum == fnv1a(p + sizeof(ret->sum), *ret_len - sizeof(ret->sum)) ? WHOLE : DAMAGED;
}

/* Replays p[0..size): *ret_at is where that ended. False: what is there is damaged, or no record of ours. */
static bool replay(struct sim_journal *j, const unsigned char *p, size_t size, sim_apply apply, void *arg,
                   size_t *ret_at)
{
    struct head h;
    size_t len = 0;

    for (*ret_at = sizeof(magic); *ret_at < size; *ret_at += len, j->records++) {
        const enum record is = decode(p + *ret_at, size - *ret_at, &h, &len);

        if (is != WHOLE)
            return is == TORN;
        if (!apply(arg, h.type, &h.key, p + *ret_at + sizeof(h), h.n))
            return false;
    }
    return true;
}

/* Not begun anew by itself: what it holds behind the damage would be lost, and the VMs with it. */
static enum sv_err damaged(const struct sim_journal *j, uint64_t at, uint64_t size, struct sv_error *err)
{
    const char *slash = strrchr(j->path, '/');
    SV_AUTOFREE char *text =
        sv_asprintf("%.40s is damaged at byte %llu of %llu: put a copy back, or move it away to begin anew", slash + 1,
                    (unsigned long long)at, (unsigned long long)size);

    sv_log(SV_LOG_WARN, "sim.journal_damaged", "file", j->path, "offset", sv_dec((int64_t)at).s, "bytes",
           sv_dec((int64_t)size).s, NULL);
    return sv_fail(err, SV_E_STORAGE, SV_F_NONE, text);
}

static enum sv_err cut_tail(struct sim_journal *j, uint64_t size, uint64_t sound, struct sv_error *err)
{
    if (ftruncate(j->fd, (off_t)sound) != 0)
        return fail_errno(err, "cutting", j->path, errno);
    sv_log(SV_LOG_WARN, "sim.journal_cut", "file", j->path, "bytes", sv_dec((int64_t)(size - sound)).s, NULL);
    return SV_OK;
}

static enum sv_err begin(struct sim_journal *j, struct sv_error *err)
{
    if (ftruncate(j->fd, 0) != 0 || pwrite(j->fd, magic, sizeof(magic), 0) != (ssize_t)sizeof(magic))
        return fail_errno(err, "writing", j->path, errno);
    j->bytes = sizeof(magic);
    return SV_OK;
}

static enum sv_err load(struct sim_journal *j, uint64_t size, sim_apply apply, void *arg, struct sv_error *err)
{
    const size_t head = size < sizeof(magic) ? size : sizeof(magic);
    unsigned char *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, j->fd, 0);
    size_t at = 0;
    bool sound;

    if (p == MAP_FAILED)
        return fail_errno(err, "reading", j->path, errno);
    sound = memcmp(p, magic, head) == 0;
    if (sound && head == sizeof(magic))
        sound = replay(j, p, size, apply, arg, &at);
    munmap(p, size);
    if (!sound)
        return damaged(j, at, size, err);
    if (head < sizeof(magic)) /* killed while it was made */
        return begin(j, err);
    j->bytes = at;
    return at == size ? SV_OK : cut_tail(j, size, at, err);
}

static enum sv_err make_dir(const char *data_dir, struct sv_error *err)
{
    SV_AUTOFREE char *dir = sv_asprintf("%s/sim", data_dir);

    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return fail_errno(err, "making", dir, errno);
    return SV_OK;
}

enum sv_err sim_journal_open(struct sim_journal *j, const char *data_dir, const char *name, sim_apply apply, void *arg,
                             struct sv_error *err)
{
    struct stat st;
    enum sv_err rc;

    *j = (struct sim_journal){.fd = -1};
    if (!data_dir)
        return SV_OK;
    rc = make_dir(data_dir, err);
    if (rc)
        return rc;
    j->path = sv_asprintf("%s/sim/%s.journal", data_dir, name);
    j->fd = open(j->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_APPEND, 0600);
    if (j->fd < 0 || fstat(j->fd, &st) != 0)
        rc = fail_errno(err, "opening", j->path, errno);
    else if (flock(j->fd, LOCK_EX | LOCK_NB) != 0)
        rc = sv_fail(err, SV_E_SYSTEM, SV_F_NONE, "the simulator's journal is used by another process");
    else if (st.st_size == 0)
        rc = begin(j, err);
    else
        rc = load(j, (uint64_t)st.st_size, apply, arg, err);
    if (rc)
        sim_journal_close(j);
    return rc;
}

enum sv_err sim_journal_add(struct sim_journal *j, unsigned type, const struct sim_key *k, const void *p, size_t n,
                            struct sv_error *err)
{
    unsigned char record[RECORD_MAX];

    if (j->fd < 0)
        return SV_OK;
    if (j->torn && ftruncate(j->fd, (off_t)j->bytes) != 0) /* nothing may stand behind half a record */
        return fail_errno(err, "cutting", j->path, errno);
    j->torn = false;
    const size_t len = encode(record, type, k, p, n);
    const ssize_t wrote = write(j->fd, record, len);
    if (wrote == (ssize_t)len) {
        j->bytes += len;
        j->records++;
        return SV_OK;
    }
    const int e = wrote < 0 ? errno : ENOSPC;
    j->torn = wrote > 0 && ftruncate(j->fd, (off_t)j->bytes) != 0;
    return fail_errno(err, "writing", j->path, e);
}

bool sim_journal_bloated(const struct sim_journal *j, size_t live, bool at_open)
{
    if (j->fd < 0)
        return false;
    return at_open ? j->bytes > (1 << 20) && j->records > 2 * live : j->bytes > (16 << 20) && j->records > 4 * live;
}

static void flush(struct sim_rewrite *w)
{
    for (size_t done = 0; done < w->out.n && !w->error;) {
        const ssize_t n = write(w->fd, w->out.p + done, w->out.n - done);
        if (n < 0)
            w->error = errno;
        else
            done += (size_t)n;
    }
    w->bytes += w->out.n;
    w->out.n = 0;
}

void sim_journal_put(struct sim_rewrite *w, unsigned type, const struct sim_key *k, const void *p, size_t n)
{
    sv_buf_reserve(&w->out, RECORD_MAX);
    w->out.n += encode((unsigned char *)w->out.p + w->out.n, type, k, p, n);
    w->records++;
    if (w->out.n >= CHUNK)
        flush(w);
}

/* The new file is locked before it gets the name, so that no other process slips in between. */
static enum sv_err swap(struct sim_journal *j, const char *tmp, struct sim_rewrite *w, struct sv_error *err)
{
    if (w->error)
        return fail_errno(err, "writing", tmp, w->error);
    if (flock(w->fd, LOCK_EX | LOCK_NB) != 0 || rename(tmp, j->path) != 0)
        return fail_errno(err, "replacing", j->path, errno);
    close(j->fd);
    j->fd = w->fd;
    j->bytes = w->bytes;
    j->records = w->records;
    w->fd = -1;
    return SV_OK;
}

enum sv_err sim_journal_rewrite(struct sim_journal *j, void (*each)(void *arg, struct sim_rewrite *w), void *arg,
                                struct sv_error *err)
{
    SV_AUTOFREE char *tmp = sv_asprintf("%s.new", j->path);
    struct sim_rewrite w = {.fd = open(tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_APPEND, 0600)};

    if (w.fd < 0)
        return fail_errno(err, "opening", tmp, errno);
    sv_buf_add(&w.out, magic, sizeof(magic));
    each(arg, &w);
    flush(&w);
    sv_buf_free(&w.out);
    const enum sv_err rc = swap(j, tmp, &w, err);
    if (w.fd >= 0) {
        close(w.fd);
        unlink(tmp);
    }
    return rc;
}

void sim_journal_close(struct sim_journal *j)
{
    if (j->fd >= 0)
        close(j->fd);
    free(j->path);
    *j = (struct sim_journal){.fd = -1};
}
