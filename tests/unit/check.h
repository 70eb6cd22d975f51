/* A harness of one screen: a failed check prints file:line and ends the program with 1.
 *
 *     static void adds(void) { CHECK_INT(1 + 1, 2); }
 *     CHECK_MAIN(T(adds), T(other))
 *
 * `test_x name...` runs only the tests named. */
#ifndef STARVIRT_TESTS_CHECK_H
#define STARVIRT_TESTS_CHECK_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check_test {
    const char *name;
    void (*run)(void);
};
#define T(fn)                                                                                                          \
    {                                                                                                                  \
#fn, fn                                                                                                        \
    }

__attribute__((format(printf, 3, 4), noreturn)) static inline void check_failed(const char *file, int line,
                                                                                const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

static inline void check_int(const char *file, int line, const char *expr, long long got, long long want)
{
    if (got != want)
        check_failed(file, line, "%s is %lld, expected %lld", expr, got, want);
}

static inline void check_str(const char *file, int line, const char *expr, const char *got, const char *want)
{
    if (!got || !want ? got != want : strcmp(got, want) != 0)
        check_failed(file, line, "%s is \"%s\", expected \"%s\"", expr, got ? got : "(null)", want ? want : "(null)");
}

#define CHECK(cond)          ((cond) ? (void)0 : check_failed(__FILE__, __LINE__, "%s", #cond))
#define CHECK_INT(got, want) check_int(__FILE__, __LINE__, #got, (long long)(got), (long long)(want))
#define CHECK_STR(got, want) check_str(__FILE__, __LINE__, #got, (got), (want))

static inline bool check_wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc < 2;
}

static inline int check_run(const struct check_test *tests, size_t n, int argc, char **argv)
{
    unsigned passed = 0;
    for (size_t i = 0; i < n; i++) {
        if (!check_wanted(tests[i].name, argc, argv))
            continue;
        /* Printed first, so that a crash names its test. */
        fprintf(stderr, "%s\n", tests[i].name);
        tests[i].run();
        passed++;
    }
    if (!passed) {
        fprintf(stderr, "no such test\n");
        return 1;
    }
    printf("%u passed, 0 failed\n", passed);
    return 0;
}

#define CHECK_MAIN(...)                                                                                                \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        static const struct check_test tests[] = {__VA_ARGS__};                                                        \
        return check_run(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);                                         \
    }

#endif
