#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "check.h"
#include "starvirt/log.h"
#include "starvirt/mem.h"

static int saved_stderr = -1;
static int capture_fd = -1;

static void begin_capture(void)
{
    char name[] = "/tmp/test_base_log.XXXXXX";
    capture_fd = mkstemp(name);
    CHECK(capture_fd >= 0);
    unlink(name);
    /* Appending, as a log is: threads do not overwrite each other. */
    CHECK_INT(fcntl(capture_fd, F_SETFL, O_APPEND), 0);
    saved_stderr = dup(STDERR_FILENO);
    CHECK(dup2(capture_fd, STDERR_FILENO) >= 0);
}

static char *end_capture(void)
{
    off_t size = lseek(capture_fd, 0, SEEK_END);
    char *text = sv_alloc((size_t)size + 1);
    ssize_t n = pread(capture_fd, text, (size_t)size, 0);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(capture_fd);
    CHECK_INT(n, size);
    return text;
}

/* What follows the time, whose form is checked here. */
static const char *after_time(const char *line)
{
    static const char shape[] = "ts=dddd-dd-ddTdd:dd:dd.dddZ ";
    for (size_t i = 0; i < sizeof(shape) - 1; i++)
        CHECK(shape[i] == 'd' ? line[i] >= '0' && line[i] <= '9' : line[i] == shape[i]);
    return line + sizeof(shape) - 1;
}

static void one_line(void)
{
    begin_capture();
    errno = EBADF;
    sv_log(SV_LOG_INFO, "job.done", "startid", "abc", "n", "", "none", NULL, NULL);
    int kept = errno;
    SV_AUTOFREE char *got = end_capture();
    CHECK_STR(after_time(got), "level=info event=job.done startid=\"abc\" n=\"\" none=\"\"\n");
    CHECK_INT(kept, EBADF);
}

static void no_forged_lines(void)
{
    begin_capture();
    sv_log_request("r-1\n");
    sv_log(SV_LOG_ERROR, "e", "name", "a\"b\\c\nlevel=error\r\x1b[0m\xFF云\x7f", NULL);
    sv_log_request(NULL);
    sv_log(SV_LOG_WARN, "f", NULL);
    SV_AUTOFREE char *got = end_capture();
    char *second = strchr(got, '\n') + 1;
    second[-1] = '\0';
    CHECK_STR(after_time(got), "level=error event=e req=\"r-1\\n\" name=\"a\\\"b\\\\c\\nlevel=error\\x0d\\x1b[0m"
                               "\xEF\xBF\xBD云\\x7f\"");
    CHECK_STR(after_time(second), "level=warn event=f\n");
}

static void levels(void)
{
    begin_capture();
    sv_log(SV_LOG_DEBUG, "hidden", NULL);
    sv_log_level(SV_LOG_DEBUG);
    sv_log(SV_LOG_DEBUG, "shown", NULL);
    sv_log_level(SV_LOG_ERROR);
    sv_log(SV_LOG_WARN, "hidden", NULL);
    sv_log_level(SV_LOG_INFO);
    SV_AUTOFREE char *got = end_capture();
    CHECK_STR(after_time(got), "level=debug event=shown\n");
    CHECK_STR(sv_level_name(SV_LOG_ERROR), "error");
}

/* However much comes in, the line ends, its quotes are closed and its characters whole. */
static void huge_values(void)
{
    char *big = sv_alloc(30000);
    for (int i = 0; i < 9999; i++)
        memcpy(big + i * 3, "云", 3);
    char *hot = sv_alloc(10001);
    memset(hot, '\x01', 10000);
    begin_capture();
    sv_log(SV_LOG_INFO, "a", "k", big, "l", "x", NULL);
    sv_log(SV_LOG_INFO, "b", "k", hot, "l", hot, "m", "x", "n", "y", NULL);
    SV_AUTOFREE char *got = end_capture();
    char *second = strchr(got, '\n') + 1;
    CHECK(second - got < 3000);
    CHECK(strncmp(second - 8, "\" l=\"x\"\n", 8) == 0);
    CHECK(sv_utf8_valid(got, strlen(got)));
    size_t n = strlen(second), quotes = 0;
    CHECK(n <= 8192 && second[n - 1] == '\n');
    for (size_t i = 0; i < n; i++)
        quotes += second[i] == '"';
    CHECK_INT(quotes % 2, 0);
    CHECK(strstr(second, " cut=\"true\"\n"));
    free(big);
    free(hot);
}

static void *talk(void *arg)
{
    sv_log_request(arg);
    for (int i = 0; i < 500; i++)
        sv_log(SV_LOG_INFO, "t", "a", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", NULL);
    return NULL;
}

static void threads_do_not_mix(void)
{
    char names[3][4] = {"r-0", "r-1", "r-2"};
    pthread_t t[3];
    begin_capture();
    for (int i = 0; i < 3; i++)
        CHECK_INT(pthread_create(&t[i], NULL, talk, names[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    SV_AUTOFREE char *got = end_capture();
    int lines = 0;
    for (char *line = got, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        const char *rest = after_time(line);
        CHECK(strncmp(rest, "level=info event=t req=\"r-", 26) == 0);
        CHECK_STR(rest + 27, "\" a=\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"");
        lines++;
    }
    CHECK_INT(lines, 1500);
}

CHECK_MAIN(T(one_line), T(no_forged_lines), T(levels), T(huge_values), T(threads_do_not_mix))
