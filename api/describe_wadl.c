#include "api/internal.h"

/* WADL of 2009, which the original serves at the same address: one <resource> a path, the keys of the JSON
 * as its documentation (WADL has no words for Base64 of JSON). */

static void header(struct sv_xml *x, const char *name, bool required)
{
    sv_xml_open(x, "param");
    sv_xml_attr(x, "name", name);
    sv_xml_attr(x, "style", "header");
    sv_xml_attr(x, "type", "xs:string");
    if (required)
        sv_xml_attr(x, "required", "true");
    sv_xml_close(x);
}

static const char *xs_type(enum sv_ptype type)
{
    if (type == SV_T_INT)
        return "xs:long";
    return type == SV_T_BOOL ? "xs:boolean" : "xs:string";
}

static void doc(struct sv_xml *x, const char *lang, const char *text)
{
    if (!text || !*text)
        return;
    sv_xml_open(x, "doc");
    sv_xml_attr(x, "xml:lang", lang);
    sv_xml_text(x, text);
    sv_xml_close(x);
}

static void docs(struct sv_xml *x, const char *zh, const char *en)
{
    doc(x, "zh", zh);
    doc(x, "en", en);
}

static void url_param(struct sv_xml *x, const struct sv_param *p)
{
    sv_xml_open(x, "param");
    sv_xml_attr(x, "name", p->name);
    sv_xml_attr(x, "style", p->in == SV_IN_PATH ? "template" : "query");
    sv_xml_attr(x, "type", xs_type(p->type));
    if (p->in == SV_IN_PATH || (p->flags & SV_P_REQUIRED))
        sv_xml_attr(x, "required", "true");
    docs(x, p->doc_zh, p->doc_en);
    for (size_t i = 0; p->values && p->values[i]; i++) {
        sv_xml_open(x, "option");
        sv_xml_attr(x, "value", p->values[i]);
        sv_xml_close(x);
    }
    sv_xml_close(x);
}

/* "vm.num: int, 1-10" */
static void key_doc(struct sv_xml *x, const struct sv_param *p)
{
    char range[64], values[512];
    sv_param_range(p, range, sizeof(range));
    sv_param_values(p, values, sizeof(values));
    char *text SV_AUTOFREE = sv_asprintf("%s%s: %s%s%s%s%s%s%s", p->name, (p->flags & SV_P_REQUIRED) ? "*" : "",
                                         sv_type_name(p->type), range[0] ? ", " : "", range, values[0] ? ", " : "",
                                         values, p->unit ? ", " : "", p->unit ? p->unit : "");
    sv_xml_open(x, "doc");
    sv_xml_attr(x, "title", text);
    sv_xml_text(x, p->doc_en ? p->doc_en : "");
    sv_xml_close(x);
}

static void keys(struct sv_xml *x, const struct sv_route *r)
{
    for (size_t i = 0; i < r->param_count; i++)
        if (r->params[i].in == SV_IN_BODY)
            key_doc(x, &r->params[i]);
}

static void body(struct sv_xml *x, const struct sv_wire_doc *how, const struct sv_route *r)
{
    bool form = how && how->body_field;
    sv_xml_open(x, "representation");
    sv_xml_attr(x, "mediaType", form ? how->body_type : "application/json");
    if (form) {
        sv_xml_open(x, "param");
        sv_xml_attr(x, "name", how->body_field);
        sv_xml_attr(x, "style", "query");
        sv_xml_attr(x, "type", "xs:base64Binary");
    }
    keys(x, r);
    if (form)
        sv_xml_close(x);
    sv_xml_close(x);
}

static void request(struct sv_xml *x, const struct sv_wire *w, const struct sv_route *r)
{
    sv_xml_open(x, "request");
    for (const struct sv_token_row *t = w->tokens; t->header; t++)
        header(x, t->header, !r->open && t == w->tokens);
    header(x, "Accept-Language", false);
    if (sv_method_of(r->method) != SV_GET)
        header(x, "Idempotency-Key", false);
    for (size_t i = 0; i < r->param_count; i++)
        if (r->params[i].in == SV_IN_QUERY)
            url_param(x, &r->params[i]);
    if (sv_has_params(r, SV_IN_BODY))
        body(x, w->doc, r);
    if (r->raw_body) {
        sv_xml_open(x, "representation");
        sv_xml_attr(x, "mediaType", "application/octet-stream");
        sv_xml_close(x);
    }
    sv_xml_close(x);
}

static void response(struct sv_xml *x, const struct sv_wire *w, const struct sv_route *r)
{
    sv_xml_open(x, "response");
    sv_xml_attr(x, "status", sv_dec(r->ok ? r->ok : 200).s);
    sv_xml_open(x, "representation");
    sv_xml_attr(x, "mediaType", w->doc && w->doc->reply_type ? w->doc->reply_type : "application/json");
    sv_xml_close(x);
    sv_xml_close(x);
}

static void resource(struct sv_xml *x, const struct sv_op *op)
{
    const struct sv_route *r = op->route;
    sv_xml_open(x, "resource");
    sv_xml_attr(x, "path", r->path);
    for (size_t i = 0; i < r->param_count; i++)
        if (r->params[i].in == SV_IN_PATH)
            url_param(x, &r->params[i]);
    sv_xml_open(x, "method");
    sv_xml_attr(x, "name", r->method);
    sv_xml_attr(x, "id", op->id);
    docs(x, r->doc_zh, r->doc_en);
    request(x, op->dialect->wire, r);
    response(x, op->dialect->wire, r);
    sv_xml_close(x);
    sv_xml_close(x);
}

void sv_describe_wadl(const struct sv_api *api, const struct sv_dialect *d, struct sv_buf *out)
{
    struct sv_xml x;
    sv_buf_puts(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    sv_xml_init(&x, out);
    sv_xml_open(&x, "application");
    sv_xml_attr(&x, "xmlns", "http://wadl.dev.java.net/2009/02");
    sv_xml_attr(&x, "xmlns:xs", "http://www.w3.org/2001/XMLSchema");
    sv_xml_open(&x, "resources");
    sv_xml_attr(&x, "base", d->base);
    doc(&x, "en", d->title);
    for (size_t i = 0; i < api->op_count; i++)
        if (api->ops[i].dialect == d)
            resource(&x, &api->ops[i]);
    sv_xml_close(&x);
    sv_xml_close(&x);
}
