/* Models and their types (StarVCenter 2.2.17, 2.2.19, 2.2.20; bind is ours). */
#include "handlers/starvcenter/rows.h"

struct listing {
    struct sv_reply *out;
    bool open; /* a type's object and its model list are open */
};

static void end_type(struct listing *l)
{
    if (l->open) {
        sv_reply_end_list(l->out);
        sv_reply_end_obj(l->out);
    }
    l->open = false;
}

static void put_model(void *arg, const struct sv_model_type *t, const struct sv_model *m)
{
    struct listing *l = arg;
    struct sv_reply *r = l->out;

    if (!m) {
        end_type(l);
        sv_reply_obj(r);
        sv_put_str(r, "vm.tenant.type", t->value);
        sv_put_str(r, "vm.tenant.typename", t->label);
        sv_put_id(r, "id", &t->id); /* ours: what delVhostModelAndType takes */
        sv_reply_list_in(r, "model");
        l->open = true;
        return;
    }
    sv_reply_obj(r);
    sv_put_str(r, "vm.tenant.mode", m->value); /* spelled as printed */
    sv_put_str(r, "vm.tenant.modelname", m->label);
    sv_put_id(r, "id", &m->id);
    sv_put_id(r, "vm.template.id", &m->template_id);
    sv_reply_end_obj(r);
}

static enum sv_err list(struct sv_call *c, const void *in, struct sv_reply *out)
{
    struct listing l = {.out = out};
    enum sv_err rc;

    (void)in;
    sv_reply_list(out);
    rc = sv_model_search(c->tx, &c->actor, put_model, &l, c->err);
    end_type(&l);
    sv_reply_end_list(out);
    return rc;
}

/* The dictionary type under which types themselves are entered. */
static const char type_of_types[] = "tenant_type";

struct add_in {
    const char *type, *label, *value, *description;
};
static const struct sv_param add_params[] = {
    STR("type", struct add_in, type, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_MODEL_TYPE,
        DOC("字典类型:tenant_type 录入类型,否则为所属类型的值",
            "tenant_type to add a type, else the value of the type it belongs to")),
    STR("label", struct add_in, label, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        DOC("名称", "name for people")),
    STR("value", struct add_in, value, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_MODEL_VALUE, DOC("编码", "code: letters, digits, . _ -")),
    STR("description", struct add_in, description, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC,
        DOC("描述", "description")),
};

static enum sv_err add(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct add_in *in = input;
    struct sv_id id;
    const bool is_type = strcmp(in->type, type_of_types) == 0;
    enum sv_err rc =
        sv_model_add(c->tx, &c->actor, is_type ? NULL : in->type, in->label, in->value, in->description, &id, c->err);

    if (rc)
        return rc;
    sv_reply_list(out);
    sv_reply_obj(out);
    sv_put_id(out, "id", &id);
    sv_reply_end_obj(out);
    sv_reply_end_list(out);
    return SV_OK;
}

static const struct sv_param remove_params[] = {
    PATH_ID("id", struct sv_id_in, id, SV_F_MODEL, "型号或类型编号", "id of the model or type"),
};

static enum sv_err remove_model(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;
    enum sv_err rc = sv_model_remove(c->tx, &c->actor, in->id, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_reply_end_obj(out);
    return SV_OK;
}

struct bind_in {
    const char *model, *template_id;
    struct sv_opt_int size;
};
static const struct sv_param bind_params[] = {
    STR("vm.tenant.model", struct bind_in, model, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_MODEL, DOC("云主机型号", "value of the model")),
    ID("vm.template.id", struct bind_in, template_id, .field = SV_F_TEMPLATE,
       DOC("模板编号,缺省解除绑定", "template; absent = an empty system disk")),
    INT("vm.sysdisk.size", struct bind_in, size, .flags = SV_P_MIN | SV_P_OUR_MAX, .min = 1, .max = SV_MAX_DISK_GIB,
        .unit = "GB", .field = SV_F_DISK_SIZE, DOC("系统盘容量,默认 20", "size of the system disk, 20 unless given")),
};

static enum sv_err bind(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct bind_in *in = input;

    (void)out;
    return sv_model_set(c->tx, &c->actor, in->model, in->template_id, in->size.v * SV_GIB, c->err);
}

static const struct sv_reply_row model_rows[] = {
    SV_TEXT("vm.tenant.mode"), SV_TEXT("vm.tenant.modelname"), SV_TEXT("id"), SV_TEXT("vm.template.id"), {0}};

static const struct sv_route routes[] = {
    {.section = "2.2.17",
     .method = "GET",
     .path = "cloudvm/model",
     .runs = SV_RUN_READ,
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("vm.tenant.type"), SV_TEXT("vm.tenant.typename"), SV_OBJS("model", model_rows),
               SV_TEXT("id", .flags = SV_O_OURS)),
     .handler = list,
     DOC("获取云主机型号", "list types and models")},
    {.section = "2.2.19",
     .method = "POST",
     .path = "cloudvm/addVhostModelAndType",
     .runs = SV_RUN_WRITE,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(add_params),
     .in_size = sizeof(struct add_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("id")),
     .handler = add,
     DOC("录入云主机型号或类型", "add a type, or a model to a type")},
    {.section = "2.2.20",
     .method = "DELETE",
     .path = "cloudvm/delVhostModelAndType/{id}",
     .runs = SV_RUN_WRITE,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(remove_params),
     .in_size = sizeof(struct sv_id_in),
     .data = SV_DATA_OBJ,
     .handler = remove_model,
     DOC("删除云主机型号或类型", "delete a type or model that is not used")},
    {.section = "templates",
     .method = "POST",
     .path = "cloudvm/model/bind",
     .runs = SV_RUN_WRITE,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(bind_params),
     .in_size = sizeof(struct bind_in),
     .handler = bind,
     .extension = true,
     DOC("型号绑定模板", "bind a model to a template")},
};
const struct sv_route_table sv_table_model = {routes, ROUTE_COUNT(routes)};
