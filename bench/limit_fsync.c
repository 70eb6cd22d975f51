/* What durability costs on this disk: fdatasync after an append, and a durable SQLite transaction.
 *
 *     limit_fsync DIR [N]     one JSON line, times in microseconds */
#include "bench/yard_db.h"

#include <fcntl.h>
#include <unistd.h>

static double *samples;
static long count;

static void print(const char *name, const char *end)
{
    qsort(samples, (size_t)count, sizeof(*samples), yard_cmp);
    printf("\"%s_p50_us\": %.1f, \"%s_p99_us\": %.1f%s", name, yard_quantile(samples, (size_t)count, 0.5) * 1e6, name,
           yard_quantile(samples, (size_t)count, 0.99) * 1e6, end);
}

static void append(const char *path)
{
    static const char block[4096];
    const int fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        yard_die("%s cannot be written", path);
    for (long i = 0; i < count; i++) {
        const double t = yard_now();
        if (write(fd, block, sizeof(block)) != sizeof(block) || fdatasync(fd) != 0)
            yard_die("%s cannot be written", path);
        samples[i] = yard_now() - t;
    }
    close(fd);
    unlink(path);
}

static void commit(const char *path)
{
    struct yard_db d;

    yard_db_seed(path);
    yard_db_open(&d, path);
    for (long i = 0; i < count; i++) {
        const double t = yard_now();
        yard_db_begin(&d);
        yard_db_accept(&d, i % YARD_VMS);
        yard_db_commit(&d);
        samples[i] = yard_now() - t;
    }
}

int main(int argc, char **argv)
{
    char path[512];

    if (argc < 2 || argc > 3)
        yard_die("usage: limit_fsync DIR [N]");
    count = argc > 2 ? yard_arg(argv[2], 1, 1000000) : 2000;
    samples = calloc((size_t)count, sizeof(*samples));
    if (!samples)
        yard_die("out of memory");
    printf("{");
    snprintf(path, sizeof(path), "%s/fsync.bin", argv[1]);
    append(path);
    print("fdatasync", ", ");
    snprintf(path, sizeof(path), "%s/commit.db", argv[1]);
    commit(path);
    print("commit", "}\n");
    free(samples);
    return 0;
}
