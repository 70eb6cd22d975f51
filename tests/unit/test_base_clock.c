#include <time.h>

#include "check.h"
#include "starvirt/clock.h"
#include "starvirt/id.h"

static void use_zone(const char *zone)
{
    CHECK_INT(setenv("TZ", zone, 1), 0);
    tzset();
}

/* In a thread-free program the cache of one zone would outlive a change of TZ, so each zone formats
 * other quarters first. */
static void forget_cache(void)
{
    char buf[SV_TIME_LEN + 1];
    sv_time_format(1000, buf);
}

static void expect_format(int64_t ms, const char *want)
{
    char buf[SV_TIME_LEN + 1];
    sv_time_format(ms, buf);
    CHECK_STR(buf, want);
}

static void formats(void)
{
    use_zone("UTC");
    forget_cache();
    expect_format(0, "");
    expect_format(1, "1970-01-01 00:00:00");
    expect_format(-1, "1969-12-31 23:59:59");
    expect_format(1700000000123, "2023-11-14 22:13:20");
    expect_format(1709164799999, "2024-02-28 23:59:59");
    expect_format(1709164800000, "2024-02-29 00:00:00");
    use_zone("Asia/Shanghai");
    forget_cache();
    expect_format(1700000000123, "2023-11-15 06:13:20");
}

/* Any time in any zone: as the C library prints it. */
static void same_as_strftime(void)
{
    static const char *const zones[] = {
        "UTC", "Asia/Shanghai", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "Europe/Berlin"};
    for (size_t z = 0; z < sizeof(zones) / sizeof(zones[0]); z++) {
        use_zone(zones[z]);
        forget_cache();
        for (int i = 0; i < 3000; i++) {
            uint32_t r;
            char got[SV_TIME_LEN + 1], want[64];
            sv_random(&r, sizeof(r));
            /* 1986 to 2054 */
            time_t t = 504921600 + (time_t)(r / 2);
            struct tm tm;
            strftime(want, sizeof(want), "%Y-%m-%d %H:%M:%S", localtime_r(&t, &tm));
            sv_time_format((int64_t)t * 1000 + 7, got);
            CHECK_STR(got, want);
            int64_t back = 0;
            CHECK(sv_time_parse(got, &back));
            /* An hour in autumn happens twice: both readings are right. */
            int64_t off = back / 1000 - (int64_t)t;
            CHECK(off == 0 || off == 3600 || off == -3600 || off == 1800 || off == -1800);
        }
    }
}

static void parses(void)
{
    int64_t ms = 42;
    use_zone("UTC");
    CHECK(sv_time_parse("2023-11-14 22:13:20", &ms));
    CHECK_INT(ms, 1700000000000);
    CHECK(sv_time_parse("2024-02-29 00:00:00", &ms));
    static const char *const bad[] = {"",
                                      "2023-11-14",
                                      "2023-11-14T22:13:20",
                                      "2023-11-14 22:13:20 ",
                                      " 2023-11-14 22:13:2",
                                      "2023-11-14 22:13",
                                      "2023-02-29 00:00:00",
                                      "2023-13-01 00:00:00",
                                      "2023-00-01 00:00:00",
                                      "2023-01-00 00:00:00",
                                      "2023-04-31 00:00:00",
                                      "2023-01-01 24:00:00",
                                      "2023-01-01 00:60:00",
                                      "2023-01-01 00:00:60",
                                      "2023-1-01 00:00:000",
                                      "+023-01-01 00:00:00",
                                      "2023-01-01 00:00:0x"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ms = 42;
        if (sv_time_parse(bad[i], &ms))
            check_failed(__FILE__, __LINE__, "'%s' is accepted", bad[i]);
        CHECK_INT(ms, 42);
    }
    CHECK(!sv_time_parse(NULL, &ms));
    use_zone("Europe/Berlin");
    CHECK(!sv_time_parse("2024-03-31 02:30:00", &ms)); /* skipped by summer time */
}

static void clocks_move(void)
{
    int64_t a = sv_mono_us(), wall = sv_now_ms();
    CHECK(wall > 1600000000000);
    CHECK(sv_mono_us() >= a);
    CHECK(sv_mono_ms() >= a / 1000);
}

