/* Which URIs are taken. */
#include "hv/libvirt/internal.h"

static bool one_of(const char *const *all, const char *p, size_t n)
{
    for (; *all; all++)
        if (strlen(*all) == n && memcmp(*all, p, n) == 0)
            return true;
    return false;
}

/* What no libvirtd will ever take: the rest is found out by connecting, which is tried again and again. */
enum sv_err lv_check_uri(const char *uri, struct sv_error *err)
{
    static const char *const transports[] = {"tls", "unix", "ssh", "ext", "tcp", "libssh2", "libssh", NULL};
    static const char *const of_qemu[] = {"/system", "/session", "/embed", NULL};
    const char *rest = strstr(uri, "://"), *plus = strchr(uri, '+');
    if (!rest)
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, "expected qemu:///system or qemu+ssh://HOST/system");
    if (plus && plus < rest && !one_of(transports, plus + 1, (size_t)(rest - plus - 1)))
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE,
                       "its transport is none of tls, unix, ssh, ext, tcp, libssh2, libssh");
    const char *path = strpbrk(rest + 3, "/?");
    const size_t n = path && *path == '/' ? strcspn(path, "?") : 0;
    if (strncmp(uri, "qemu", 4) == 0 && !(n && one_of(of_qemu, path, n)))
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, "expected /system at its end, as in qemu:///system");
    return SV_OK;
}

/* A password in it would be shown, and libvirt uses none. */
static bool has_password(const char *authority, size_t n)
{
    const char *user_end = memchr(authority, '@', n);

    return user_end && memchr(authority, ':', (size_t)(user_end - authority));
}

/* libvirt takes its parameters apart at '&' and ';' and decodes names, so "%63ommand" is "command" to it: only names
 * that are known to run nothing, as they are written. */
static bool has_unknown_parameter(const char *query)
{
    static const char *const known[] = {"keyfile",   "known_hosts", "known_hosts_verify", "mode",
                                        "no_sanity", "no_tty",      "no_verify",          "pkipath",
                                        "socket",    "sshauth",     "tls_priority",       NULL};

    while (*query) {
        const size_t n = strcspn(query, "&;");

        if (n && !one_of(known, query, strcspn(query, "=&;")))
            return true;
        query += n + (query[n] != '\0');
    }
    return false;
}

/* The path of test: is the name of a file, whose lines its errors quote; embed runs the hypervisor in this process. */
static bool is_place(const char *uri, const char *path, size_t n)
{
    static const char *const of_qemu[] = {"/system", "/session", NULL}, *const of_test[] = {"/default", NULL};

    return one_of(strncmp(uri, "test", 4) == 0 ? of_test : of_qemu, path, n);
}

enum sv_err lv_check_asked_uri(const char *uri, unsigned *ret_hosts, struct sv_error *err)
{
    enum sv_err rc = lv_check_uri(uri, err);

    *ret_hosts = 1;
    if (rc)
        return rc;
    const char *authority = strstr(uri, "://") + 3, *path = authority + strcspn(authority, "/?#");
    const char *query = path + strcspn(path, "?#"), *plus = strchr(uri, '+');

    if (plus && plus < authority && strncmp(plus, "+ext:", 5) == 0)
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, "+ext runs a program on the server");
    if (strchr(uri, '#') || (*query && has_unknown_parameter(query + 1)))
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE,
                       "it has a parameter that may run a program on the server, or that is none");
    if (has_password(authority, (size_t)(path - authority)))
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, "a password is not part of it");
    if (memchr(authority, '%', (size_t)(path - authority)) || *authority == '-')
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, "expected /system behind a host's name or address");
    return is_place(uri, path, (size_t)(query - path))
               ? SV_OK
               : sv_fail(err, SV_E_CONFIG, SV_F_NONE, "expected /system at its end, or test:///default");
}
