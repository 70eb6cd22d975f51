#include "core/monitor/ring.h"
#include "starvirt/log.h"
#include "starvirt/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* --- the file, as it lies there; all of it little-endian by the machines we run on --- */

enum {
    MINUTE_MS = 60 * 1000,
    HOUR_MS = 60 * MINUTE_MS,
    DAY_MS = 24 * HOUR_MS,
    MAX_BOOKS = 1024,
    NO_PERCENT = 255,
    RATES = 4,
    RATE_UNIT = 8, /* [bytes/s] */
};
#define NO_RATE UINT32_MAX

struct head {
    char magic[8];
};
static const struct head our_head = {"svmon 1"};

struct owner {
    char id[SV_ID_LEN]; /* zeroes: nobody */
    uint16_t epoch, sum;
};
_Static_assert(sizeof(struct owner) == 40, "file format");

struct point {
    uint32_t minute; /* since 1970, when it began */
    uint16_t epoch, sum;
    uint8_t cpu, memory;
    uint16_t none;
    uint32_t rate[RATES];
};
_Static_assert(sizeof(struct point) == 28, "file format");

/* Lengths are whole days and hours, so that an hour's minutes and a day's hours never lie around a ring's end. */
static const struct line {
    int64_t period;
    unsigned points; /* a multiple of SV_POINTS_TOGETHER */
    unsigned shown;
} lines[SV_LINES] = {
    [SV_LINE_MINUTE] = {MINUTE_MS, 1440, 1440},
    [SV_LINE_HOUR] = {HOUR_MS, 720, 720},
    [SV_LINE_DAY] = {DAY_MS, 368, 365},
};

enum { OWNERS_AT = 4096, POINTS_AT = OWNERS_AT + SV_BOOK_SLOTS * (int)sizeof(struct owner) };

static int64_t line_at(enum sv_monitor_line line)
{
    int64_t at = POINTS_AT;

    for (unsigned l = 0; l < (unsigned)line; l++)
        at += (int64_t)lines[l].points * SV_BOOK_SLOTS * (int64_t)sizeof(struct point);
    return at;
}

static int64_t block_at(enum sv_monitor_line line, unsigned block, unsigned slot)
{
    return line_at(line) + ((int64_t)block * SV_BOOK_SLOTS + slot) * SV_POINTS_TOGETHER * (int64_t)sizeof(struct point);
}

/* Fletcher's, so that a piece that was never written, or of another write, does not fit. */
static uint16_t sum_of(const void *p, size_t n)
{
    const unsigned char *b = p;
    unsigned x = 1, y = 0;

    for (size_t i = 0; i < n; i++) {
        x = (x + b[i]) % 251;
        y = (y + x) % 251;
    }
    return (uint16_t)(y << 8 | x);
}

static uint16_t owner_sum(struct owner o)
{
    o.sum = 0;
    return sum_of(&o, sizeof(o));
}

static uint16_t point_sum(struct point p)
{
    p.sum = 0;
    return sum_of(&p, sizeof(p));
}

/* --- books --- */

struct book {
    int fd; /* -1: not used */
    uint16_t epoch[SV_BOOK_SLOTS];
    bool taken[SV_BOOK_SLOTS];
    unsigned free;
};
struct sv_rings {
    int dir;
    pthread_rwlock_t lock; /* over the list of books; who reads one holds it no longer than a read takes */
    struct book *book[MAX_BOOKS];
    unsigned books;
};

static void book_name(unsigned n, char buf[16])
{
    snprintf(buf, 16, "%04u.book", n);
}

static void refuse(unsigned n, const char *why)
{
    char name[16];

    book_name(n, name);
    sv_log(SV_LOG_WARN, "monitor.book_refused", "file", name, "why", why, NULL);
}

static struct book *book_new(struct sv_rings *r, unsigned n, int fd)
{
    struct book *b = sv_alloc(sizeof(*b));

    *b = (struct book){.fd = fd, .free = SV_BOOK_SLOTS};
    pthread_rwlock_wrlock(&r->lock);
    r->book[n] = b;
    if (r->books <= n)
        r->books = n + 1;
    pthread_rwlock_unlock(&r->lock);
    return b;
}

typedef void (*found_fn)(void *arg, const struct sv_id *object, struct sv_slot slot, int64_t written_ms);

