/* What a new storage may be: types, places, names, keys (StarVCenter 2.16 and ours). */
#include <ctype.h>

#include "core/storage/storage.h"

static const char *type_of(const char *text)
{
    static const char *const types[] = {"dir", "nfs", "ceph"};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcasecmp(text, types[i]) == 0)
            return types[i];
    }
    return NULL;
}

static enum sv_err malformed(enum sv_field field, const char *want, struct sv_error *err)
{
    return sv_fail(err, SV_E_PARAM_FORMAT, field, want);
}

/* "/a/b": from the root, one slash between names, no "." or "..", nothing that cannot be seen. */
static bool plain_path(const char *path)
{
    if (path[0] != '/' || !path[1] || strlen(path) > 500)
        return false;
    for (const char *p = path; *p;) {
        const size_t n = strcspn(++p, "/");

        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        p += n;
    }
    return true;
}

static bool at_or_below(const char *path, const char *dir)
{
    const size_t n = strlen(dir);

    return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* Where other programs keep theirs. */
static bool is_systems(const char *path)
{
    static const char *const whole[] = {"/bin",  "/boot", "/dev", "/etc",  "/lib", "/lib32", "/lib64",       "/libx32",
                                        "/proc", "/root", "/run", "/sbin", "/sys", "/usr",   "/var/lib/dpkg"};
    static const char *const itself[] = {"/home",
                                         "/media",
                                         "/mnt",
                                         "/opt",
                                         "/srv",
                                         "/tmp",
                                         "/var",
                                         "/var/cache",
                                         "/var/lib",
                                         "/var/lib/libvirt",
                                         "/var/lib/libvirt/qemu",
                                         "/var/log",
                                         "/var/tmp"};

    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        if (at_or_below(path, whole[i]))
            return true;
    }
    for (size_t i = 0; i < sizeof(itself) / sizeof(itself[0]); i++) {
        if (strcmp(path, itself[i]) == 0)
            return true;
    }
    return false;
}

static enum sv_err check_dir(const struct sv_cloud *c, const char *path, struct sv_error *err)
{
    const char *data = c->real_dir;
    SV_AUTOFREE char *images = sv_asprintf("%s/images", data);

    if (!plain_path(path))
        return malformed(SV_F_STORAGE_LOCATION, "/path/of/a/directory", err);
    if (is_systems(path))
        return sv_fail(err, SV_E_STORAGE_PATH, SV_F_STORAGE_LOCATION, "a directory of the system");
    /* "/a" would hold the data directory "/a/b" */
    if (at_or_below(data, path) || (at_or_below(path, data) && !at_or_below(path, images)))
        return sv_fail(err, SV_E_STORAGE_PATH, SV_F_STORAGE_LOCATION, "a directory of this program");
    return SV_OK;
}

static bool all_of(const char *s, size_t n, const char *more)
{
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)s[i]) && !strchr(more, s[i]))
            return false;
    }
    return n > 0;
}

/* "name", "10.0.0.1", "[2001:db8::1]" */
static bool host_name(const char *s, size_t n)
{
    if (n > 2 && s[0] == '[' && s[n - 1] == ']')
        return all_of(s + 1, n - 2, ":.");
    return isalnum((unsigned char)s[0]) && all_of(s, n, ".-");
}

static enum sv_err check_nfs(const char *location, struct sv_error *err)
{
    const char *at = strstr(location, ":/");

    if (!at || !host_name(location, (size_t)(at - location)) || !plain_path(at + 1) || strpbrk(location, " ,\\"))
        return malformed(SV_F_STORAGE_LOCATION, "server:/export", err);
    return SV_OK;
}

static bool monitor(const char *s, size_t n)
{
    const char *end = s[0] == '[' ? memchr(s, ']', n) : NULL;
    const char *from = end ? end + 1 : s;
    const char *colon = memchr(from, ':', n - (size_t)(from - s));
    int64_t port = 1;

    if (colon) {
        char digits[8] = "";
        const size_t len = n - (size_t)(colon + 1 - s);

        if (len == 0 || len >= sizeof(digits))
            return false;
        memcpy(digits, colon + 1, len);
        if (!sv_parse_int(digits, &port))
            return false;
        n = (size_t)(colon - s);
    }
    return port >= 1 && port <= 65535 && host_name(s, n);
}

