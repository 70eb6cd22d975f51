#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "starvirt/mem.h"

static void small_helpers(void)
{
    SV_AUTOFREE char *z = sv_alloc(64);
    for (int i = 0; i < 64; i++)
        CHECK_INT(z[i], 0);
    SV_AUTOFREE char *none = sv_strdup(NULL);
    CHECK(!none);
    SV_AUTOFREE char *s = sv_strdup("abc");
    CHECK_STR(s, "abc");
    SV_AUTOFREE char *f = sv_asprintf("%d-%s", 7, s);
    CHECK_STR(f, "7-abc");
    sv_freep(&f);
    CHECK(!f);
}

static void buffer_grows(void)
{
    struct sv_buf b = {0}, want = {0};
    for (int i = 0; i < 5000; i++) {
        sv_buf_printf(&b, "%d,", i);
        char c[16];
        snprintf(c, sizeof(c), "%d", i);
        sv_buf_puts(&want, c);
        sv_buf_putc(&want, ',');
        CHECK_INT(b.p[b.n], 0);
        CHECK_INT(want.p[want.n], 0);
    }
    CHECK_STR(b.p, want.p);
    sv_buf_free(&want);
    CHECK(!want.p && want.n == 0 && want.cap == 0);
    size_t before = b.n;
    sv_buf_printf(&b, "%*s", 100000, "x"); /* larger than any reserve */
    CHECK_INT(b.n, before + 100000);
    CHECK_INT(b.p[b.n - 1], 'x');
    sv_buf_add(&b, NULL, 0);
    char *p = sv_buf_steal(&b);
    CHECK(p && !b.p && b.n == 0);
    free(p);
    p = sv_buf_steal(&b); /* of nothing: still a string */
    CHECK_STR(p, "");
    free(p);
}

static void reserve_leaves_room_for_nul(void)
{
    for (size_t n = 0; n < 600; n++) {
        struct sv_buf b = {0};
        sv_buf_reserve(&b, n);
        CHECK(b.cap > n);
        sv_buf_free(&b);
    }
}

static void arena_gives_zeroed_aligned(void)
{
    struct sv_arena *a = sv_arena_new();
    static const size_t sizes[] = {0, 1, 15, 16, 17, 100, 4000, 5000, 16384, 20000, 300000};
    for (int round = 0; round < 20; round++) {
        char *p[sizeof(sizes) / sizeof(sizes[0])];
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            p[i] = sv_arena_alloc(a, sizes[i]);
            CHECK_INT((uintptr_t)p[i] % 16, 0);
            for (size_t k = 0; k < sizes[i]; k++)
                CHECK_INT(p[i][k], 0);
            memset(p[i], (int)i + 1, sizes[i]);
        }
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
            for (size_t k = 0; k < sizes[i]; k++)
                CHECK_INT(p[i][k], i + 1);
        if (round % 3 == 0)
            sv_arena_reset(a);
    }
    sv_arena_freep(&a);
    CHECK(!a);
    sv_arena_free(NULL);
}

static void arena_strings(void)
{
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    CHECK_STR(sv_arena_strdup(a, "云"), "云");
    CHECK(!sv_arena_strdup(a, NULL));
    CHECK_STR(sv_arena_strndup(a, "abcdef", 2), "ab");
    CHECK_STR(sv_arena_printf(a, "%s=%d", "k", 5), "k=5");
    char *big = sv_arena_printf(a, "%*s|", 5000, "x");
    CHECK_INT(strlen(big), 5001);
    CHECK_INT(big[5000], '|');
    for (int i = 0; i < 20000; i++)
        CHECK_STR(sv_arena_strdup(a, "0123456789"), "0123456789");
}

#ifdef __SANITIZE_ADDRESS__
/* The sanitizer must end a child that reads past its piece of the arena, or after a reset. */
static void overrun(void (*wrong)(void))
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(STDERR_FILENO);
        wrong();
        _exit(0);
    }
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

static void read_past_end(void)
{
    struct sv_arena *a = sv_arena_new();
    volatile char *p = sv_arena_alloc(a, 10);
    char c = p[10];
    (void)c;
}

static void read_after_reset(void)
{
    struct sv_arena *a = sv_arena_new();
    volatile char *p = sv_arena_alloc(a, 10);
    sv_arena_reset(a);
    char c = p[0];
    (void)c;
}

static void arena_is_poisoned(void)
{
    overrun(read_past_end);
    overrun(read_after_reset);
}
#else
static void arena_is_poisoned(void)
{
    fprintf(stderr, "  (only seen by a build with -Db_sanitize=address)\n");
}
#endif

static void copies_cut_at_characters(void)
{
    char b[8];
    SV_COPY(b, "short");
    CHECK_STR(b, "short");
    SV_COPY(b, "1234567");
    CHECK_STR(b, "1234567");
    SV_COPY(b, "12345678");
    CHECK_STR(b, "1234567");
    SV_COPY(b, "123456云");
    CHECK_STR(b, "123456");
    SV_COPY(b, "12345云");
    CHECK_STR(b, "12345");
    SV_COPY(b, "1234云x");
    CHECK_STR(b, "1234云");
    SV_COPY(b, "1234😀");
    CHECK_STR(b, "1234");
    SV_COPY(b, NULL);
    CHECK_STR(b, "");
    SV_COPY(b, "\x80\x80\x80\x80\x80\x80\x80\x80\x80");
    CHECK_INT(strlen(b), 7);
    char one[1] = {'x'};
    SV_COPY(one, "云");
    CHECK_STR(one, "");
    sv_copy(b, 0, "x");
}

static void integers(void)
{
    static const struct {
        const char *s;
        bool ok;
        int64_t v;
    } rows[] = {{"0", true, 0},
                {"-0", true, 0},
                {"42", true, 42},
                {"007", true, 7},
                {"-42", true, -42},
                {"9223372036854775807", true, INT64_MAX},
                {"-9223372036854775808", true, INT64_MIN},
                {"9223372036854775808", false, 0},
                {"-9223372036854775809", false, 0},
                {"99999999999999999999999", false, 0},
                {"", false, 0},
                {"-", false, 0},
                {"+1", false, 0},
                {" 1", false, 0},
                {"1 ", false, 0},
                {"1.0", false, 0},
                {"0x10", false, 0},
                {"--1", false, 0},
                {"1e3", false, 0},
                {NULL, false, 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t v = 77;
        CHECK_INT(sv_parse_int(rows[i].s, &v), rows[i].ok);
        CHECK_INT(v, rows[i].ok ? rows[i].v : 77);
    }
}

static void utf8(void)
{
    CHECK(sv_utf8_valid("", 0));
    CHECK(sv_utf8_valid("a\0b", 3));
    CHECK(sv_utf8_valid("云\xF0\x9F\x98\x80\xC3\xA9\xEF\xBF\xBF\xF4\x8F\xBF\xBF", 16));
    static const char *const bad[] = {"\x80",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xC3",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xE4\xBA",
                                      "\xE4\xBA(",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFF",
                                      "\xF0\x9F\x98"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!sv_utf8_valid(bad[i], strlen(bad[i])));
}

CHECK_MAIN(T(small_helpers), T(buffer_grows), T(reserve_leaves_room_for_nul), T(arena_gives_zeroed_aligned),
           T(arena_strings), T(arena_is_poisoned), T(copies_cut_at_characters), T(integers), T(utf8))