static void read_owners(struct book *b, unsigned n, const struct owner *owners, int64_t written_ms, found_fn row,
                        void *arg)
{
    for (unsigned i = 0; i < SV_BOOK_SLOTS; i++) {
        struct sv_id id = {.s = ""};

        if (owners[i].sum != owner_sum(owners[i])) /* never written, or cut short: nobody's, and nobody had it */
            continue;
        b->epoch[i] = owners[i].epoch;
        memcpy(id.s, owners[i].id, SV_ID_LEN);
        id.s[SV_ID_LEN] = '\0';
        if (!owners[i].id[0])
            continue;
        b->taken[i] = true;
        b->free--;
        row(arg, &id, (struct sv_slot){n, i, b->epoch[i]}, written_ms);
    }
}

/* The number stays taken by a book that is refused, so that it is not written over. */
static void open_book(struct sv_rings *r, unsigned n, const char *name, found_fn row, void *arg)
{
    SV_AUTOFREE struct owner *owners = sv_alloc(SV_BOOK_SLOTS * sizeof(*owners));
    const ssize_t size = SV_BOOK_SLOTS * (ssize_t)sizeof(*owners);
    struct head head = {.magic = ""};
    struct stat st = {0};
    const int fd = openat(r->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct book *b = book_new(r, n, -1);

    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        refuse(n, fd < 0 ? strerrordesc_np(errno) : "not a file");
    } else if (pread(fd, &head, sizeof(head), 0) != sizeof(head) || memcmp(&head, &our_head, sizeof(head)) != 0) {
        refuse(n, "it does not begin as one of ours");
    } else if (pread(fd, owners, (size_t)size, OWNERS_AT) != size) {
        refuse(n, "it is cut short");
    } else {
        b->fd = fd;
        read_owners(b, n, owners, (int64_t)st.st_mtim.tv_sec * 1000, row, arg);
        return;
    }
    b->free = 0;
    if (fd >= 0)
        close(fd);
}

enum sv_err sv_rings_open(const char *dir, struct sv_rings **ret, found_fn row, void *arg, struct sv_error *err)
{
    struct sv_rings *r;
    const struct dirent *e;
    DIR *d;

    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, strerrordesc_np(errno));
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return sv_fail(err, SV_E_SYSTEM, SV_F_NONE, strerrordesc_np(errno));
    r = sv_alloc(sizeof(*r));
    r->dir = fd;
    pthread_rwlock_init(&r->lock, NULL);
    const int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    d = again < 0 ? NULL : fdopendir(again);
    while (d && (e = readdir(d))) {
        int64_t n;
        char digits[5] = "", name[16];

        SV_COPY(digits, e->d_name);
        if (strlen(e->d_name) != 9 || !sv_parse_int(digits, &n) || n < 0 || n >= MAX_BOOKS)
            continue;
        book_name((unsigned)n, name);
        if (strcmp(name, e->d_name) == 0)
            open_book(r, (unsigned)n, name, row, arg);
    }
    if (d)
        closedir(d);
    *ret = r;
    return SV_OK;
}

void sv_rings_close(struct sv_rings *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < r->books; i++) {
        if (r->book[i] && r->book[i]->fd >= 0)
            close(r->book[i]->fd);
        free(r->book[i]);
    }
    close(r->dir);
    pthread_rwlock_destroy(&r->lock);
    free(r);
}

/* Its head and its owners are there before it counts: what a crash or a full disk left has no magic yet and is taken
 * away. */
static struct book *make_book(struct sv_rings *r, unsigned n)
{
    SV_AUTOFREE struct owner *none = sv_alloc(SV_BOOK_SLOTS * sizeof(*none));
    const ssize_t size = SV_BOOK_SLOTS * (ssize_t)sizeof(*none);
    char name[16];

