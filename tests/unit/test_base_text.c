#include <errno.h>
#include <unistd.h>

#include "check.h"
#include "starvirt/id.h"
#include "starvirt/text.h"

static void sha256(void)
{
    unsigned char d[SV_SHA256_LEN];
    char hex[SV_SHA256_LEN * 2 + 1];
    sv_sha256("abc", 3, d);
    sv_hex(d, sizeof(d), hex);
    CHECK_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sv_sha256("", 0, d);
    sv_hex(d, sizeof(d), hex);
    CHECK_STR(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static bool up_to(void *arg, int64_t done)
{
    return done <= *(const int64_t *)arg;
}

static void file_digests(void)
{
    char name[] = "/tmp/test_base_text.XXXXXX";
    int fd = mkstemp(name);
    CHECK(fd >= 0);
    char sha[65] = "", md5[33] = "";
    CHECK_INT(sv_file_digest(name, sha, md5), 0);
    CHECK_STR(md5, "d41d8cd98f00b204e9800998ecf8427e");
    /* A million times 'a', the vector of FIPS 180. */
    char block[1000];
    memset(block, 'a', sizeof(block));
    for (int i = 0; i < 1000; i++)
        CHECK_INT(write(fd, block, sizeof(block)), sizeof(block));
    close(fd);
    CHECK_INT(sv_file_digest(name, sha, md5), 0);
    CHECK_STR(sha, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    CHECK_STR(md5, "7707d6ae4e027c70eea2a935c2296f21");
    char only[65] = "";
    CHECK_INT(sv_file_digest(name, only, NULL), 0);
    CHECK_STR(only, sha);
    CHECK_INT(sv_file_digest(name, NULL, md5), 0);
    int64_t allowed = 1000 * 1000;
    CHECK_INT(sv_file_digest_while(name, only, NULL, up_to, &allowed), 0);
    CHECK_STR(only, sha);
    allowed = 500 * 1000; /* stopped on the way */
    CHECK_INT(sv_file_digest_while(name, only, NULL, up_to, &allowed), -1);
    CHECK_INT(errno, ECANCELED);
    unlink(name);
    CHECK_INT(sv_file_digest(name, sha, md5), -1);
    CHECK_INT(errno, ENOENT);
    CHECK_INT(sv_file_digest("/", sha, md5), -1);
    CHECK_INT(errno, EINVAL);
}

static void equal(void)
{
    CHECK(sv_equal_const_time("abcd", "abcd", 4));
    CHECK(!sv_equal_const_time("abcd", "abce", 4));
    CHECK(!sv_equal_const_time("bbcd", "abcd", 4));
    CHECK(sv_equal_const_time("abcd", "abce", 3));
    CHECK(sv_equal_const_time("", "", 0));
}

static void ip4(void)
{
    uint32_t ip = 0;
    char buf[SV_IP4_LEN];
    CHECK(sv_ip4_parse("10.128.0.1", &ip));
    CHECK_INT(ip, 0x0A800001);
    sv_ip4_format(ip, buf);
    CHECK_STR(buf, "10.128.0.1");
    sv_ip4_format(UINT32_MAX, buf);
    CHECK_STR(buf, "255.255.255.255");
    sv_ip4_format(0, buf);
    CHECK_STR(buf, "0.0.0.0");
    static const char *const bad[] = {"",         "1",          "1.2.3",     "1.2.3.",    "1.2.3.4.",   "1.2.3.256",
                                      ".1.2.3",   "1..2.3",     "01.2.3.4",  "1.2.3.04",  "1.2.3.4 ",   " 1.2.3.4",
                                      "1.2.3.-4", "1.2.3.4/24", "1.2.3.4\n", "1.2.3.0x1", "1.2.3.1000", "a.b.c.d"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ip = 77;
        if (sv_ip4_parse(bad[i], &ip))
            check_failed(__FILE__, __LINE__, "'%s' is accepted", bad[i]);
        CHECK_INT(ip, 77);
    }
    CHECK(!sv_ip4_parse(NULL, &ip));
    for (int i = 0; i < 2000; i++) {
        uint32_t r, back = 0;
        sv_random(&r, sizeof(r));
        sv_ip4_format(r, buf);
        CHECK(sv_ip4_parse(buf, &back));
        CHECK_INT(back, r);
    }
}

static void mac(void)
{
    static const unsigned char want[6] = {0x52, 0x54, 0x00, 0xAB, 0xcd, 0xff};
    unsigned char m[6] = {0};
    char buf[SV_MAC_LEN];
    CHECK(sv_mac_parse("52:54:00:aB:cD:FF", m));
    CHECK(memcmp(m, want, 6) == 0);
    sv_mac_format(m, buf);
    CHECK_STR(buf, "52:54:00:ab:cd:ff");
    static const char *const bad[] = {"",
                                      "5",
                                      "52",
                                      "52:54:00:ab:cd",
                                      "52:54:00:ab:cd:",
                                      "52:54:00:ab:cd:f",
                                      "52:54:00:ab:cd:ff:",
                                      "52:54:00:ab:cd:ff0",
                                      "52:54:00:ab:cd:ff\n",
                                      " 52:54:00:ab:cd:ff",
                                      "52-54-00-ab-cd-ff",
                                      "525400abcdff",
                                      "5:254:00:ab:cd:ff",
                                      "0x:54:00:ab:cd:ff",
                                      "52:54:00:ag:cd:ff",
                                      "52:54:00:@b:cd:ff",
                                      "+2:54:00:ab:cd:ff"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (sv_mac_parse(bad[i], m))
            check_failed(__FILE__, __LINE__, "'%s' is accepted", bad[i]);
        CHECK(memcmp(m, want, 6) == 0);
    }
    CHECK(!sv_mac_parse(NULL, m));
    for (int i = 0; i < 2000; i++) {
        unsigned char r[6];
        sv_random(r, sizeof(r));
        sv_mac_format(r, buf);
        CHECK(sv_mac_parse(buf, m));
        CHECK(memcmp(m, r, 6) == 0);
    }
}

CHECK_MAIN(T(sha256), T(file_digests), T(equal), T(ip4), T(mac))
