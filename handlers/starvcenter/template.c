/* Templates (ours, group "templates"). */
#include "handlers/starvcenter/rows.h"

static enum sv_err put_import(struct sv_call *c, const struct sv_template_new *t, struct sv_reply *out)
{
    struct sv_id id;
    enum sv_err rc = sv_template_import(c->cloud, c->tx, &c->actor, t, &id, &out->startid, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "template.id", &id);
    sv_reply_end_obj(out);
    return SV_OK;
}

struct import_in {
    const char *name, *path, *url, *format, *os, *md5, *desc;
};
static const struct sv_param import_params[] = {
    STR("template.name", struct import_in, name, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_TEMPLATE_NAME, DOC("名称", "name")),
    STR("template.path", struct import_in, path, .field = SV_F_TEMPLATE_PATH,
        DOC("服务器上的镜像文件(管理员)", "image file on the server (administrators)")),
    STR("template.url", struct import_in, url, .field = SV_F_TEMPLATE_URL,
        DOC("镜像地址(未启用)", "image address (not enabled)")),
    ENUM("template.format", struct import_in, format, SV_VALUES("qcow2", "raw", "vmdk"), .field = SV_F_TEMPLATE_FORMAT,
         DOC("格式,缺省自动识别", "format; detected when absent")),
    STR("template.os", struct import_in, os, NAME_LEN, DOC("操作系统", "operating system")),
    STR("template.md5", struct import_in, md5, .field = SV_F_CHECKSUM,
        DOC("MD5 校验和", "MD5 of the file, checked before use")),
    STR("template.desc", struct import_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, DOC("描述", "description")),
};

static enum sv_err find_file(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct import_in *in = input;
    const char *path = NULL;
    enum sv_err rc;

    (void)out;
    if (in->url || !in->path)
        return SV_OK;
    rc = sv_template_path(c->cloud, &c->actor, in->path, c->arena, &path, c->err);
    c->prepared = path;
    return rc;
}

static enum sv_err import(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct import_in *in = input;
    const struct sv_template_new t = {
        .name = in->name, .descr = in->desc, .os = in->os, .format = in->format, .md5 = in->md5, .path = c->prepared};

    /* fetching from addresses a tenant names is off: it would reach what only the server can (threat 25) */
    if (in->url)
        return sv_wire_fail(c, SV_E_UNSUPPORTED, "template.url", "template.url");
    if (!in->path)
        return sv_wire_fail(c, SV_E_PARAM_MISSING, "template.path", NULL);
    return put_import(c, &t, out);
}

struct upload_in {
    const char *name, *format;
};
static const struct sv_param upload_params[] = {
    STR("name", struct upload_in, name, .in = SV_IN_QUERY, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_TEMPLATE_NAME, DOC("名称", "name")),
    ENUM("format", struct upload_in, format, .in = SV_IN_QUERY, SV_VALUES("qcow2", "raw", "vmdk"),
         .field = SV_F_TEMPLATE_FORMAT, DOC("格式,缺省自动识别", "format; detected when absent")),
};

static enum sv_err upload(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct upload_in *in = input;
    const struct sv_template_new t = {
        .name = in->name, .format = in->format, .upload = c->upload_path, .upload_size = c->upload_size};
    enum sv_err rc = put_import(c, &t, out);

    c->upload_keep = !rc; /* the job consumes it */
    return rc;
}

struct create_in {
    const char *vm, *name, *desc;
};
static const struct sv_param create_params[] = {
    ID("vm.id", struct create_in, vm, REQUIRED, .field = SV_F_VM, DOC("云主机编号", "id of the VM")),
    STR("template.name", struct create_in, name, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_TEMPLATE_NAME, DOC("名称", "name")),
    STR("template.desc", struct create_in, desc, .flags = SV_P_OUR_MAX, .max = SV_MAX_DESC, DOC("描述", "description")),
};

