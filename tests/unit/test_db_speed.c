/* Figures of the engine on this machine, printed; what is checked is that nothing gets lost and that no
 * write stands out. */
#include <pthread.h>

#include "db_fixture.h"
#include "starvirt/clock.h"
#include "starvirt/store_job.h"

#define PER_PRODUCER 400
#define PRODUCERS    64

/* What accepting a request writes. */
static enum sv_err accept_job(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id *id = arg;
    struct sv_lock held;
    bool taken;
    struct sv_job j = {.id = *id,
                       .object = *id,
                       .kind = "vm.start",
                       .object_type = "vm",
                       .object_name = "vm-1",
                       .sarg = "",
                       .result = SV_JOB_QUEUED,
                       .created = sv_tx_now(tx),
                       .error_symbol = "",
                       .error_args = {"", "", ""}};
    enum sv_err code = sv_job_insert(tx, &j, err);
    return code ? code : sv_lock_take(tx, id, id, 1, &taken, &held, err);
}

struct producer {
    struct fixture *f;
    int n;
    int64_t *us; /* how long each took */
};

static void *produce(void *arg)
{
    const struct producer *p = arg;
    for (int i = 0; i < p->n; i++) {
        struct sv_id id = sv_id_new();
        int64_t start = sv_mono_us();
        CHECK_INT(sv_db_write(p->f->db, accept_job, &id, NULL), SV_OK);
        p->us[i] = sv_mono_us() - start;
    }
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *what, int64_t *us, int n, int64_t total_us)
{
    qsort(us, (size_t)n, sizeof(*us), by_value);
    printf("%s: %lld/s, p50 %lld us, p99 %lld us, max %lld us\n", what, (long long)n * 1000000 / total_us,
           (long long)us[n / 2], (long long)us[n * 99 / 100], (long long)us[n - 1]);
}

static void produce_beside(const char *what, int producers, int each)
{
    struct fixture f = fixture_new();
    SV_AUTOFREE int64_t *us = sv_alloc(sizeof(*us) * (size_t)(producers * each));
    SV_AUTOFREE pthread_t *threads = sv_alloc(sizeof(*threads) * (size_t)producers);
    SV_AUTOFREE struct producer *p = sv_alloc(sizeof(*p) * (size_t)producers);
    int64_t start = sv_mono_us();
    for (int i = 0; i < producers; i++) {
        p[i] = (struct producer){.f = &f, .n = each, .us = us + i * each};
        CHECK_INT(pthread_create(&threads[i], NULL, produce, &p[i]), 0);
    }
    for (int i = 0; i < producers; i++)
        pthread_join(threads[i], NULL);
    print_times(what, us, producers * each, sv_mono_us() - start);
    CHECK_INT(read_number(&f, "SELECT count(*) FROM job"), producers * each);
    fixture_remove(&f);
}

static void many_producers(void)
{
    produce_beside("64 producers", PRODUCERS, PER_PRODUCER);
}

static void one_producer(void)
{
    produce_beside("1 producer", 1, 2000);
}

static enum sv_err two_gets(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id *id = arg;
    struct sv_job job;
    struct sv_lock lock;
    bool held;
    enum sv_err code = sv_job_get(tx, sv_scope_system(), id, sv_tx_arena(tx), &job, err);
    return code ? code : sv_lock_get(tx, id, &lock, &held, err);
}

static void reading(void)
{
    struct fixture f = fixture_new();
    const int n = 20000;
    struct sv_id id = sv_id_new();
    CHECK_INT(sv_db_write(f.db, accept_job, &id, NULL), SV_OK);
    int64_t start = sv_mono_us();
    for (int i = 0; i < n; i++)
        CHECK_INT(sv_db_read(f.db, two_gets, &id, NULL), SV_OK);
    printf("reading two rows: %.1f us\n", (double)(sv_mono_us() - start) / n);
    fixture_remove(&f);
}

CHECK_MAIN(T(many_producers), T(one_producer), T(reading))
