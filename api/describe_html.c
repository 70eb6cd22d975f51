#include "api/internal.h"

/* The reference page. Everything goes through the escaping writer, so that no text of a row can become
 * markup; only the style sheet has no '<', '&' or quote to escape. */

enum word {
    W_INTRO,
    W_CALL,
    W_REPLY,
    W_ERRORS,
    W_ERRORS_TEXT,
    W_OPS,
    W_NAME,
    W_TYPE,
    W_REQUIRED,
    W_RANGE,
    W_MEANING,
    W_YES,
    W_PARAMS,
    W_NO_PARAMS,
    W_FIELDS,
    W_NO_FIELDS,
    W_EXAMPLE,
    W_EXTENSION,
    W_ADMIN,
    W_LATER,
    W_ASYNC,
    W_PLACE_PATH,
    W_PLACE_QUERY,
    W_FILE,
    W_CODE,
    W_WIRE_CODE,
    W_STATUS,
    W_RETRY,
    W_OTHER,
    W_OUR_BOUND,
    W_COUNT
};
static const char *const words[W_COUNT][2] = {
    [W_INTRO] = {"接口参考", "API reference"},
    [W_CALL] = {"如何调用", "How to call"},
    [W_REPLY] = {"返回结果", "Replies"},
    [W_ERRORS] = {"错误码", "Error codes"},
    [W_ERRORS_TEXT] = {"error.code 是稳定的符号,error.field 是出错的参数,error.retry 说明能否用同样的请求重试:"
                       "no 不能,safe 可以,unknown 先查询再决定。",
                       "error.code is a stable symbol, error.field the parameter at fault, and error.retry says "
                       "whether the same request may be sent again: no, safe, or unknown (look first)."},
    [W_OPS] = {"操作一览", "Operations"},
    [W_NAME] = {"名称", "Name"},
    [W_TYPE] = {"类型", "Type"},
    [W_REQUIRED] = {"必需", "Required"},
    [W_RANGE] = {"取值", "Allowed"},
    [W_MEANING] = {"说明", "Meaning"},
    [W_YES] = {"是", "yes"},
    [W_PARAMS] = {"参数", "Parameters"},
    [W_NO_PARAMS] = {"无参数", "No parameters"},
    [W_FIELDS] = {"data 的字段", "Fields of data"},
    [W_NO_FIELDS] = {"data 无内容", "data is empty"},
    [W_EXAMPLE] = {"示例", "Example"},
    [W_EXTENSION] = {"扩展", "extension"},
    [W_ADMIN] = {"仅管理员", "admin only"},
    [W_LATER] = {"尚未实现", "not yet"},
    [W_ASYNC] = {"异步", "asynchronous"},
    [W_PLACE_PATH] = {"路径", "path"},
    [W_PLACE_QUERY] = {"查询串", "query"},
    [W_FILE] = {"请求体为文件内容", "The body is the file itself"},
    [W_CODE] = {"符号", "Symbol"},
    [W_WIRE_CODE] = {"返回码", "Code"},
    [W_STATUS] = {"HTTP 状态", "HTTP status"},
    [W_RETRY] = {"重试", "Retry"},
    [W_OTHER] = {"English", "中文"},
    [W_OUR_BOUND] = {"本系统的限制", "our own limit"},
};

struct page {
    struct sv_xml x;
    const struct sv_api *api;
    const struct sv_dialect *dialect;
    const struct sv_wire_doc *how; /* never NULL */
    enum sv_lang lang;
};

static const char *word(const struct page *p, enum word w)
{
    return words[w][p->lang == SV_LANG_EN];
}

static const char *doc(const struct page *p, const char *zh, const char *en)
{
    const char *mine = p->lang == SV_LANG_EN ? en : zh, *other = p->lang == SV_LANG_EN ? zh : en;
    if (mine && *mine)
        return mine;
    return other ? other : "";
}

static void open_class(struct page *p, const char *tag, const char *class)
{
    sv_xml_open(&p->x, tag);
    sv_xml_attr(&p->x, "class", class);
}