    book_name(n, name);
    const int fd = openat(r->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return NULL;
    for (unsigned i = 0; i < SV_BOOK_SLOTS; i++)
        none[i].sum = owner_sum(none[i]);
    if (pwrite(fd, none, (size_t)size, OWNERS_AT) == size &&
        pwrite(fd, &our_head, sizeof(our_head), 0) == sizeof(our_head))
        return book_new(r, n, fd);
    close(fd);
    unlinkat(r->dir, name, 0);
    return NULL;
}

static bool write_owner(const struct book *b, unsigned at, const char *id, uint16_t epoch)
{
    struct owner o = {.epoch = epoch};

    memcpy(o.id, id, strnlen(id, SV_ID_LEN));
    o.sum = owner_sum(o);
    return pwrite(b->fd, &o, sizeof(o), OWNERS_AT + (off_t)at * (off_t)sizeof(o)) == sizeof(o);
}

/* 0 is no slot. */
static uint16_t next_epoch(uint16_t epoch)
{
    return epoch == UINT16_MAX ? 1 : (uint16_t)(epoch + 1);
}

bool sv_rings_take(struct sv_rings *r, const struct sv_id *object, struct sv_slot *ret)
{
    struct book *b = NULL;
    unsigned n = 0, at = 0;

    while (n < r->books && (!r->book[n] || r->book[n]->free == 0))
        n++;
    b = n < r->books ? r->book[n] : n < MAX_BOOKS ? make_book(r, n) : NULL;
    if (!b)
        return false;
    while (b->taken[at])
        at++;
    if (!write_owner(b, at, object->s, next_epoch(b->epoch[at])))
        return false;
    b->epoch[at] = next_epoch(b->epoch[at]);
    b->taken[at] = true;
    b->free--;
    *ret = (struct sv_slot){n, at, b->epoch[at]};
    return true;
}

/* Where that cannot be written down the next start finds it once more, and gives it back again. */
void sv_rings_give(struct sv_rings *r, struct sv_slot slot)
{
    struct book *b = r->book[slot.book];

    if (!slot.epoch || !b->taken[slot.at] || !write_owner(b, slot.at, "", b->epoch[slot.at]))
        return;
    b->taken[slot.at] = false;
    b->free++;
}

/* --- times --- */

static int64_t zone_offset(int64_t time_ms)
{
    const time_t t = (time_t)(time_ms / 1000);
    struct tm tm = {0};

    return localtime_r(&t, &tm) ? (int64_t)tm.tm_gmtoff * 1000 : 0;
}

int64_t sv_line_begin(enum sv_monitor_line line, int64_t time_ms)
{
    const int64_t period = lines[line].period, zone = line == SV_LINE_DAY ? zone_offset(time_ms) : 0;

    return (time_ms + zone) / period * period - zone;
}

int64_t sv_line_end(enum sv_monitor_line line, int64_t begin_ms)
{
    if (line != SV_LINE_DAY)
        return begin_ms + lines[line].period;
    /* Some days have 23 hours, some 25: the next one has begun six hours after 24. */
    return sv_line_begin(line, begin_ms + DAY_MS + DAY_MS / 4);
}

int64_t sv_line_reach(enum sv_monitor_line line)
{
    return lines[line].period * lines[line].shown;
}

static unsigned place_of(enum sv_monitor_line line, int64_t begin_ms)
{
    const int64_t zone = line == SV_LINE_DAY ? zone_offset(begin_ms) : 0;

    return (unsigned)((begin_ms + zone) / lines[line].period % lines[line].points);
}

/* --- points --- */

static uint8_t pack_percent(int v)
{
    return v < 0 ? NO_PERCENT : v > 100 ? 100 : (uint8_t)v;
}

static uint32_t pack_rate(double v)
{
    if (!(v >= 0))
        return NO_RATE;
    return v / RATE_UNIT >= NO_RATE - 1 ? NO_RATE - 1 : (uint32_t)(v / RATE_UNIT + 0.5);
}

static double unpack_rate(uint32_t v)
{
    return v == NO_RATE ? -1 : (double)v * RATE_UNIT;
}

bool sv_rings_write(struct sv_rings *r, struct sv_slot slot, enum sv_monitor_line line,
                    const struct sv_monitor_point *p)
{
    const unsigned place = place_of(line, p->time);
    struct point f = {.minute = (uint32_t)(p->time / MINUTE_MS),
                      .epoch = slot.epoch,
                      .cpu = pack_percent(p->cpu),
                      .memory = pack_percent(p->memory),
                      .rate = {pack_rate(p->rates.read), pack_rate(p->rates.written), pack_rate(p->rates.received),
                               pack_rate(p->rates.sent)}};

    f.sum = point_sum(f);
    const int64_t at =
        block_at(line, place / SV_POINTS_TOGETHER, slot.at) + place % SV_POINTS_TOGETHER * (int64_t)sizeof(f);
    return pwrite(r->book[slot.book]->fd, &f, sizeof(f), at) == sizeof(f);
}

static bool is_point(const struct point *f, struct sv_slot slot)
{
    return f->minute && f->epoch == slot.epoch && f->sum == point_sum(*f);
}

static struct sv_monitor_point unpack(const struct point *f)
{
    return (struct sv_monitor_point){.time = (int64_t)f->minute * MINUTE_MS,
                                     .cpu = f->cpu == NO_PERCENT ? -1 : f->cpu,
                                     .memory = f->memory == NO_PERCENT ? -1 : f->memory,
                                     .rates = {.read = unpack_rate(f->rate[0]),
                                               .written = unpack_rate(f->rate[1]),
                                               .received = unpack_rate(f->rate[2]),
                                               .sent = unpack_rate(f->rate[3])}};
}

static int fd_of(struct sv_rings *r, unsigned book)
{
    pthread_rwlock_rdlock(&r->lock);
    const int fd = book < r->books && r->book[book] ? r->book[book]->fd : -1;
    pthread_rwlock_unlock(&r->lock);
    return fd;
}

void sv_rings_read(struct sv_rings *r, struct sv_slot slot, enum sv_monitor_line line, int64_t begin_ms, int64_t end_ms,
                   void (*row)(void *arg, const struct sv_monitor_point *p), void *arg)
{
    const unsigned points = lines[line].points;
    struct point together[SV_POINTS_TOGETHER];
    const int fd = fd_of(r, slot.book);
    int64_t time = sv_line_begin(line, begin_ms);
    unsigned have = UINT32_MAX; /* the block that is read */

    for (unsigned n = 0; fd >= 0 && n < points && time < end_ms; n++, time = sv_line_end(line, time)) {
        const unsigned place = place_of(line, time), block = place / SV_POINTS_TOGETHER;
        const struct point *f = &together[place % SV_POINTS_TOGETHER];

        if (block != have) {
            const ssize_t got = pread(fd, together, sizeof(together), block_at(line, block, slot.at));
            memset((char *)together + (got > 0 ? got : 0), 0, sizeof(together) - (size_t)(got > 0 ? got : 0));
            have = block;
        }
        if (!is_point(f, slot))
            continue;
        const struct sv_monitor_point p = unpack(f);
        if (p.time >= begin_ms && p.time < end_ms && p.time == time)
            row(arg, &p);
    }
}

/* --- averages --- */

struct mean {
    double sum;
    unsigned n;
};
struct means {
    struct mean cpu, memory, read, written, received, sent;
    unsigned points;
};

static void add(struct mean *m, double v)
{
    if (v < 0)
        return;
    m->sum += v;
    m->n++;
}

static double mean(const struct mean *m)
{
    return m->n ? m->sum / m->n : -1;
}

static int percent(const struct mean *m)
{
    return m->n ? (int)(m->sum / m->n + 0.5) : -1;
}

static void add_point(void *arg, const struct sv_monitor_point *p)
{
    struct means *m = arg;

    m->points++;
    add(&m->cpu, p->cpu);
    add(&m->memory, p->memory);
    add(&m->read, p->rates.read);
    add(&m->written, p->rates.written);
    add(&m->received, p->rates.received);
    add(&m->sent, p->rates.sent);
}

bool sv_rings_fold(struct sv_rings *r, struct sv_slot slot, enum sv_monitor_line line, int64_t begin_ms,
                   struct sv_monitor_point *ret)
{
    struct means m = {.points = 0};

    sv_rings_read(r, slot, (enum sv_monitor_line)(line - 1), begin_ms, sv_line_end(line, begin_ms), add_point, &m);
    if (m.points == 0)
        return false;
    *ret = (struct sv_monitor_point){
        .time = begin_ms,
        .cpu = percent(&m.cpu),
        .memory = percent(&m.memory),
        .rates = {
            .read = mean(&m.read), .written = mean(&m.written), .received = mean(&m.received), .sent = mean(&m.sent)}};
    return true;
}