static enum sv_err check_monitors(const char *list, struct sv_error *err)
{
    bool good = strlen(list) < 500;

    for (const char *p = list; good; p += strcspn(p, ",") + 1) {
        const size_t n = strcspn(p, ",");

        good = n > 0 && monitor(p, n);
        if (!p[n])
            return good ? SV_OK : malformed(SV_F_CEPH_MONITORS, "host[:port],...", err);
    }
    return malformed(SV_F_CEPH_MONITORS, "host[:port],...", err);
}

static enum sv_err check_word(const char *word, enum sv_field field, struct sv_error *err)
{
    if (strlen(word) > 63 || !isalnum((unsigned char)word[0]) || !all_of(word, strlen(word), "._-"))
        return malformed(field, "A-Za-z0-9._-", err);
    return SV_OK;
}

/* No error carries the key. */
static enum sv_err check_key(const char *key, struct sv_error *err)
{
    unsigned char raw[128];
    size_t n = 0, bad;
    const bool good = strlen(key) < sizeof(raw) && sv_b64_decode(key, strlen(key), raw, &n, &bad) && n > 0 &&
                      all_of(key, strlen(key), "+/=");

    explicit_bzero(raw, sizeof(raw));
    return good ? SV_OK : malformed(SV_F_CEPH_KEY, "Base64", err);
}

static enum sv_err check_ceph(const struct sv_storage_new *in, struct sv_error *err)
{
    const struct {
        const char *value;
        enum sv_field field;
    } needed[] = {{in->monitors, SV_F_CEPH_MONITORS},
                  {in->pool, SV_F_CEPH_POOL},
                  {in->user, SV_F_CEPH_USER},
                  {in->key, SV_F_CEPH_KEY}};
    enum sv_err rc = SV_OK;

    for (size_t i = 0; !rc && i < sizeof(needed) / sizeof(needed[0]); i++) {
        if (!needed[i].value || !needed[i].value[0])
            rc = sv_fail(err, SV_E_PARAM_MISSING, needed[i].field);
    }
    if (!rc)
        rc = check_monitors(in->monitors, err);
    if (!rc)
        rc = check_word(in->pool, SV_F_CEPH_POOL, err);
    if (!rc)
        rc = check_word(in->user, SV_F_CEPH_USER, err);
    return rc ? rc : check_key(in->key, err);
}

enum sv_err sv_storage_check_use(enum sv_storage_use use, struct sv_error *err)
{
    return use == SV_STORAGE_MAIN || use == SV_STORAGE_SECONDARY ? SV_OK : sv_fail(err, SV_E_PARAM_ENUM, SV_F_STORAGE);
}

enum sv_err sv_storage_check_new(const struct sv_cloud *c, const struct sv_storage_new *in, const char **ret_type,
                                 struct sv_error *err)
{
    const char *type = type_of(in->type);
    enum sv_err rc = sv_check_name(in->name, SV_F_STORAGE_NAME, err);

    if (!rc)
        rc = sv_check_descr(in->descr, SV_F_NONE, err);
    if (!rc)
        rc = sv_storage_check_use(in->use, err);
    if (!rc && !type)
        rc = sv_fail(err, SV_E_STORAGE_TYPE, SV_F_STORAGE_TYPE,
                     sv_utf8_valid(in->type, strlen(in->type)) ? in->type : "?", "dir, nfs, ceph");
    if (!rc) /* a line end in it would be another line of what mounts it, and of every log */
        rc = sv_check_name(in->location, SV_F_STORAGE_LOCATION, err);
    if (rc)
        return rc;
    *ret_type = type;
    switch (sv_storage_kind(type)) {
    case SV_HV_POOL_DIR:
        return check_dir(c, in->location, err);
    case SV_HV_POOL_NFS:
        return check_nfs(in->location, err);
    case SV_HV_POOL_RBD:
        return check_ceph(in, err);
    }
    return SV_OK;
}
