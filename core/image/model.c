/* Models and their types: what tenants pick VMs by (StarVCenter 2.2.17-2.2.20). */
#include "core/image/image.h"

/* Values are codes that programs compare: no blanks, nothing to escape. */
static enum sv_err check_value(const char *value, enum sv_field field, struct sv_error *err)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

    if (!value[0] || strlen(value) > SV_MAX_NAME || value[strspn(value, allowed)] != '\0')
        return sv_fail(err, SV_E_PARAM_FORMAT, field, "A-Z a-z 0-9 . _ - (1-128)");
    return SV_OK;
}

enum sv_err sv_model_add(struct sv_tx *tx, const struct sv_actor *who, const char *type, const char *label,
                         const char *value, const char *descr, struct sv_id *ret, struct sv_error *err)
{
    const struct sv_id id = sv_id_new();
    const struct sv_model_type t = {.id = id, .value = value, .label = label, .descr = descr ? descr : ""};
    const struct sv_model m = {.id = id, .type = type, .value = value, .label = label, .descr = descr ? descr : ""};
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = check_value(value, SV_F_MODEL_VALUE, err);
    if (!rc)
        rc = sv_check_name(label, SV_F_NONE, err);
    if (!rc)
        rc = sv_check_descr(descr, SV_F_NONE, err);
    if (!rc)
        rc = type ? sv_model_insert(tx, &m, err) : sv_model_type_insert(tx, &t, err);
    if (!rc)
        *ret = id;
    return rc;
}

enum sv_err sv_model_remove(struct sv_tx *tx, const struct sv_actor *who, const char *id, struct sv_error *err)
{
    struct sv_id mid;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc)
        rc = sv_check_id(id, SV_E_MODEL_NOT_FOUND, SV_F_MODEL, &mid, err);
    return rc ? rc : sv_model_delete(tx, &mid, err);
}

/* A model is offered to every tenant, so its template must be too. */
enum sv_err sv_model_set(struct sv_tx *tx, const struct sv_actor *who, const char *model, const char *template_id,
                         int64_t sysdisk, struct sv_error *err)
{
    struct sv_id tid = {.s = ""};
    struct sv_template t;
    enum sv_err rc = sv_admin_only(who, err);

    if (!rc && template_id)
        rc = sv_check_id(template_id, SV_E_TEMPLATE_NOT_FOUND, SV_F_TEMPLATE, &tid, err);
    if (!rc && template_id)
        rc = sv_template_get(tx, sv_scope_of(who), &tid, sv_tx_arena(tx), &t, err);
    if (!rc && template_id && !sv_id_empty(&t.tenant))
        rc = sv_fail(err, SV_E_TEMPLATE_STATE, SV_F_TEMPLATE, "owned by one tenant, a model needs one offered to all");
    if (!rc && sysdisk)
        rc = sv_check_disk(sysdisk, err);
    return rc ? rc : sv_model_bind(tx, model, &tid, sysdisk, err);
}
