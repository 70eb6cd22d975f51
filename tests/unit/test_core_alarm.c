/* Alarms: figures around their threshold, one alarm for a type and an object, by hand and by itself, what it costs. */
#include <time.h>

#include "cloud_fixture.h"
#include "core/alarm/internal.h"

/* --- a figure and its threshold ------------------------------------------------------------------------- */

enum { TICK = 10 * 1000, WINDOW = 5 * 60 * 1000 };
static const struct sv_alarm_gauge_rule rule = {
    .value = 90, .margin = 5, .window_ms = WINDOW, .gap_ms = SV_ALARM_GAP_MS};

struct run {
    struct sv_alarm_gauge g;
    int64_t now;
    unsigned raised, relieved;
};

/* One tick; what is to be written is, at once. */
static void tick(struct run *r, int percent)
{
    r->now += TICK;
    sv_alarm_gauge_feed(&r->g, &rule, r->now, percent);
    if (r->g.state == SV_ALARM_GAUGE_RAISE) {
        r->raised++;
        r->g.state = SV_ALARM_GAUGE_HIGH;
    } else if (r->g.state == SV_ALARM_GAUGE_RELIEVE) {
        r->relieved++;
        r->g.state = SV_ALARM_GAUGE_CALM;
    }
}

static void ticks(struct run *r, unsigned n, int percent)
{
    while (n-- > 0)
        tick(r, percent);
}

static void a_whole_window_raises_and_relieves(void)
{
    struct run r = {.now = 0};

    ticks(&r, WINDOW / TICK, 90);
    CHECK_INT(r.raised, 0);
    tick(&r, 90);
    CHECK_INT(r.raised, 1);
    ticks(&r, 1000, 86); /* below the value, but not well below */
    CHECK_INT(r.relieved, 0);
    ticks(&r, WINDOW / TICK, 85);
    CHECK_INT(r.relieved, 0);
    tick(&r, 85);
    CHECK_INT(r.relieved, 1);
}

static void one_figure_begins_the_window_anew(void)
{
    struct run r = {.now = 0};

    ticks(&r, WINDOW / TICK, 100);
    tick(&r, 89);
    ticks(&r, WINDOW / TICK, 100);
    CHECK_INT(r.raised, 0);
    tick(&r, 100);
    CHECK_INT(r.raised, 1);
    ticks(&r, WINDOW / TICK, 0);
    tick(&r, 86);
    ticks(&r, WINDOW / TICK, 0);
    CHECK_INT(r.relieved, 0);
}

/* Whatever is said within the margin of the value: never twice. */
static void noise_does_not_flap(void)
{
    unsigned seed = 7, all = 0;

    for (int middle = 80; middle <= 96; middle++) {
        struct run r = {.now = 0};

        for (unsigned i = 0; i < 20000; i++) {
            seed = seed * 1103515245U + 12345U;
            tick(&r, middle - 4 + (int)(seed >> 16) % 9);
        }
        CHECK(r.raised <= 1);
        CHECK(r.raised >= r.relieved);
        all += r.raised;
    }
    CHECK(all >= 3); /* 94 and more are above throughout */
}

/* A slow wave across both lines is told once each way, each time. */
static void waves_are_told_once_each(void)
{
    struct run r = {.now = 0};

    for (unsigned i = 0; i < 10; i++) {
        ticks(&r, 2 * WINDOW / TICK, 97);
        ticks(&r, 2 * WINDOW / TICK, 40);
    }
    CHECK_INT(r.raised, 10);
    CHECK_INT(r.relieved, 10);
}

static void gaps_begin_anew_and_unknown_says_nothing(void)
{
    struct run r = {.now = 0};

    ticks(&r, WINDOW / TICK, 95);
    r.now += SV_ALARM_GAP_MS; /* the host was away, or the machine slept */
    ticks(&r, WINDOW / TICK, 95);
    CHECK_INT(r.raised, 0);
    tick(&r, 95);
    CHECK_INT(r.raised, 1);
    ticks(&r, WINDOW / TICK, 10);
    ticks(&r, 2, -1); /* shorter than a gap */
    tick(&r, 10);
    CHECK_INT(r.relieved, 1);
    r = (struct run){.now = 0};
    ticks(&r, WINDOW / TICK, 95);
    ticks(&r, 10, -1);
    tick(&r, 95);
    CHECK_INT(r.raised, 0);
}

