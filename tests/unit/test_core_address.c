/* What a guest says of its addresses, as it is kept and compared. */
#include "core/host/host.h"

#include "tests/unit/check.h"

static const char *kept(const char *told, size_t size)
{
    static char list[128];
    static const uint32_t own[] = {10u << 24 | 7, 10u << 24 | 8};

    CHECK(size <= sizeof(list));
    sv_address_list(told, own, 2, list, size);
    return list;
}

static void only_what_reaches_somebody_is_kept(void)
{
    CHECK_STR(kept("", 128), "");
    CHECK_STR(kept("127.0.0.1\n::1\n10.1.2.3\nfe80::5054:ff:fe00:1", 128), "10.1.2.3");
    CHECK_STR(kept("10.1.2.3\n192.0.2.1\n2001:db8::1", 128), "10.1.2.3,192.0.2.1,2001:db8::1");
    CHECK_STR(kept("0.0.0.0\n169.254.9.9\n::\n127.9.9.9", 128), "");
    CHECK_STR(kept("10.1.2\n10.1.2.3.4\n 10.1.2.3\n10.1.2.3 \n1e5\n<b>\n10.1.2.300\n\n", 128), "");
    CHECK_STR(kept("::ffff:10.0.0.1\n::2", 128), "::ffff:10.0.0.1,::2");
}

static void what_does_not_fit_is_left_out_whole(void)
{
    CHECK_STR(kept("10.1.2.3\n10.1.2.4\n10.1.2.5", 19), "10.1.2.3,10.1.2.4");
    CHECK_STR(kept("10.1.2.3", 8), "");
}

static void its_own_are_looked_for_in_all_of_it(void)
{
    struct sv_buf many = {0};

    CHECK_STR(kept("10.1.2.3\n10.1.2.4\n10.0.0.7", 19), "10.1.2.3,10.0.0.7");
    CHECK_STR(kept("10.1.2.3\n10.1.2.4\n10.0.0.7\n10.0.0.8", 19), "10.0.0.7,10.0.0.8");
    CHECK_STR(kept("10.0.0.8\n10.1.2.4\n10.0.0.7\n10.0.0.8", 28), "10.0.0.8,10.1.2.4,10.0.0.7");
    CHECK_STR(kept("10.0.0.7\n10.0.0.7\n10.1.2.4\n10.1.2.4\n10.0.0.7", 128), "10.0.0.7,10.1.2.4");
    CHECK_STR(kept("110.0.0.7\n10.0.0.77", 12), "110.0.0.7");
    CHECK_STR(kept("2001:DB8:0::1\n2001:db8::0001", 128), "2001:db8::1");
    for (unsigned i = 0; i < 5000; i++)
        sv_buf_printf(&many, "10.9.%u.%u\n", i / 250, i % 250 + 1);
    sv_buf_puts(&many, "10.0.0.8\n10.0.0.7");
    const char *list = kept(many.p, 128);
    CHECK(strstr(list, ",10.0.0.8,10.0.0.7") && strlen(list) < 128);
    sv_buf_free(&many);
}

static bool agrees(uint32_t ip, const char *said)
{
    const struct sv_vm vm = {.ip = ip, .guest_ips = said};

    return sv_vm_address_agrees(&vm);
}

static void an_address_is_found_whole(void)
{
    const uint32_t ip = 10u << 24 | 1u << 16 | 2u << 8 | 3u;

    CHECK(agrees(ip, ""));
    CHECK(agrees(ip, "10.1.2.3"));
    CHECK(agrees(ip, "192.0.2.1,10.1.2.3,::2"));
    CHECK(agrees(ip, "110.1.2.3,10.1.2.3"));
    CHECK(!agrees(ip, "110.1.2.3"));
    CHECK(!agrees(ip, "10.1.2.30"));
    CHECK(!agrees(ip, "10.1.2.30,::ffff:10.1.2.3"));
    CHECK(!agrees(ip, "192.0.2.1"));
}

CHECK_MAIN(T(only_what_reaches_somebody_is_kept), T(what_does_not_fit_is_left_out_whole),
           T(its_own_are_looked_for_in_all_of_it), T(an_address_is_found_whole))
