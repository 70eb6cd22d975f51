#include "starvirt/clock.h"
#include "starvirt/error.h"
#include "starvirt/log.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

/* Zones change their offset on quarters of an hour (the last exception ended in 1972), so one
 * conversion a quarter serves all its seconds. */
#define QUARTER_S 900

static int64_t clock_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* --- the wall clock, and whether to believe it ------------------------------------------------------------ */

static bool near(int64_t a, int64_t b)
{
    return a - b <= SV_CLOCK_DRIFT_MS && b - a <= SV_CLOCK_DRIFT_MS;
}

static int64_t set_to(struct sv_clock *c, int64_t offset, int64_t boot_ms, int64_t *ret_step)
{
    *ret_step = offset - c->offset;
    c->before = c->offset;
    c->offset = offset;
    c->stepped_at = boot_ms;
    c->doubting = false;
    return offset + boot_ms;
}

static bool is_back(const struct sv_clock *c, int64_t offset, int64_t boot_ms)
{
    return c->stepped && near(offset, c->before) && boot_ms - c->stepped_at < SV_CLOCK_HOUR_MS;
}

int64_t sv_clock_judge(struct sv_clock *c, int64_t wall_ms, int64_t boot_ms, int64_t *ret_step)
{
    const int64_t offset = wall_ms - boot_ms;
    *ret_step = 0;
    if (!c->known || near(offset, c->offset)) {
        c->known = true;
        c->offset = offset;
        c->doubting = false;
        return wall_ms;
    }
    if (is_back(c, offset, boot_ms)) {
        c->stepped = false; /* it was wrong between: that is not what to go back to */
        return set_to(c, offset, boot_ms, ret_step);
    }
    if (!c->doubting || !near(offset, c->doubted))
        c->since = boot_ms;
    c->doubting = true;
    c->doubted = offset;
    if (boot_ms - c->since < SV_CLOCK_DOUBT_MS)
        return c->offset + boot_ms;
    c->stepped = true;
    return set_to(c, offset, boot_ms, ret_step);
}

int64_t sv_clock_sure(const struct sv_clock *c, int64_t now_ms, int64_t boot_ms)
{
    const bool fresh = c->stepped && boot_ms - c->stepped_at < SV_CLOCK_HOUR_MS;
    return fresh && c->before + boot_ms < now_ms ? c->before + boot_ms : now_ms;
}

static pthread_mutex_t wall_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sv_clock wall;

/* Both at one time: a thread may be held up between the two. */
static void read_both(int64_t *ret_wall, int64_t *ret_boot)
{
    int64_t before, after;
    unsigned tries = 0;
    do {
        before = clock_us(CLOCK_BOOTTIME);
        *ret_wall = clock_us(CLOCK_REALTIME) / 1000;
        after = clock_us(CLOCK_BOOTTIME);
    } while (after - before > SV_CLOCK_DRIFT_MS * 100 && ++tries < 10);
    *ret_boot = after / 1000;
}

static int64_t read_wall(bool sure)
{
    int64_t now, boot, step;
    pthread_mutex_lock(&wall_lock);
    read_both(&now, &boot);
    now = sv_clock_judge(&wall, now, boot, &step);
    if (sure)
        now = sv_clock_sure(&wall, now, boot);
    pthread_mutex_unlock(&wall_lock);
    if (step)
        sv_log(SV_LOG_WARN, "clock.set", "ms", sv_dec(step).s, NULL);
    return now;
}

int64_t sv_now_ms(void)
{
    return read_wall(false);
}

int64_t sv_sure_ms(void)
{
    return read_wall(true);
}

int64_t sv_mono_ms(void)
{
    return clock_us(CLOCK_MONOTONIC) / 1000;
}

int64_t sv_mono_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