static enum sv_err create(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct create_in *in = input;
    const struct sv_template_new t = {.name = in->name, .descr = in->desc};
    struct sv_id id;
    enum sv_err rc = sv_template_create(c->cloud, c->tx, &c->actor, &t, in->vm, &id, &out->startid, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_id(out, "template.id", &id);
    sv_reply_end_obj(out);
    return SV_OK;
}

struct search_in {
    const char *id, *name;
    struct sv_page_in page;
};
static const struct sv_param search_params[] = {
    ID("template.id", struct search_in, id, .field = SV_F_TEMPLATE, DOC("模板编号", "id of the template")),
    STR("template.name", struct search_in, name, NAME_LEN, DOC("名称(模糊匹配)", "substring of the name")),
    PAGE_ROWS(struct search_in),
};

struct sink {
    struct sv_reply *out;
    enum sv_lang lang;
};

static void put_template(void *arg, const struct sv_template *t)
{
    static const char *const states[] = {[SV_TEMPLATE_IMPORTING] = "importing",
                                         [SV_TEMPLATE_READY] = "ready",
                                         [SV_TEMPLATE_FAILED] = "failed",
                                         [SV_TEMPLATE_DELETING] = "deleting"};
    const struct sink *s = arg;
    struct sv_reply *r = s->out;
    char why[512];

    sv_template_info(t, s->lang, why, sizeof(why));
    sv_reply_obj(r);
    sv_put_id(r, "template.id", &t->id);
    sv_put_str(r, "template.name", t->name);
    sv_put_str(r, "template.desc", t->descr);
    sv_put_str(r, "template.os", t->os);
    sv_put_str(r, "template.format", t->format);
    sv_put_int(r, "template.size", t->virtual_size);
    sv_put_str(r, "template.state", states[t->state]);
    sv_put_time(r, "template.createtime", t->created);
    sv_put_str(r, "template.md5", t->md5);
    sv_put_str(r, "template.error", t->state == SV_TEMPLATE_FAILED ? why : "");
    sv_reply_end_obj(r);
}

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct search_in *in = input;
    const struct sv_page p = sv_page_of(&in->page);
    const struct sv_template_filter f = {.id = sv_id_from(in->id), .name = in->name};
    struct sink sink = {out, c->lang};
    enum sv_err rc = SV_OK;

    sv_reply_list(out);
    if (!in->id || sv_id_valid(in->id))
        rc = sv_template_search(c->tx, &c->actor, &f, &p, put_template, &sink, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

static const struct sv_param delete_params[] = {
    PATH_ID("templateId", struct sv_id_in, id, SV_F_TEMPLATE, "模板编号", "id of the template"),
};

static enum sv_err delete_template(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    return sv_template_remove(c->cloud, c->tx, &c->actor, in->id, &out->startid, c->err);
}

static const struct sv_route routes[] = {
    {.section = "templates",
     .method = "POST",
     .path = "cloudtemplate/import",
     .kind = SV_ASYNC,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(import_params),
     .in_size = sizeof(struct import_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("template.id")),
     .prepare = find_file,
     .handler = import,
     .extension = true,
     DOC("导入模板", "import an image file of the server as a template")},
    {.section = "templates",
     .method = "POST",
     .path = "cloudtemplate/upload",
     .kind = SV_ASYNC,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(upload_params),
     .in_size = sizeof(struct upload_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("template.id")),
     .handler = upload,
     .extension = true,
     .raw_body = true,
     DOC("上传模板(请求体为镜像)", "upload an image, the raw body, as a template")},
    {.section = "templates",
     .method = "POST",
     .path = "cloudtemplate/create",
     .kind = SV_ASYNC,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(create_params),
     .in_size = sizeof(struct create_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("template.id")),
     .handler = create,
     .extension = true,
     DOC("由云主机制作模板", "make a template of a VM's system disk, running or not")},
    {.section = "templates",
     .method = "POST",
     .path = "cloudtemplate/search",
     .runs = SV_RUN_READ,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct search_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("template.id"), SV_TEXT("template.name"), SV_TEXT("template.desc"), SV_TEXT("template.os"),
               SV_TEXT("template.format"), SV_TEXT("template.size"), SV_TEXT("template.state"),
               SV_TEXT("template.createtime"), SV_TEXT("template.md5"), SV_TEXT("template.error", .flags = SV_O_OURS)),
     .handler = search,
     .extension = true,
     DOC("查询模板", "list templates")},
    {.section = "templates",
     .method = "DELETE",
     .path = "cloudtemplate/{templateId}",
     .kind = SV_ASYNC,
     .runs = SV_RUN_WRITE,
     SV_PARAMS(delete_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = delete_template,
     .extension = true,
     DOC("删除模板", "delete a template that nothing is based on")},
};
const struct sv_route_table sv_table_template = {routes, ROUTE_COUNT(routes)};
