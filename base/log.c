#include "starvirt/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/internal.h"
#include "starvirt/clock.h"

#define LINE_SIZE  8192
#define VALUE_SIZE 2048 /* [bytes] of one value, the rest is cut */
#define TAIL_ROOM  64

static atomic_int least_level = SV_LOG_INFO;
static _Thread_local const char *request;

struct line {
    char s[LINE_SIZE];
    size_t n;
};

void sv_log_level(enum sv_level least)
{
    atomic_store_explicit(&least_level, (int)least, memory_order_relaxed);
}

void sv_log_request(const char *request_id)
{
    request = request_id;
}

const char *sv_level_name(enum sv_level level)
{
    switch (level) {
    case SV_LOG_DEBUG:
        return "debug";
    case SV_LOG_INFO:
        return "info";
    case SV_LOG_WARN:
        return "warn";
    case SV_LOG_ERROR:
        break;
    }
    return "error";
}

/* What does not fit is dropped; TAIL_ROOM sees to it that closing quotes and the line end do fit. */
static void put(struct line *l, const char *p, size_t n)
{
    if (n > sizeof(l->s) - 1 - l->n)
        return;
    memcpy(l->s + l->n, p, n);
    l->n += n;
}

static void puts_line(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

/* Quoted, so that no value can end its line or forge a key. */
static void put_value(struct line *l, const char *v)
{
    size_t n = strlen(v);
    if (n > VALUE_SIZE)
        n = sv_utf8_cut(v, VALUE_SIZE);
    put(l, "\"", 1);
    for (size_t i = 0; i < n && l->n < LINE_SIZE - TAIL_ROOM;) {
        unsigned char c = (unsigned char)v[i];
        size_t seq = sv_utf8_seq(v + i, n - i);
        if (seq == 0) {
            puts_line(l, SV_UTF8_REPLACEMENT);
            i++;
            continue;
        }
        if (c == '\n') {
            put(l, "\\n", 2);
        } else if (c < 0x20 || c == 0x7F) {
            char hex[5];
            snprintf(hex, sizeof(hex), "\\x%02x", c);
            put(l, hex, 4);
        } else {
            if (c == '"' || c == '\\')
                put(l, "\\", 1);
            put(l, v + i, seq);
        }
        i += seq;
    }
    put(l, "\"", 1);
}

static void put_head(struct line *l, enum sv_level level, const char *event)
{
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    int n = snprintf(l->s, sizeof(l->s), "ts=%04d-%02d-%02dT%02d:%02d:%02d.%03dZ level=%s event=", tm.tm_year + 1900,
                     tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(ts.tv_nsec / 1000000),
                     sv_level_name(level));
    l->n = n > 0 ? (size_t)n : 0;
    puts_line(l, event);
    if (request) {
        puts_line(l, " req=");
        put_value(l, request);
    }
}

static void write_line(const struct line *l)
{
    size_t done = 0;
    while (done < l->n) {
        ssize_t n = write(STDERR_FILENO, l->s + done, l->n - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        done += (size_t)n;
    }
}

void sv_log(enum sv_level level, const char *event, ...)
{
    if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed))
        return;
    int saved = errno;
    struct line l;
    va_list ap;
    put_head(&l, level, event);
    va_start(ap, event);
    for (const char *key; (key = va_arg(ap, const char *)) != NULL;) {
        const char *value = va_arg(ap, const char *);
        if (l.n + strlen(key) + 4 > LINE_SIZE - TAIL_ROOM) {
            puts_line(&l, " cut=\"true\"");
            break;
        }
        put(&l, " ", 1);
        puts_line(&l, key);
        put(&l, "=", 1);
        put_value(&l, value ? value : "");
    }
    va_end(ap);
    l.s[l.n++] = '\n';
    write_line(&l);
    errno = saved;
}
