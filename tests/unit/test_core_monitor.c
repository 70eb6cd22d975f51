/* History in files, and what counters say: clocks that step, files that are cut, slots that change hands. */
#include "core/monitor/internal.h"

#include "tests/unit/check.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE };
#define DAY  (24LL * HOUR)
#define THEN 1767225600000LL /* 2026-01-01 00:00:00 UTC */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static char *new_dir(void)
{
    char *dir = sv_strdup("/tmp/starvirt-rings-XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
    return dir;
}

static void drop_dir(char *dir)
{
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(dir);
}

static struct sv_id object(unsigned n)
{
    struct sv_id id;
    snprintf(id.s, sizeof(id.s), "01890a5d-ac96-774b-bcce-%012x", n);
    return id;
}

struct found {
    unsigned n;
    struct sv_id id[4];
    struct sv_slot slot[4];
};

static void find(void *arg, const struct sv_id *id, struct sv_slot slot, int64_t written_ms)
{
    struct found *f = arg;
    (void)written_ms;
    if (f->n < 4) {
        f->id[f->n] = *id;
        f->slot[f->n] = slot;
    }
    f->n++;
}

static struct sv_rings *open_rings(const char *dir, struct found *f)
{
    struct sv_rings *r = NULL;
    struct sv_error err;
    *f = (struct found){.n = 0};
    CHECK_INT(sv_rings_open(dir, &r, find, f, &err), SV_OK);
    return r;
}

struct points {
    struct sv_monitor_point v[2000];
    size_t n;
};

static void add_point(void *arg, const struct sv_monitor_point *p)
{
    struct points *l = arg;
    CHECK(l->n < 2000);
    CHECK(l->n == 0 || l->v[l->n - 1].time < p->time);
    l->v[l->n++] = *p;
}

static struct points *read_line(struct sv_rings *r, struct sv_slot slot, enum sv_monitor_line line, int64_t end)
{
    struct points *l = sv_alloc(sizeof(*l));
    sv_rings_read(r, slot, line, end - sv_line_reach(line), end, add_point, l);
    return l;
}

static void put(struct sv_rings *r, struct sv_slot slot, enum sv_monitor_line line, int64_t time, int cpu)
{
    const struct sv_monitor_point p = {.time = time, .cpu = cpu, .memory = -1, .rates = {1024, 2048, -1, 1e15}};
    CHECK(sv_rings_write(r, slot, line, &p));
}

static void a_point_is_read_as_it_was_written(void)
{
    char *dir = new_dir();
    struct found f;
    struct sv_rings *r = open_rings(dir, &f);
    const struct sv_id id = object(1);
    struct sv_slot slot;

    CHECK(sv_rings_take(r, &id, &slot));
    put(r, slot, SV_LINE_MINUTE, THEN, 37);
    sv_rings_close(r);
    r = open_rings(dir, &f);
    CHECK_INT(f.n, 1);
    CHECK(sv_id_eq(&f.id[0], &id));
    SV_AUTOFREE struct points *l = read_line(r, f.slot[0], SV_LINE_MINUTE, THEN + MINUTE);
    CHECK_INT(l->n, 1);
    CHECK_INT(l->v[0].time, THEN);
    CHECK_INT(l->v[0].cpu, 37);
    CHECK_INT(l->v[0].memory, -1);
    CHECK_INT((int64_t)l->v[0].rates.read, 1024);
    CHECK(l->v[0].rates.received < 0);
    CHECK(l->v[0].rates.sent > 3e10); /* the most there is room for */
    sv_rings_close(r);
    drop_dir(dir);
}

static void a_ring_has_the_last_of_each(void)
{
    static const struct {
        enum sv_monitor_line line;
        int64_t period;
        size_t points;
    } all[] = {{SV_LINE_MINUTE, MINUTE, 1440}, {SV_LINE_HOUR, HOUR, 720}, {SV_LINE_DAY, DAY, 365}};
    char *dir = new_dir();
    struct found f;
    struct sv_rings *r = open_rings(dir, &f);
    const struct sv_id id = object(1);
    struct sv_slot slot;

    CHECK(sv_rings_take(r, &id, &slot));
    for (size_t i = 0; i < 3; i++) {
        const int64_t n = 1500, end = THEN + n * all[i].period;
        for (int64_t k = 0; k < n; k++)
            put(r, slot, all[i].line, THEN + k * all[i].period, (int)(k % 100));
        SV_AUTOFREE struct points *l = read_line(r, slot, all[i].line, end);
        CHECK_INT(l->n, all[i].points);
        CHECK_INT(l->v[0].time, end - (int64_t)all[i].points * all[i].period);
        CHECK_INT(l->v[l->n - 1].time, end - all[i].period);
    }
    sv_rings_close(r);
    drop_dir(dir);
}

static void a_clock_that_is_set_back_loses_nothing_but_what_it_writes_over(void)
{
    char *dir = new_dir();
    struct found f;
    struct sv_rings *r = open_rings(dir, &f);
    const struct sv_id id = object(1);
    struct sv_slot slot;

    CHECK(sv_rings_take(r, &id, &slot));
    for (int k = 0; k < 60; k++)
        put(r, slot, SV_LINE_MINUTE, THEN + k * MINUTE, 10);
    put(r, slot, SV_LINE_MINUTE, THEN + 10LL * MINUTE, 90); /* an hour back */
    SV_AUTOFREE struct points *now = read_line(r, slot, SV_LINE_MINUTE, THEN + 11LL * MINUTE);
    CHECK_INT(now->n, 11); /* what lies ahead is not told */
    CHECK_INT(now->v[10].cpu, 90);
    SV_AUTOFREE struct points *later = read_line(r, slot, SV_LINE_MINUTE, THEN + HOUR);
    CHECK_INT(later->n, 60);
    sv_rings_close(r);
    drop_dir(dir);
}

/* Whoever has the slot now sees nothing of who had it. */
static void a_slot_that_changes_hands(void)
{
    char *dir = new_dir();
    struct found f;
    struct sv_rings *r = open_rings(dir, &f);
    const struct sv_id one = object(1), two = object(2);
    struct sv_slot slot, next;

    CHECK(sv_rings_take(r, &one, &slot));
    put(r, slot, SV_LINE_MINUTE, THEN, 99);
    put(r, slot, SV_LINE_HOUR, THEN, 99);
    sv_rings_give(r, slot);
    CHECK(sv_rings_take(r, &two, &next));
    CHECK_INT(next.at, slot.at);
    for (enum sv_monitor_line line = SV_LINE_MINUTE; line < SV_LINE_DAY; line++) {
        SV_AUTOFREE struct points *l = read_line(r, next, line, THEN + DAY);
        CHECK_INT(l->n, 0);
    }
    sv_rings_close(r);
    r = open_rings(dir, &f);
    CHECK_INT(f.n, 1);
    CHECK(sv_id_eq(&f.id[0], &two));
    SV_AUTOFREE struct points *l = read_line(r, f.slot[0], SV_LINE_MINUTE, THEN + DAY);
    CHECK_INT(l->n, 0);
    sv_rings_close(r);
    drop_dir(dir);
}

static void more_objects_than_a_book_has_room_for(void)
{
    char *dir = new_dir();
    struct found f;
    struct sv_rings *r = open_rings(dir, &f);
    struct sv_slot slot = {0};

    for (unsigned i = 0; i < SV_BOOK_SLOTS + 1; i++) {
        const struct sv_id id = object(i);
        CHECK(sv_rings_take(r, &id, &slot));
    }
    CHECK_INT(slot.book, 1);
    put(r, slot, SV_LINE_DAY, THEN, 5);
    sv_rings_close(r);
    r = open_rings(dir, &f);
    CHECK_INT(f.n, SV_BOOK_SLOTS + 1);
    sv_rings_close(r);
    drop_dir(dir);
}

static void damage(const char *dir, const char *name, off_t at, const void *p, size_t n)
{
    SV_AUTOFREE char *path = sv_asprintf("%s/%s", dir, name);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK(n ? pwrite(fd, p, n, at) == (ssize_t)n : ftruncate(fd, at) == 0);
    close(fd);
}

/* Any bit of a point that changes makes it none; a book that is cut, or is something else, is left alone. */
static void what_is_damaged_is_not_shown(void)
{
    char *dir = new_dir();
    struct found f;
    struct sv_rings *r = open_rings(dir, &f);
    const struct sv_id id = object(1), other = object(2);
    struct sv_slot slot;
    struct stat st;

    CHECK(sv_rings_take(r, &id, &slot));
    put(r, slot, SV_LINE_MINUTE, THEN, 50);
    SV_AUTOFREE char *path = sv_asprintf("%s/0000.book", dir);
    CHECK(stat(path, &st) == 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    for (off_t back = 1; back <= 28; back++) { /* the point is what was written last */
        const int fd = open(path, O_RDWR | O_CLOEXEC);
        unsigned char was;
        CHECK(pread(fd, &was, 1, st.st_size - back) == 1);
        const unsigned char is = was ^ 0x10;
        CHECK(pwrite(fd, &is, 1, st.st_size - back) == 1);
        SV_AUTOFREE struct points *l = read_line(r, slot, SV_LINE_MINUTE, THEN + MINUTE);
        CHECK_INT(l->n, 0);
        CHECK(pwrite(fd, &was, 1, st.st_size - back) == 1);
        close(fd);
    }
    sv_rings_close(r);
    damage(dir, "0001.book", 0, "nonsense", 8);
    damage(dir, "0002.book", 100, NULL, 0);
    r = open_rings(dir, &f);
    CHECK_INT(f.n, 1);
    sv_rings_close(r);
    damage(dir, "0000.book", 5000, NULL, 0); /* in the middle of its owners */
    r = open_rings(dir, &f);
    CHECK_INT(f.n, 0);
    CHECK(sv_rings_take(r, &other, &slot));
    CHECK_INT(slot.book, 3);
    sv_rings_close(r);
    CHECK(stat(path, &st) == 0);
    CHECK_INT(st.st_size, 5000);
    drop_dir(dir);
}

static void hours_are_made_of_minutes(void)
{
    char *dir = new_dir();
    struct found f;
    struct sv_rings *r = open_rings(dir, &f);
    const struct sv_id id = object(1);
    struct sv_monitor_point p;
    struct sv_slot slot;

    CHECK(sv_rings_take(r, &id, &slot));
    CHECK(!sv_rings_fold(r, slot, SV_LINE_HOUR, THEN, &p));
    put(r, slot, SV_LINE_MINUTE, THEN - MINUTE, 100);
    put(r, slot, SV_LINE_MINUTE, THEN, 10);
    put(r, slot, SV_LINE_MINUTE, THEN + 59LL * MINUTE, 20);
    put(r, slot, SV_LINE_MINUTE, THEN + HOUR, 100);
    CHECK(sv_rings_fold(r, slot, SV_LINE_HOUR, THEN, &p));
    CHECK_INT(p.time, THEN);
    CHECK_INT(p.cpu, 15);
    CHECK_INT(p.memory, -1);
    CHECK_INT((int64_t)p.rates.written, 2048);
    sv_rings_close(r);
    drop_dir(dir);
}

/* --- counters --- */

enum { SECOND = 1000000, GAP = 50 * SECOND };

static struct sv_hv_usage usage(int64_t cpu_ns, int64_t read)
{
    struct sv_hv_usage u = {
        .cpu_ns = cpu_ns, .vcpus = 2, .memory = SV_GIB, .memory_used = SV_GIB / 4, .disk_count = 1, .nic_count = 1};
    u.disks[0] = (struct sv_hv_disk_usage){"vda", read, 0, read / 4096, 0, SV_GIB, SV_GIB / 2};
    u.nics[0] = (struct sv_hv_nic_usage){"svt1", 0, 0};
    return u;
}

struct sample {
    int64_t at_us, cpu_ns, read;
    int cpu;      /* [%] expected */
    int64_t rate; /* [bytes/s] expected */
};

static void run(const struct sample *s, size_t n)
{
    struct sv_objects all;
    const struct sv_id id = object(1);
    sv_objects_init(&all);
    struct sv_object_seen *o = sv_objects_get(&all, &id, false);
    for (size_t i = 0; i < n; i++) {
        const struct sv_hv_usage u = usage(s[i].cpu_ns, s[i].read);
        sv_seen_vm(o, &u, s[i].at_us, GAP);
        const struct sv_monitor_figures f = sv_figures_of(o, s[i].at_us, GAP);
        CHECK_INT(f.cpu, s[i].cpu);
        CHECK_INT((int64_t)f.rates.read, s[i].rate);
        CHECK_INT(f.memory, 25);
    }
    sv_objects_free(&all);
}

static void a_counter_that_goes_back_is_no_spike(void)
{
    const struct sample s[] = {
        {SECOND, 5000000000, 1 << 20, -1, -1}, /* the first says nothing */
        {11 * SECOND, 15000000000, 11 << 20, 50, 1 << 20},
        {21 * SECOND, 1000000000, 0, -1, -1}, /* it was started anew */
        {31 * SECOND, 21000000000, 20 << 20, 100, 2 << 20},
        {31 * SECOND, 21000000000, 20 << 20, -1, -1},  /* no time passed */
        {131 * SECOND, 31000000000, 30 << 20, -1, -1}, /* nobody looked for long */
        {132 * SECOND, 41000000000, 30 << 20, 100, 0}, /* more than there is */
    };
    run(s, sizeof(s) / sizeof(s[0]));
}

static void what_is_not_known_is_no_figure(void)
{
    struct sv_objects all;
    const struct sv_id id = object(1);
    struct sv_monitor_point p;
    sv_objects_init(&all);
    struct sv_object_seen *o = sv_objects_get(&all, &id, false);
    struct sv_hv_usage u = {.cpu_ns = -1, .vcpus = -1, .memory = -1, .memory_used = -1};
    for (int i = 1; i < 3; i++)
        sv_seen_vm(o, &u, i * SECOND, GAP);
    const struct sv_monitor_figures f = sv_figures_of(o, 2 * SECOND, GAP);
    CHECK(f.cpu == -1 && f.memory == -1 && f.disk_used == -1 && f.rates.read < 0 && f.rates.sent < 0);
    CHECK(!sv_minute_of(o, THEN, &p));
    sv_objects_free(&all);
}

static void a_minute_is_the_mean_of_its_samples(void)
{
    struct sv_objects all;
    const struct sv_id id = object(1);
    struct sv_monitor_point p;
    sv_objects_init(&all);
    struct sv_object_seen *o = sv_objects_get(&all, &id, false);
    for (int64_t i = 1; i <= 3; i++) { /* rates of the second and the third: 25 %, 75 % */
        const struct sv_hv_usage u = usage((i == 3 ? 2000000000 : (i - 1) * 500000000), i << 20);
        sv_seen_vm(o, &u, i * SECOND, GAP);
    }
    CHECK(sv_minute_of(o, THEN, &p));
    CHECK_INT(p.cpu, 50);
    CHECK_INT(p.memory, 25);
    CHECK_INT((int64_t)p.rates.read, 1 << 20);
    CHECK(!sv_minute_of(o, THEN + MINUTE, &p));
    sv_objects_free(&all);
}

static void many_objects_are_found(void)
{
    enum { MANY = 5000 };
    struct sv_objects all;
    sv_objects_init(&all);
    for (unsigned i = 0; i < MANY; i++) {
        const struct sv_id id = object(i);
        sv_objects_get(&all, &id, false)->vcpus = i;
    }
    CHECK_INT(all.n, MANY);
    for (unsigned i = 0; i < MANY; i += 2) {
        const struct sv_id id = object(i);
        sv_objects_drop(&all, &id);
        sv_objects_drop(&all, &id);
    }
    for (unsigned i = 0; i < MANY; i++) {
        const struct sv_id id = object(i);
        const struct sv_object_seen *o = sv_objects_find(&all, &id);
        CHECK(i % 2 ? o && o->vcpus == i : !o);
    }
    sv_objects_free(&all);
}

CHECK_MAIN(T(a_point_is_read_as_it_was_written), T(a_ring_has_the_last_of_each),
           T(a_clock_that_is_set_back_loses_nothing_but_what_it_writes_over), T(a_slot_that_changes_hands),
           T(more_objects_than_a_book_has_room_for), T(what_is_damaged_is_not_shown), T(hours_are_made_of_minutes),
           T(a_counter_that_goes_back_is_no_spike), T(what_is_not_known_is_no_figure),
           T(a_minute_is_the_mean_of_its_samples), T(many_objects_are_found))