static void leaf_class(struct page *p, const char *tag, const char *class, const char *text)
{
    open_class(p, tag, class);
    sv_xml_text(&p->x, text);
    sv_xml_close(&p->x);
}

static void link_to(struct page *p, const char *anchor, const char *text)
{
    char *href SV_AUTOFREE = sv_asprintf("#%s", anchor);
    sv_xml_open(&p->x, "a");
    sv_xml_attr(&p->x, "href", href);
    sv_xml_text(&p->x, text);
    sv_xml_close(&p->x);
}

/* --- groups: "2.2" of "2.2.14", or the extension's own name ------------------------------------- */

static void group_of(const struct sv_route *r, char *buf, size_t size)
{
    size_t n = 0, dots = 0;
    while (r->section[n] && !(r->section[n] == '.' && ++dots == 2))
        n++;
    if (r->section[0] < '0' || r->section[0] > '9')
        n = strlen(r->section);
    sv_printable(buf, size, r->section, n);
}

static bool same_group(const struct sv_op *a, const struct sv_op *b)
{
    char s[64], t[64];
    group_of(a->route, s, sizeof(s));
    group_of(b->route, t, sizeof(t));
    return a->dialect == b->dialect && a->route->extension == b->route->extension && strcmp(s, t) == 0;
}

static bool first_of_group(const struct sv_api *api, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (same_group(&api->ops[i], &api->ops[at]))
            return false;
    return true;
}

static char *group_anchor(const struct sv_op *op)
{
    char group[64];
    group_of(op->route, group, sizeof(group));
    for (char *c = group; *c; c++)
        if (*c == ' ')
            *c = '-';
    return sv_asprintf("%s-%s-%s", op->dialect->name, op->route->extension ? "x" : "s", group);
}

static char *group_title(const struct sv_op *op)
{
    char group[64];
    const struct sv_route *r = op->route;
    group_of(r, group, sizeof(group));
    return sv_asprintf("%s · %.*s", group, (int)strcspn(r->path, "/"), r->path);
}

/* --- one operation ------------------------------------------------------------------------------ */

static const char *sample(const struct sv_param *row, char buf[24])
{
    struct sv_dec d = sv_dec(row->min > 0 ? row->min : 1);
    switch (row->type) {
    case SV_T_INT:
        memcpy(buf, d.s, sizeof(d.s));
        return buf;
    case SV_T_BOOL:
        return "true";
    case SV_T_ENUM:
        return row->values[0];
    case SV_T_IP:
    case SV_T_IPS:
        return "10.128.0.10";
    case SV_T_PORTS:
        return "80";
    case SV_T_TIME:
        return "2030-01-31 12:00:00";
    case SV_T_STR:
    case SV_T_ID:
    case SV_T_PEM:
    case SV_T_LIST:
    case SV_T_OBJ:
    case SV_T_OBJS:
        break;
    }
    return "...";
}

static void sample_json(const struct sv_route *r, struct sv_buf *out)
{
    struct sv_json j;
    char buf[24];
    sv_json_init(&j, out);
    sv_json_obj(&j, NULL);
    for (size_t i = 0; i < r->param_count; i++) {
        const struct sv_param *row = &r->params[i];
        if (row->in != SV_IN_BODY || !(row->flags & SV_P_REQUIRED))
            continue;
        if (row->type == SV_T_LIST || row->type == SV_T_OBJS) {
            sv_json_arr(&j, row->name);
            sv_json_raw(&j, NULL, row->sub ? "{}" : "\"...\"");
            sv_json_end_arr(&j);
        } else if (row->sub) {
            sv_json_raw(&j, row->name, "{}");
        } else {
            sv_json_str(&j, row->name, sample(row, buf));
        }
    }
    sv_json_end_obj(&j);
}

