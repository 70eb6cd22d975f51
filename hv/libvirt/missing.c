#include "hv/libvirt/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* A file that is gone makes libvirt and QEMU say many things, among them that something is not supported. Which one
 * it is can be seen. */

static bool is_gone(const char *path)
{
    return access(path, F_OK) != 0 && errno == ENOENT;
}

static enum sv_err gone(const char *path, struct sv_error *err)
{
    struct sv_id id;
    bool is_template = false;
    if (!lv_volume_named(path, &id, &is_template))
        return sv_fail(err, SV_E_STORAGE, SV_F_NONE, "a file that the disk stands on is gone");
    return sv_fail(err, is_template ? SV_E_TEMPLATE_FILE : SV_E_DISK_FILE, SV_F_NONE, id.s);
}

/* A relative name is one in the same directory. */
static char *beside(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    return name[0] == '/' || !slash ? sv_strdup(name) : sv_asprintf("%.*s/%s", (int)(slash - path), path, name);
}

enum sv_err lv_file_there(const char *path, struct sv_error *err)
{
    if (is_gone(path))
        return gone(path, err);
    SV_AUTOFREE char *name = lv_qcow2_backing(path);
    SV_AUTOFREE char *backing = name ? beside(path, name) : NULL;
    return backing && is_gone(backing) ? gone(backing, err) : SV_OK;
}

enum sv_err lv_disk_there(struct lv_host *h, const struct sv_id *disk, struct sv_error *err)
{
    SV_AUTOFREE char *path = lv_volume_find(h, disk);
    return lv_file_there(path, err);
}

char *lv_next_file(const char **at)
{
    char path[512];
    const char *from = strstr(*at, "<disk "), *to = from ? strstr(from, "</disk>") : NULL;
    if (!to)
        return NULL;
    *at = to;
    SV_AUTOFREE char *disk = sv_asprintf("%.*s", (int)(to - from), from);
    bool found = lv_xml_attr(disk, "source", NULL, NULL, "file", path, sizeof(path));
    return found ? sv_strdup(path) : lv_next_file(at);
}

enum sv_err lv_or_missing(struct lv_host *h, virDomainPtr d, enum sv_err rc, struct sv_error *err)
{
    struct sv_error why = {.code = SV_OK};
    if (h->remote || (rc != SV_E_HYPERVISOR && rc != SV_E_UNSUPPORTED && rc != SV_E_STORAGE))
        return rc;
    SV_AUTOFREE char *xml = virDomainGetXMLDesc(d, 0);
    const char *at = xml;
    for (char *path; !why.code && at && (path = lv_next_file(&at)); free(path))
        (void)lv_file_there(path, &why);
    if (why.code)
        *err = why;
    return why.code ? why.code : rc;
}
