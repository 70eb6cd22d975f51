/* Lists of addresses and ports: one text for what they mean, and a clear word for what they must not be. */
#include "core/network/wanted.h"

#include "tests/unit/check.h"

static struct sv_arena *arena;

static const char *ips(const char *text)
{
    struct sv_net_ranges r;
    struct sv_error err;

    if (sv_parse_ranges(text, SV_F_NIC, arena, &r, &err))
        return sv_arena_printf(arena, "%s %s", sv_err_symbol(err.code), err.arg[0]);
    return sv_ranges_text(&r, arena);
}

static const char *ports(const char *text)
{
    struct sv_net_ports p;
    struct sv_error err;

    if (sv_parse_ports(text, SV_F_NIC, arena, &p, &err))
        return sv_arena_printf(arena, "%s %s", sv_err_symbol(err.code), err.arg[0]);
    return sv_ports_text(&p, arena);
}

static void what_means_the_same_is_one_text(void)
{
    CHECK_STR(ips("10.0.0.1"), "10.0.0.1");
    CHECK_STR(ips(" 10.1.0.0/16 ; 10.0.0.1,10.2.0.1-10.2.0.9"), "10.0.0.1,10.1.0.0/16,10.2.0.1-10.2.0.9");
    CHECK_STR(ips("10.0.0.128/25,10.0.0.0/25"), "10.0.0.0/24");
    CHECK_STR(ips("10.0.0.0/8,10.1.2.3,10.255.255.255"), "10.0.0.0/8");
    CHECK_STR(ips("10.0.0.3,10.0.0.1,10.0.0.2"), "10.0.0.1-10.0.0.3");
    CHECK_STR(ips("10.0.0.1/32,10.0.0.3-10.0.0.3"), "10.0.0.1,10.0.0.3");
    CHECK_STR(ips("255.255.255.255,0.0.0.0"), "0.0.0.0,255.255.255.255");
    CHECK_STR(ports("443,80"), "80,443");
    CHECK_STR(ports("80:83, 85 ,84,8000-8080"), "80:85,8000:8080");
    CHECK_STR(ports("1,65535"), "1,65535");
    CHECK_STR(ports("80,80,80:80"), "80");
}

static void any_is_no_text(void)
{
    CHECK_STR(ips(NULL), "");
    CHECK_STR(ips(""), "");
    CHECK_STR(ips("  "), "");
    CHECK_STR(ips("0.0.0.0/0"), "");
    CHECK_STR(ips("0.0.0.0/1,128.0.0.0/1"), "");
    CHECK_STR(ips("0.0.0.1-255.255.255.255"), "0.0.0.1-255.255.255.255");
    CHECK_STR(ports(NULL), "");
    CHECK_STR(ports("1:65535"), "");
    CHECK_STR(ports("2:65535,1"), "");
}

#define BAD_IPS   "PARAM_FORMAT a.b.c.d[/0-32],..."
#define BAD_PORTS "PARAM_FORMAT 1-65535[:1-65535],..."

static void what_is_none_is_refused(void)
{
    static const char *const no_ips[] = {
        "10.0.0",
        "10.0.0.256",
        "010.0.0.1",
        "::1",
        "2001:db8::/32",
        "10.0.0.1,",
        ",10.0.0.1",
        "10.0.0.1,,",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/ 8",
        "10.0.0.0/08",
        "10.0.0.0/-1",
        "/8",
        "-10.0.0.1",
        "10.0.0.1-",
        "10.0.0.1-10.0.0.2-",
        "10.0.0.0/8-10",
        "10.0.0.1\n",
        "host",
        "10.0.0.1 10.0",
        "10.0.0.1/24/8",
        "0x0a.0.0.1",
        "10.0.0.1 - 10",
        ";",
        "255.255.255.255-255.255.255.2550",
    };
    static const char *const no_ports[] = {
        "0",
        "65536",
        "-1",
        "80:",
        ":80",
        "80:83:85",
        "80-",
        "+80",
        "080",
        "80,,81",
        "8 0",
        "ssh",
        "0:80",
        "80:65536",
        "4294967376",
        "80\n",
        "1e3",
        "18446744073709551696",
        "99999999999999999999999999999999",
    };

    for (size_t i = 0; i < sizeof(no_ips) / sizeof(no_ips[0]); i++)
        CHECK_STR(ips(no_ips[i]), BAD_IPS);
    for (size_t i = 0; i < sizeof(no_ports) / sizeof(no_ports[0]); i++)
        CHECK_STR(ports(no_ports[i]), BAD_PORTS);
}

static void what_would_be_right_is_said(void)
{
    CHECK_STR(ips("10.0.0.1/24"), "PARAM_FORMAT 10.0.0.0/24");
    CHECK_STR(ips("1.0.0.0,10.9.9.9/0"), "PARAM_FORMAT 0.0.0.0/0");
    CHECK_STR(ips("10.0.0.9-10.0.0.1"), "PARAM_FORMAT 10.0.0.1-10.0.0.9");
    CHECK_STR(ports("443:80"), "PARAM_FORMAT 80:443");
}

static void a_list_has_an_end(void)
{
    struct sv_buf b = {0};

    for (unsigned i = 1; i <= SV_MAX_RANGES; i++)
        sv_buf_printf(&b, "%s%u", i > 1 ? "," : "", 2 * i);
    CHECK_STR(ports(b.p), b.p);
    sv_buf_puts(&b, ",1000");
    CHECK_STR(ports(b.p), "PARAM_RANGE at most 64 in a list");
    sv_buf_free(&b);
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {
        T(what_means_the_same_is_one_text), T(any_is_no_text),    T(what_is_none_is_refused),
        T(what_would_be_right_is_said),     T(a_list_has_an_end),
    };
    int rc;

    arena = sv_arena_new();
    rc = check_run(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    sv_arena_free(arena);
    return rc;
}
