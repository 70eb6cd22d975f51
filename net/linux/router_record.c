#include "net/linux/ha.h"

void record_free(struct record *r)
{
    sv_buf_free(&r->wanted);
    sv_buf_free(&r->found);
}

static char *record_path(const struct router *r, const char *name)
{
    return sv_asprintf("%s/%s%s", r->names.dir, name, r->instance ? ".1" : "");
}

enum sv_err record_read(const struct router *r, struct record *ret, struct sv_error *err)
{
    SV_AUTOFREE char *wanted = record_path(r, "wanted");
    SV_AUTOFREE char *found = record_path(r, "found");
    enum sv_err rc = file_read(wanted, &ret->wanted, err);
    return rc ? rc : file_read(found, &ret->found, err);
}

enum sv_err record_write(const struct router *r, const struct record *rec, struct sv_error *err)
{
    bool changed;
    SV_AUTOFREE char *wanted = record_path(r, "wanted");
    SV_AUTOFREE char *found = record_path(r, "found");
    enum sv_err rc = file_remove(found, err);
    if (!rc)
        rc = file_write(wanted, rec->wanted.p, rec->wanted.n, &changed, err);
    return rc ? rc : file_write(found, rec->found.p, rec->found.n, &changed, err);
}

enum sv_err record_remove(const struct router *r, struct sv_error *err)
{
    static const char *const names[] = {"found", "wanted"};
    enum sv_err rc = SV_OK;
    for (size_t i = 0; !rc && i < sizeof(names) / sizeof(names[0]); i++) {
        SV_AUTOFREE char *path = record_path(r, names[i]);
        SV_AUTOFREE char *half = sv_asprintf("%s.new", path);
        rc = file_remove(path, err);
        if (!rc)
            rc = file_remove(half, err);
    }
    return rc;
}

enum sv_err found_now(const struct router *r, struct sv_buf *ret, struct sv_error *err)
{
    SV_AUTOFD int fd = netns_open(r->names.netns_path);
    if (fd < 0)
        return SV_OK;
    enum sv_err rc = nft_look(fd, "list ruleset", ret, err);
    if (!rc)
        rc = router_link_look(r, ret, err);
    ha_common(ret);
    return rc;
}