/* {"command":"create","data":{...}} around the parameters. */
static void framed_json(const struct sv_route *r, struct sv_buf *out)
{
    struct sv_buf inner SV_CLEANUP(sv_buf_free) = {0};
    struct sv_json j;
    sample_json(r, &inner);
    if (!r->keys && !r->under) {
        sv_buf_puts(out, inner.p);
        return;
    }
    sv_json_init(&j, out);
    sv_json_obj(&j, NULL);
    for (const struct sv_key *k = r->keys; k && k->name; k++)
        if (k->value)
            sv_json_str(&j, k->name, k->value);
    if (r->under)
        sv_json_raw(&j, r->under, inner.p);
    sv_json_end_obj(&j);
}

static void sample_body(const struct page *p, const struct sv_route *r, struct sv_buf *text)
{
    struct sv_buf json SV_CLEANUP(sv_buf_free) = {0};
    framed_json(r, &json);
    if (p->how->body_field)
        sv_buf_printf(text, "--data-urlencode \"%s=$(printf %%s '%s' | base64 -w0)\" ", p->how->body_field, json.p);
    else
        sv_buf_printf(text, "-H 'Content-Type: application/json' -d '%s' ", json.p);
}

static void example(struct page *p, const struct sv_op *op)
{
    const struct sv_route *r = op->route;
    const struct sv_token_row *t = p->dialect->wire->tokens;
    struct sv_buf url SV_CLEANUP(sv_buf_free) = {0}, text SV_CLEANUP(sv_buf_free) = {0};
    sv_full_path(op, NULL, &url);
    sv_buf_printf(&text, "curl -X %s ", r->method);
    if (t->header && !r->open)
        sv_buf_printf(&text, "-H \"%s: %s%s$TOKEN\" ", t->header, t->scheme ? t->scheme : "", t->scheme ? " " : "");
    if (r->keys || r->under || sv_has_params(r, SV_IN_BODY))
        sample_body(p, r, &text);
    else if (r->raw_body)
        sv_buf_puts(&text, "-T FILE ");
    sv_buf_printf(&text, "'http://HOST:%s%s'%s", p->dialect->own_listener ? "PORT" : "18081", url.p,
                  p->how->reply_type ? " | base64 -d" : "");
    leaf_class(p, "pre", "ex", text.p);
}

static void allowed(const struct page *p, const struct sv_param *row, char *buf, size_t size)
{
    char range[64], values[512];
    bool our = (row->flags & (SV_P_OUR_MIN | SV_P_OUR_MAX)) != 0;
    sv_param_range(row, range, sizeof(range));
    sv_param_values(row, values, sizeof(values));
    char *text SV_AUTOFREE =
        sv_asprintf("%s%s%s%s%s%s%s", range, values, row->unit && range[0] ? " " : "", row->unit ? row->unit : "",
                    our ? " (" : "", our ? word(p, W_OUR_BOUND) : "", our ? ")" : "");
    sv_copy(buf, size, text);
}

static void param_row(struct page *p, const char *prefix, const struct sv_param *row)
{
    char *name SV_AUTOFREE = sv_asprintf("%s%s", prefix, row->name);
    char range[640];
    const char *place = row->in == SV_IN_PATH ? word(p, W_PLACE_PATH) : word(p, W_PLACE_QUERY);
    bool required = (row->flags & SV_P_REQUIRED) || row->in == SV_IN_PATH;
    allowed(p, row, range, sizeof(range));
    sv_xml_open(&p->x, "tr");
    sv_xml_open(&p->x, "td");
    sv_xml_leaf(&p->x, "code", name);
    if (row->in != SV_IN_BODY)
        leaf_class(p, "span", "tag", place);
    if (row->flags & SV_P_EXTENSION)
        leaf_class(p, "span", "tag ours", word(p, W_EXTENSION));
    sv_xml_close(&p->x);
    sv_xml_leaf(&p->x, "td", sv_type_name(row->type));
    sv_xml_leaf(&p->x, "td", required ? word(p, W_YES) : "");
    sv_xml_leaf(&p->x, "td", range);
    sv_xml_leaf(&p->x, "td", doc(p, row->doc_zh, row->doc_en));
    sv_xml_close(&p->x);
}

