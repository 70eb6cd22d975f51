/* Checks and small words shared by the rooms of the core. */
#include "core/run/run.h"

#include "starvirt/mem.h"

static enum sv_err check_text(const char *s, size_t max, bool lines, enum sv_field field, struct sv_error *err)
{
    const size_t n = strlen(s);

    if (n > max)
        return sv_fail(err, SV_E_PARAM_LENGTH, field, sv_dec((int64_t)max).s);
    if (!sv_utf8_valid(s, n))
        return sv_fail(err, SV_E_PARAM_CHARS, field, "UTF-8");
    for (const char *p = s; *p; p++) {
        const unsigned char ch = (unsigned char)*p;

        if (ch == 0x7f || (ch < 0x20 && !(lines && (ch == '\n' || ch == '\t'))))
            return sv_fail(err, SV_E_PARAM_CHARS, field, "control characters");
    }
    return SV_OK;
}

enum sv_err sv_check_name(const char *name, enum sv_field field, struct sv_error *err)
{
    if (!name)
        return SV_OK;
    if (name[strspn(name, " \t")] == '\0')
        return sv_fail(err, SV_E_PARAM_MISSING, field);
    return check_text(name, SV_MAX_NAME, false, field, err);
}

enum sv_err sv_check_descr(const char *descr, enum sv_field field, struct sv_error *err)
{
    return descr ? check_text(descr, SV_MAX_DESC, true, field, err) : SV_OK;
}

enum sv_err sv_check_count(int64_t v, int64_t min, int64_t max, enum sv_field field, struct sv_error *err)
{
    return v >= min && v <= max ? SV_OK : sv_fail(err, SV_E_PARAM_RANGE, field, sv_dec(min).s, sv_dec(max).s);
}

enum sv_err sv_check_bytes(int64_t v, int64_t min, int64_t max, unsigned how, enum sv_field field, struct sv_error *err)
{
    return v >= min && v <= max ? SV_OK
                                : sv_fail(err, SV_E_PARAM_RANGE, field, sv_bytes(min, how).s, sv_bytes(max, how).s);
}

enum sv_err sv_check_disk(int64_t size, struct sv_error *err)
{
    return sv_check_bytes(size, SV_MIN_DISK, SV_MAX_DISK, SV_OF_DISK, SV_F_DISK_SIZE, err);
}

enum sv_err sv_check_memory(struct sv_cloud *c, int64_t bytes, struct sv_error *err)
{
    int64_t least = SV_MIN_MEMORY;

    pthread_mutex_lock(&c->host_mutex);
    for (unsigned i = 0; i < c->host_count; i++)
        if (sv_hv_least_memory(c->hosts[i]->hv) > least)
            least = sv_hv_least_memory(c->hosts[i]->hv);
    pthread_mutex_unlock(&c->host_mutex);
    return sv_check_bytes(bytes, least, SV_MAX_MEMORY, 0, SV_F_MEMORY, err);
}

enum sv_err sv_check_id(const char *text, enum sv_err not_found, enum sv_field field, struct sv_id *ret,
                        struct sv_error *err)
{
    if (!text || !sv_id_valid(text))
        return sv_fail(err, not_found, field);
    *ret = sv_id_from(text);
    return SV_OK;
}

enum sv_err sv_admin_only(const struct sv_actor *who, struct sv_error *err)
{
    return who->role == SV_ROLE_ADMIN ? SV_OK : sv_fail(err, SV_E_ADMIN_ONLY, SV_F_NONE);
}

const char *sv_vm_state_name(enum sv_vm_state s)
{
    static const char *const names[] = {
        [SV_VM_BUILDING] = "installing", [SV_VM_CLONING] = "cloning", [SV_VM_STOPPED] = "stopped",
        [SV_VM_RUNNING] = "running",     [SV_VM_PAUSED] = "paused",   [SV_VM_SAVED] = "saved",
        [SV_VM_FAILED] = "failed",       [SV_VM_UNKNOWN] = "unknown",
    };

    return names[s];
}

enum sv_err sv_locked_as(enum sv_err code, enum sv_err as, enum sv_field field, struct sv_error *err)
{
    if (code == SV_E_OBJECT_LOCKED && err) {
        err->code = as;
        err->field = field;
    }
    return code == SV_E_OBJECT_LOCKED ? as : code;
}

enum sv_err sv_cloud_event(struct sv_tx *tx, const char *type, const char *object_type, const struct sv_id *object,
                           const struct sv_id *tenant, const char *content, struct sv_error *err)
{
    const struct sv_event e = {
        .type = type, .object_type = object_type, .object = *object, .tenant = *tenant, .content = content};

    return sv_event_add(tx, &e, err);
}

enum sv_err sv_owner(struct sv_tx *tx, const struct sv_actor *who, const char *tenant, struct sv_id *ret,
                     struct sv_error *err)
{
    struct sv_tenant t;
    struct sv_id id;
    enum sv_err rc;

    if (!tenant) {
        *ret = who->tenant;
        return SV_OK;
    }
    rc = sv_check_id(tenant, SV_E_TENANT_NOT_FOUND, SV_F_TENANT, &id, err);
    if (!rc)
        rc = sv_tenant_get(tx, sv_scope_of(who), &id, sv_tx_arena(tx), &t, err);
    if (!rc)
        *ret = id;
    return rc;
}