static void deadlines(void)
{
    CHECK_INT(sv_deadline_left(NULL), INT64_MAX);
    CHECK(!sv_deadline_over(NULL));
    CHECK(!sv_deadline_cancelled(NULL));
    struct sv_deadline none = {0};
    CHECK_INT(sv_deadline_left(&none), INT64_MAX);

    atomic_bool cancel = false;
    struct sv_deadline d = {.mono_ms = sv_mono_ms() + 100000, .cancel = &cancel};
    CHECK(sv_deadline_left(&d) > 90000 && sv_deadline_left(&d) <= 100000);
    CHECK(!sv_deadline_over(&d) && !sv_deadline_cancelled(&d));
    struct sv_deadline nearer = sv_deadline_within(&d, 50);
    CHECK(nearer.mono_ms < d.mono_ms && nearer.cancel == &cancel);
    struct sv_deadline same = sv_deadline_within(&d, 1000000);
    CHECK_INT(same.mono_ms, d.mono_ms);
    cancel = true;
    CHECK(sv_deadline_cancelled(&nearer));
    d.mono_ms = sv_mono_ms() - 1;
    CHECK(sv_deadline_over(&d));
    CHECK_INT(sv_deadline_left(&d), 0);
}

/* --- a wall clock that is set --------------------------------------------------------------------------- */

enum { HOUR = SV_CLOCK_HOUR_MS, DOUBT = SV_CLOCK_DOUBT_MS };
static const int64_t wall_0 = 1700000000000;

/* At `boot` after the start the wall clock is `off` from right; what is gone by is `want` from right. */
static void at(struct sv_clock *c, int64_t boot, int64_t off, int64_t want, int64_t want_step)
{
    int64_t step = -1;
    CHECK_INT(sv_clock_judge(c, wall_0 + boot + off, 1000 + boot, &step) - wall_0 - boot, want);
    CHECK_INT(step, want_step);
}

static int64_t sure(const struct sv_clock *c, int64_t boot, int64_t now_off)
{
    return sv_clock_sure(c, wall_0 + boot + now_off, 1000 + boot) - wall_0 - boot;
}

static void drift_is_followed(void)
{
    struct sv_clock c = {0};
    at(&c, 0, 0, 0, 0);
    for (int i = 1; i < 100; i++)
        at(&c, i, i * 900, i * 900, 0);
    at(&c, 100, 98 * 900, 98 * 900, 0); /* and back */
}

static void a_moment_is_not_believed(void)
{
    const int64_t jumps[] = {HOUR, -HOUR, 1001, -1001, 100000LL * HOUR};
    for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        struct sv_clock c = {0};
        at(&c, 0, 0, 0, 0);
        at(&c, 10, jumps[i], 0, 0);
        at(&c, 10 + DOUBT - 1, jumps[i], 0, 0);
        at(&c, 10 + DOUBT, 0, 0, 0);
        at(&c, 20 + DOUBT, jumps[i], 0, 0); /* once more: from the beginning */
        at(&c, 20 + 2 * DOUBT - 1, jumps[i], 0, 0);
        at(&c, 20 + 2 * DOUBT, 5 * jumps[i], 0, 0); /* to somewhere else */
        at(&c, 20 + 3 * DOUBT - 1, 5 * jumps[i], 0, 0);
    }
}

static void what_stays_is_believed(void)
{
    struct sv_clock c = {0};
    at(&c, 0, 0, 0, 0);
    at(&c, 10, HOUR, 0, 0);
    at(&c, 10 + DOUBT, HOUR, HOUR, HOUR);
    CHECK_INT(sure(&c, 10 + DOUBT, HOUR), 0); /* not for what cannot be undone */
    at(&c, 11 + DOUBT, HOUR, HOUR, 0);
    at(&c, 20 + DOUBT, 0, 0, -HOUR); /* it comes back: at once */
    at(&c, 30 + DOUBT, HOUR, 0, 0);  /* and that is not to be gone back to */
    at(&c, 40 + DOUBT, 0, 0, 0);
    at(&c, 50 + DOUBT, -HOUR, 0, 0); /* set back for good */
    at(&c, 50 + 2 * DOUBT, -HOUR, -HOUR, -HOUR);
    CHECK_INT(sure(&c, 50 + 2 * DOUBT, -HOUR), -HOUR); /* the earlier one */
}

static void in_time_it_is_sure(void)
{
    struct sv_clock c = {0};
    at(&c, 0, 0, 0, 0);
    at(&c, 0, HOUR, 0, 0);
    at(&c, DOUBT, HOUR, HOUR, HOUR);
    at(&c, DOUBT + HOUR, HOUR, HOUR, 0);
    CHECK_INT(sure(&c, DOUBT + HOUR - 1, HOUR), 0);
    CHECK_INT(sure(&c, DOUBT + HOUR, HOUR), HOUR);
    at(&c, DOUBT + HOUR, 0, HOUR, 0); /* no longer a return, but a step */
    at(&c, 2 * DOUBT + HOUR, 0, 0, -HOUR);
}

CHECK_MAIN(T(formats), T(same_as_strftime), T(parses), T(clocks_move), T(deadlines), T(drift_is_followed),
           T(a_moment_is_not_believed), T(what_stays_is_believed), T(in_time_it_is_sure))