static void param_rows(struct page *p, const char *prefix, const struct sv_param *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        param_row(p, prefix, &rows[i]);
        if (!rows[i].sub)
            continue;
        char *inner SV_AUTOFREE = sv_asprintf("%s%s%s.", prefix, rows[i].name, rows[i].type == SV_T_OBJS ? "[]" : "");
        param_rows(p, inner, rows[i].sub, rows[i].sub_count);
    }
}

static void table_head(struct page *p, const enum word *w, size_t n)
{
    sv_xml_open(&p->x, "thead");
    sv_xml_open(&p->x, "tr");
    for (size_t i = 0; i < n; i++)
        sv_xml_leaf(&p->x, "th", word(p, w[i]));
    sv_xml_close(&p->x);
    sv_xml_close(&p->x);
}

static void params_table(struct page *p, const struct sv_route *r)
{
    static const enum word head[] = {W_NAME, W_TYPE, W_REQUIRED, W_RANGE, W_MEANING};
    if (r->raw_body)
        sv_xml_leaf(&p->x, "p", word(p, W_FILE));
    if (r->param_count == 0) {
        if (!r->raw_body)
            leaf_class(p, "p", "none", word(p, W_NO_PARAMS));
        return;
    }
    sv_xml_open(&p->x, "table");
    leaf_class(p, "caption", "cap", word(p, W_PARAMS));
    table_head(p, head, 5);
    sv_xml_open(&p->x, "tbody");
    param_rows(p, "", r->params, r->param_count);
    sv_xml_close(&p->x);
    sv_xml_close(&p->x);
}

static void field_names(struct page *p, const char *prefix, const struct sv_reply_row *f)
{
    for (; f && f->name; f++) {
        char *name SV_AUTOFREE = sv_asprintf("%s%s", prefix, f->name);
        char *inner SV_AUTOFREE = sv_asprintf("%s%s.", name, f->type == SV_O_OBJS ? "[]" : "");
        sv_xml_leaf(&p->x, "code", name);
        field_names(p, inner, f->sub);
    }
}

static void fields_line(struct page *p, const struct sv_route *r)
{
    if (!r->fields || !r->fields->name) {
        leaf_class(p, "p", "none", word(p, W_NO_FIELDS));
        return;
    }
    open_class(p, "div", "fields");
    leaf_class(p, "span", "cap", word(p, W_FIELDS));
    field_names(p, "", r->fields);
    sv_xml_close(&p->x);
}

static void marks(struct page *p, const struct sv_route *r)
{
    if (r->extension)
        leaf_class(p, "span", "tag ours", word(p, W_EXTENSION));
    if (r->role == SV_ROLE_ADMIN)
        leaf_class(p, "span", "tag admin", word(p, W_ADMIN));
    if (r->kind != SV_SYNC)
        leaf_class(p, "span", "tag", word(p, W_ASYNC));
    if (!r->handler)
        leaf_class(p, "span", "tag later", word(p, W_LATER));
}

static void operation(struct page *p, const struct sv_op *op)
{
    const struct sv_route *r = op->route;
    sv_xml_open(&p->x, "article");
    sv_xml_attr(&p->x, "id", op->id);
    sv_xml_open(&p->x, "h3");
    if (!r->extension) {
        char *anchor SV_AUTOFREE = sv_asprintf("s-%s", r->section);
        sv_xml_attr(&p->x, "id", anchor);
        leaf_class(p, "span", "no", r->section);
    }
    leaf_class(p, "b", r->method, r->method);
    sv_xml_leaf(&p->x, "code", r->path);
    marks(p, r);
    sv_xml_close(&p->x);
    sv_xml_leaf(&p->x, "p", doc(p, r->doc_zh, r->doc_en));
    params_table(p, r);
    fields_line(p, r);
    example(p, op);
    sv_xml_close(&p->x);
}

