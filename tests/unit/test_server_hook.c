/* Which addresses a web hook may have. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "check.h"
#include "server/hook.h"

static bool is_public(const char *text)
{
    struct sockaddr_in a4 = {.sin_family = AF_INET};
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &a4.sin_addr) == 1)
        return sv_hook_public((const struct sockaddr *)(const void *)&a4);
    CHECK_INT(inet_pton(AF_INET6, text, &a6.sin6_addr), 1);
    return sv_hook_public((const struct sockaddr *)(const void *)&a6);
}

static void only_the_internet_is_public(void)
{
    static const char *const good[] = {"1.1.1.1",         "9.255.255.255",   "11.0.0.0",        "100.63.255.255",
                                       "100.128.0.0",     "126.255.255.255", "128.0.0.0",       "169.253.0.1",
                                       "172.15.255.255",  "172.32.0.0",      "192.167.0.1",     "192.169.0.1",
                                       "198.17.0.1",      "198.20.0.1",      "223.255.255.255", "2001:4860:4860::8888",
                                       "2606:4700::1111", "2a00::1",         "2001:200::1"};
    static const char *const bad[] = {
        "0.0.0.0",     "0.1.2.3",          "10.0.0.1",        "10.255.255.255", "100.64.0.0",      "100.127.255.255",
        "127.0.0.1",   "127.255.255.255",  "169.254.169.254", "172.16.0.0",     "172.31.255.255",  "192.0.0.1",
        "192.0.2.1",   "192.88.99.1",      "192.168.0.1",     "198.18.0.1",     "198.19.255.255",  "198.51.100.1",
        "203.0.113.1", "224.0.0.1",        "239.255.255.255", "240.0.0.1",      "255.255.255.255", "::",
        "::1",         "::ffff:127.0.0.1", "::ffff:8.8.8.8",  "::127.0.0.1",    "64:ff9b::7f00:1", "64:ff9b::808:808",
        "100::1",      "2001::1",          "2001:db8::1",     "2002:7f00:1::",  "3fff::1",         "fc00::1",
        "fd00::1",     "fe80::1",          "fec0::1",         "ff02::1",        "4000::1"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!is_public(good[i]))
            check_failed(__FILE__, __LINE__, "%s is not public", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (is_public(bad[i]))
            check_failed(__FILE__, __LINE__, "%s is public", bad[i]);
}

static void what_is_no_address_of_ip_is_not(void)
{
    const struct sockaddr a = {.sa_family = AF_UNIX};

    CHECK(!sv_hook_public(&a));
}

CHECK_MAIN(T(only_the_internet_is_public), T(what_is_no_address_of_ip_is_not))