/* --- many objects --------------------------------------------------------------------------------------- */

static void feed_all(struct sv_alarm_figure *f, size_t n, int64_t now, int percent)
{
    for (size_t i = 0; i < n; i++)
        f[i].percent = percent;
    sv_alarm_figures(cloud, now, f, n);
}

static int64_t spent_ns(struct sv_alarm_figure *f, size_t n, int64_t now, int percent)
{
    struct timespec a, b;

    CHECK(n > 0);
    for (size_t i = 0; i < n; i++)
        f[i].percent = percent;
    clock_gettime(CLOCK_MONOTONIC, &a);
    sv_alarm_figures(cloud, now, f, n);
    clock_gettime(CLOCK_MONOTONIC, &b);
    return ((b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec) / (int64_t)n;
}

static void a_hundred_thousand_cost_little(void)
{
    enum { N = 100000, DUE = 256 };
    SV_AUTOFREE struct sv_alarm_figure *f = sv_alloc(N * sizeof(*f));
    SV_AUTOFREE struct sv_alarm_crossing *due = sv_alloc(DUE * sizeof(*due));
    int64_t now = 0;
    unsigned written = 0, n;

    open_cloud();
    for (size_t i = 0; i < N; i++)
        f[i] = (struct sv_alarm_figure){.object = sv_id_new(), .type = SV_ALARM_VM_CPU};
    printf("calm: %lld ns a figure\n", (long long)spent_ns(f, N, now += TICK, 20));
    CHECK_INT(cloud->alarms->entry_count, 0);
    printf("all come up: %lld ns a figure\n", (long long)spent_ns(f, N, now += TICK, 99));
    CHECK_INT(cloud->alarms->entry_count, N);
    printf("all stay up: %lld ns a figure\n", (long long)spent_ns(f, N, now += TICK, 99));
    for (int i = 0; i < WINDOW / TICK; i++)
        feed_all(f, N, now += TICK, 99);
    while ((n = sv_alarm_figures_due(cloud->alarms, due, DUE)) > 0) {
        CHECK(due[0].raise);
        sv_alarm_figures_written(cloud->alarms, n);
        written += n;
    }
    CHECK_INT(written, N);
    for (int i = 0; i <= WINDOW / TICK; i++)
        feed_all(f, N, now += TICK, 10);
    for (written = 0; (n = sv_alarm_figures_due(cloud->alarms, due, DUE)) > 0; written += n)
        sv_alarm_figures_written(cloud->alarms, n);
    CHECK_INT(written, N);
    CHECK_INT(cloud->alarms->entry_count, 0);
    close_cloud();
}

/* A VM that says nothing any more uses nothing; a host may be as full as it was. */
static void silence_relieves_vms_only(void)
{
    struct sv_alarm_figure f[] = {{.type = SV_ALARM_VM_CPU, .object = sv_id_new(), .percent = 99},
                                  {.type = SV_ALARM_HOST_MEMORY, .object = sv_id_new(), .percent = 99}};
    struct sv_alarm_crossing due[4];
    int64_t now = 0;

    open_cloud();
    for (int i = 0; i <= WINDOW / TICK; i++)
        sv_alarm_figures(cloud, now += TICK, f, 2);
    CHECK_INT(sv_alarm_figures_due(cloud->alarms, due, 4), 2);
    sv_alarm_figures_written(cloud->alarms, 2);
    sv_alarm_figures_sweep(cloud->alarms, now + 60 * 1000);
    CHECK_INT(sv_alarm_figures_due(cloud->alarms, due, 4), 0);
    sv_alarm_figures_sweep(cloud->alarms, now + 3600 * 1000);
    CHECK_INT(sv_alarm_figures_due(cloud->alarms, due, 4), 1);
    CHECK_INT(due[0].key.type, SV_ALARM_VM_CPU);
    CHECK(!due[0].raise);
    close_cloud();
}

/* --- rows ----------------------------------------------------------------------------------------------- */

static enum sv_err raise_it(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    return sv_alarm_raise(tx, arg, err);
}

static enum sv_err relieve_it(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_alarm_new *n = arg;

    return sv_alarm_relieve(tx, n->type, &n->object, err);
}

struct shown {
    struct sv_alarm last;
    char text[2][SV_ALARM_TEXT_LEN];
    uint64_t total;
    const struct sv_actor *who;
    struct sv_alarm_search s;
};

static void show(void *arg, const struct sv_alarm *a)
{
    struct shown *x = arg;

    x->last = *a;
    sv_alarm_text(a, SV_LANG_ZH, x->text[SV_LANG_ZH], SV_ALARM_TEXT_LEN);
    sv_alarm_text(a, SV_LANG_EN, x->text[SV_LANG_EN], SV_ALARM_TEXT_LEN);
}

static enum sv_err search(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct shown *x = arg;

    return sv_alarm_search(tx, x->who, &x->s, &all_rows, show, x, &x->total, err);
}

static enum sv_err by_hand(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct shown *x = arg;

    return sv_alarm_relieve_by_hand(tx, x->who, x->last.id.s, err);
}

static uint64_t count_as(struct shown *x, const struct sv_actor *who, const char *way)
{
    x->who = who;
    x->s = (struct sv_alarm_search){.way = way};
    reading(search, x);
    return x->total;
}

static void one_at_a_time_until_it_is_over(void)
{
    struct sv_alarm_new n = {.type = SV_ALARM_STORAGE_FULL, .args = {"93", "90"}, .since = 1000};
    struct shown x = {.total = 0};

    open_cloud();
    n.object = w.storage;
    writing(raise_it, &n);
    writing(raise_it, &n);
    CHECK_INT(count_as(&x, &admin, "none"), 1);
    CHECK(strstr(x.text[SV_LANG_EN], "is full to 93 %, and to 90 % or more since 1970-01-01"));
    CHECK(strstr(x.text[SV_LANG_ZH], "已使用 93%,自 1970-01-01"));
    CHECK_INT(count_as(&x, &tenant, NULL), 0);
    count_as(&x, &admin, NULL);
    writing(by_hand, &x);
    CHECK_INT(count_as(&x, &admin, "none"), 0);
    CHECK_INT(count_as(&x, &admin, "manual"), 1);
    writing(raise_it, &n); /* it goes on: nothing new */
    CHECK_INT(count_as(&x, &admin, NULL), 1);
    writing(relieve_it, &n);
    CHECK_INT(count_as(&x, &admin, "manual"), 1);
    writing(raise_it, &n);
    CHECK_INT(count_as(&x, &admin, NULL), 2);
    writing(relieve_it, &n);
    CHECK_INT(count_as(&x, &admin, "auto"), 1);
    n.object = sv_id_new(); /* nobody's */
    writing(raise_it, &n);
    CHECK_INT(count_as(&x, &admin, NULL), 2);
    close_cloud();
}

/* --- many rows ------------------------------------------------------------------------------------------ */

enum { ROWS = 20000 };

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static enum sv_err raise_some(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_id *ids = arg;
    enum sv_err rc = SV_OK;

    for (int i = 0; !rc && i < SV_ALARM_AT_ONCE; i++) {
        const struct sv_alarm_new n = {.type = SV_ALARM_VM_CRASHED, .object = ids[i], .server = true};

        rc = sv_alarm_raise(tx, &n, err);
    }
    return rc;
}

static enum sv_err relieve_some(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_id *ids = arg;
    enum sv_err rc = SV_OK;

    for (int i = 0; !rc && i < SV_ALARM_AT_ONCE; i++)
        rc = sv_alarm_relieve(tx, SV_ALARM_VM_CRASHED, &ids[i], err);
    return rc;
}

struct paged {
    struct sv_page page;
    uint64_t total;
    unsigned rows;
};

static void count_row(void *arg, const struct sv_alarm *a)
{
    struct paged *p = arg;

    (void)a;
    p->rows++;
}

static enum sv_err one_page(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_alarm_search all = {.object = NULL};
    struct paged *p = arg;

    return sv_alarm_search(tx, &admin, &all, &p->page, count_row, p, &p->total, err);
}

static enum sv_err drop_old(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    return sv_alarm_expire(tx, INT64_MAX, err);
}

static void each_batch(sv_tx_fn fn, struct sv_id *ids, const char *what)
{
    const int64_t begun = now_us();
    int64_t longest = 0;

    for (int i = 0; i + SV_ALARM_AT_ONCE <= ROWS; i += SV_ALARM_AT_ONCE) {
        const int64_t before = now_us();

        writing(fn, &ids[i]);
        if (now_us() - before > longest)
            longest = now_us() - before;
    }
    printf("%s: %lld us an alarm, a transaction %lld us at most\n", what, (long long)(now_us() - begun) / ROWS,
           (long long)longest);
}

static void twenty_thousand_rows_are_written_in_parts(void)
{
    SV_AUTOFREE struct sv_id *ids = sv_alloc(ROWS * sizeof(*ids));
    const uint64_t made = ROWS / SV_ALARM_AT_ONCE * SV_ALARM_AT_ONCE;
    struct paged p = {.page = {.limit = 30}};

    open_cloud();
    for (int i = 0; i < ROWS; i++)
        ids[i] = sv_id_new();
    each_batch(raise_some, ids, "raised");
    for (uint64_t at = 0; at < made; at += made - 30) {
        const int64_t before = now_us();

        p.page.offset = at;
        p.rows = 0;
        reading(one_page, &p);
        printf("page at %llu: %lld us\n", (unsigned long long)at, (long long)(now_us() - before));
        CHECK_INT(p.rows, 30);
        CHECK_INT(p.total, made);
    }
    each_batch(relieve_some, ids, "relieved");
    writing(drop_old, NULL);
    for (unsigned i = 0; p.total > 0 && i < 1000; i++) {
        writing(nothing, NULL);
        reading(one_page, &p);
    }
    CHECK_INT(p.total, 0);
    close_cloud();
}

static enum sv_err set_threshold(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_alarm_threshold *t = arg;

    return sv_alarm_threshold_set(cloud, tx, &admin, "vm.cpu", t->value, t->minutes, "low", err);
}

static void a_threshold_is_in_force_at_once(void)
{
    struct sv_alarm_threshold t = {.value = 50, .minutes = 1};

    open_cloud();
    writing(set_threshold, &t);
    t = sv_alarm_threshold_of(cloud->alarms, SV_ALARM_VM_CPU);
    CHECK_INT(t.value, 50);
    CHECK_INT(t.minutes, 1);
    CHECK_INT(t.level, SV_ALARM_LOW);
    close_cloud();
}

/* Every type, in both languages: what it is of, and no placeholder left. */
static void each_type_has_its_words(void)
{
    for (int t = 0; t < SV_ALARM_TYPES; t++) {
        const struct sv_alarm a = {
            .type = (enum sv_alarm_type)t,
            .object_type = sv_alarm_kind((enum sv_alarm_type)t)->object,
            .object_name = "obj-1",
            .args = {sv_alarm_kind((enum sv_alarm_type)t)->error ? "STORAGE" : "77", "88", "1700000000000"}};

        for (int l = 0; l < 2; l++) {
            char text[SV_ALARM_TEXT_LEN];

            sv_alarm_text(&a, (enum sv_lang)l, text, sizeof(text));
            CHECK(strstr(text, "obj-1"));
            CHECK(strstr(text, "2023-11-1"));
            CHECK(!strchr(text, '{'));
        }
    }
}

CHECK_MAIN(T(a_whole_window_raises_and_relieves), T(one_figure_begins_the_window_anew), T(noise_does_not_flap),
           T(waves_are_told_once_each), T(gaps_begin_anew_and_unknown_says_nothing), T(a_hundred_thousand_cost_little),
           T(silence_relieves_vms_only), T(one_at_a_time_until_it_is_over),
           T(twenty_thousand_rows_are_written_in_parts), T(a_threshold_is_in_force_at_once), T(each_type_has_its_words))