/* --- the page ----------------------------------------------------------------------------------- */

static void style(struct page *p)
{
    sv_xml_leaf(
        &p->x, "style",
        ":root{color-scheme:light dark;--b:#fff;--t:#1b1f24;--l:#d5d9de;--s:#f4f6f8;--a:#0b5cad;--m:#5b6570}"
        "@media(prefers-color-scheme:dark){:root{--b:#15181c;--t:#e4e7ea;--l:#353b42;--s:#1e2227;--a:#7db8f5;--m:#"
        "9aa4ae}}"
        "*{box-sizing:border-box}body{margin:0;background:var(--b);color:var(--t);font:15px/1.55 system-ui,sans-serif}"
        "a{color:var(--a);text-decoration:none}a:hover{text-decoration:underline}"
        "nav{position:fixed;top:0;bottom:0;left:0;width:16rem;overflow:auto;padding:1rem;background:var(--s);"
        "border-right:1px solid var(--l)}nav a{display:block;padding:.15rem 0}"
        "main{margin-left:16rem;padding:1rem 2rem 4rem;max-width:70rem}"
        "h2{margin-top:2.5rem;border-bottom:1px solid var(--l)}"
        "article{margin:1.5rem 0;padding:0 1rem 1rem;border:1px solid var(--l);border-radius:8px}"
        "h3{font-size:1rem;display:flex;flex-wrap:wrap;gap:.5rem;align-items:center}"
        "code,pre{font:13px/1.5 ui-monospace,monospace}pre{background:var(--s);padding:.6rem;overflow:auto;"
        "white-space:pre-wrap;overflow-wrap:anywhere;border-radius:6px}"
        "table{border-collapse:collapse;width:100%;display:block;overflow:auto}"
        "caption,.cap{text-align:left;color:var(--m);font-weight:600}"
        "th,td{border:1px solid var(--l);padding:.3rem .5rem;text-align:left;vertical-align:top}th{background:var(--s)}"
        ".fields{display:flex;flex-wrap:wrap;gap:.25rem .6rem;margin:.6rem 0}.none,.no{color:var(--m)}"
        ".tag{font-size:12px;padding:0 .4rem;border:1px solid var(--l);border-radius:4px;margin-left:.3rem;"
        "font-weight:400}.ours{color:#0a7d4f}.admin{color:#b3261e}.later{color:#9a6700}"
        "b{color:var(--a)}b.DELETE{color:#b3261e}b.POST{color:#0a7d4f}b.PUT{color:#9a6700}"
        "@media(max-width:50rem){nav{position:static;width:auto}main{margin:0;padding:1rem}}");
}

static void head(struct page *p)
{
    char *title SV_AUTOFREE = sv_asprintf("%s %s", p->dialect->title, word(p, W_INTRO));
    sv_xml_open(&p->x, "head");
    sv_xml_open(&p->x, "meta");
    sv_xml_attr(&p->x, "charset", "utf-8");
    sv_xml_close(&p->x);
    sv_xml_open(&p->x, "meta");
    sv_xml_attr(&p->x, "name", "viewport");
    sv_xml_attr(&p->x, "content", "width=device-width, initial-scale=1");
    sv_xml_close(&p->x);
    sv_xml_leaf(&p->x, "title", title);
    style(p);
    sv_xml_close(&p->x);
}

static void navigation(struct page *p)
{
    sv_xml_open(&p->x, "nav");
    link_to(p, "call", word(p, W_CALL));
    link_to(p, "reply", word(p, W_REPLY));
    link_to(p, "errors", word(p, W_ERRORS));
    for (size_t i = 0; i < p->api->op_count; i++) {
        if (p->api->ops[i].dialect != p->dialect || !first_of_group(p->api, i))
            continue;
        char *anchor SV_AUTOFREE = group_anchor(&p->api->ops[i]), *title SV_AUTOFREE = group_title(&p->api->ops[i]);
        link_to(p, anchor, title);
    }
    sv_xml_close(&p->x);
}