static void put_digits(char *p, unsigned width, int v)
{
    for (unsigned i = width; i-- > 0; v /= 10)
        p[i] = (char)('0' + v % 10);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* The quarter's start in local time. */
static bool local_quarter(int64_t quarter, struct tm *ret)
{
    static _Thread_local int64_t cached = INT64_MIN;
    static _Thread_local struct tm tm;
    if (quarter != cached) {
        time_t t = (time_t)(quarter * QUARTER_S);
        cached = INT64_MIN;
        if (!localtime_r(&t, &tm))
            return false;
        cached = quarter;
    }
    *ret = tm;
    return true;
}

void sv_time_format(int64_t utc_ms, char buf[SV_TIME_LEN + 1])
{
    struct tm tm;
    int64_t s = floor_div(utc_ms, 1000);
    int64_t quarter = floor_div(s, QUARTER_S);
    buf[0] = '\0';
    if (utc_ms == 0 || !local_quarter(quarter, &tm) || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
        return;
    int rest = (int)(s - quarter * QUARTER_S);
    memcpy(buf, "0000-00-00 00:00:00", SV_TIME_LEN + 1);
    put_digits(buf, 4, tm.tm_year + 1900);
    put_digits(buf + 5, 2, tm.tm_mon + 1);
    put_digits(buf + 8, 2, tm.tm_mday);
    put_digits(buf + 11, 2, tm.tm_hour);
    put_digits(buf + 14, 2, tm.tm_min + rest / 60);
    put_digits(buf + 17, 2, tm.tm_sec + rest % 60);
}

/* Reads the digits of "dddd-dd-dd dd:dd:dd" where `shape` has a d. */
static bool read_shape(const char *s, int fields[6])
{
    static const char shape[] = "dddd-dd-dd dd:dd:dd";
    unsigned field = 0;
    fields[0] = 0;
    for (unsigned i = 0; i < SV_TIME_LEN; i++) {
        if (shape[i] == 'd') {
            if (s[i] < '0' || s[i] > '9')
                return false;
            fields[field] = fields[field] * 10 + (s[i] - '0');
        } else {
            if (s[i] != shape[i])
                return false;
            fields[++field] = 0;
        }
    }
    return s[SV_TIME_LEN] == '\0';
}

bool sv_time_parse(const char *s, int64_t *ret_utc_ms)
{
    int f[6];
    if (!s || !read_shape(s, f))
        return false;
    struct tm tm = {.tm_year = f[0] - 1900,
                    .tm_mon = f[1] - 1,
                    .tm_mday = f[2],
                    .tm_hour = f[3],
                    .tm_min = f[4],
                    .tm_sec = f[5],
                    .tm_isdst = -1};
    struct tm asked = tm;
    time_t t = mktime(&tm);
    /* mktime mends what is no date or no local time: then the fields have changed. */
    if (tm.tm_year != asked.tm_year || tm.tm_mon != asked.tm_mon || tm.tm_mday != asked.tm_mday ||
        tm.tm_hour != asked.tm_hour || tm.tm_min != asked.tm_min || tm.tm_sec != asked.tm_sec)
        return false;
    *ret_utc_ms = (int64_t)t * 1000;
    return true;
}

int64_t sv_deadline_left(const struct sv_deadline *d)
{
    if (!d || d->mono_ms == 0)
        return INT64_MAX;
    int64_t left = d->mono_ms - sv_mono_ms();
    return left > 0 ? left : 0;
}

bool sv_deadline_over(const struct sv_deadline *d)
{
    return sv_deadline_left(d) == 0;
}

bool sv_deadline_cancelled(const struct sv_deadline *d)
{
    return d && d->cancel && atomic_load_explicit(d->cancel, memory_order_acquire);
}

struct sv_deadline sv_deadline_within(const struct sv_deadline *d, int64_t ms)
{
    struct sv_deadline r = {.mono_ms = sv_mono_ms() + ms, .cancel = d ? d->cancel : NULL};
    if (d && d->mono_ms != 0 && d->mono_ms < r.mono_ms)
        r.mono_ms = d->mono_ms;
    return r;
}