static void heading(struct page *p, const char *anchor, const char *text)
{
    sv_xml_open(&p->x, "h2");
    sv_xml_attr(&p->x, "id", anchor);
    sv_xml_text(&p->x, text);
    sv_xml_close(&p->x);
}

static void introduction(struct page *p)
{
    const bool english = p->lang == SV_LANG_EN;
    heading(p, "call", word(p, W_CALL));
    if (p->how->call[english])
        sv_xml_leaf(&p->x, "p", p->how->call[english]);
    leaf_class(p, "pre", "base", p->dialect->base);
    heading(p, "reply", word(p, W_REPLY));
    if (p->how->reply[english])
        sv_xml_leaf(&p->x, "p", p->how->reply[english]);
    for (const char *const *sample = p->how->samples; sample && *sample; sample++)
        leaf_class(p, "pre", "ex", *sample);
}

static void group(struct page *p, size_t first)
{
    const struct sv_api *api = p->api;
    char *anchor SV_AUTOFREE = group_anchor(&api->ops[first]), *title SV_AUTOFREE = group_title(&api->ops[first]);
    sv_xml_open(&p->x, "section");
    heading(p, anchor, title);
    for (size_t i = first; i < api->op_count; i++)
        if (same_group(&api->ops[first], &api->ops[i]))
            operation(p, &api->ops[i]);
    sv_xml_close(&p->x);
}

static void errors_table(struct page *p)
{
    static const enum word columns[] = {W_CODE, W_WIRE_CODE, W_STATUS, W_RETRY, W_MEANING};
    heading(p, "errors", word(p, W_ERRORS));
    sv_xml_leaf(&p->x, "p", word(p, W_ERRORS_TEXT));
    sv_xml_open(&p->x, "table");
    table_head(p, columns, 5);
    sv_xml_open(&p->x, "tbody");
    for (unsigned c = SV_OK + 1; c < SV_ERR_COUNT; c++) {
        char text[512];
        struct sv_error e = {.code = (enum sv_err)c, .wire = "…", .arg = {"…", "…", "…"}};
        sv_err_text(&e, p->lang, text, sizeof(text));
        sv_xml_open(&p->x, "tr");
        sv_xml_open(&p->x, "td");
        sv_xml_leaf(&p->x, "code", sv_err_symbol(e.code));
        sv_xml_close(&p->x);
        const struct sv_err_row *row = &p->dialect->wire->errors[c];
        sv_xml_leaf(&p->x, "td", row->word ? row->word : sv_dec(row->code).s);
        sv_xml_leaf(&p->x, "td", sv_dec(row->status).s);
        sv_xml_leaf(&p->x, "td", sv_retry_name(sv_err_retry(e.code)));
        sv_xml_leaf(&p->x, "td", text);
        sv_xml_close(&p->x);
    }
    sv_xml_close(&p->x);
    sv_xml_close(&p->x);
}

void sv_describe_html(const struct sv_api *api, const struct sv_dialect *d, enum sv_lang lang, struct sv_buf *out)
{
    static const struct sv_wire_doc bare = {0};
    struct page page = {.api = api, .dialect = d, .how = d->wire->doc ? d->wire->doc : &bare, .lang = lang}, *p = &page;
    sv_buf_puts(out, "<!DOCTYPE html>\n");
    sv_xml_init(&p->x, out);
    sv_xml_open(&p->x, "html");
    sv_xml_attr(&p->x, "lang", lang == SV_LANG_EN ? "en" : "zh-CN");
    head(p);
    sv_xml_open(&p->x, "body");
    navigation(p);
    sv_xml_open(&p->x, "main");
    sv_xml_leaf(&p->x, "h1", d->title);
    introduction(p);
    for (size_t i = 0; i < api->op_count; i++)
        if (api->ops[i].dialect == d && first_of_group(api, i))
            group(p, i);
    errors_table(p);
    sv_xml_close(&p->x);
    sv_xml_close(&p->x);
    sv_xml_close(&p->x);
}
