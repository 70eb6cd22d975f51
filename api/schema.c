#include "api/internal.h"

/* Rows -> JSON Schema, as OpenAPI 3.1 has it. */

/* --- schemas of parameters ---------------------------------------------------------------------- */

static void described(struct sv_json *j, const struct sv_param *p)
{
    const char *en = p->doc_en ? p->doc_en : "", *zh = p->doc_zh ? p->doc_zh : "";
    char *text SV_AUTOFREE = sv_asprintf("%s%s%s%s%s%s", en, *en && *zh ? " / " : "", zh, p->unit ? " [" : "",
                                         p->unit ? p->unit : "", p->unit ? "]" : "");
    if (*text)
        sv_json_str(j, "description", text);
}

static void enum_schema(struct sv_json *j, const struct sv_param *p)
{
    sv_json_str(j, "type", "string");
    sv_json_arr(j, "enum");
    for (size_t i = 0; p->values[i]; i++)
        sv_json_str(j, NULL, p->values[i]);
    sv_json_end_arr(j);
}

static void int_schema(struct sv_json *j, const struct sv_param *p)
{
    sv_json_str(j, "type", "integer");
    sv_json_str(j, "format", "int64");
    if (sv_param_has_min(p))
        sv_json_int(j, "minimum", p->min);
    if (sv_param_has_max(p))
        sv_json_int(j, "maximum", p->max);
}

static void list_schema(struct sv_json *j, const struct sv_param *p)
{
    sv_json_str(j, "type", "array");
    sv_json_obj(j, "items");
    sv_json_str(j, "type", "string");
    sv_json_end_obj(j);
    if (sv_param_has_min(p))
        sv_json_int(j, "minItems", p->min);
    sv_json_int(j, "maxItems", sv_param_limit(p));
}

static void string_schema(struct sv_json *j, const struct sv_param *p, const char *format, const char *pattern)
{
    sv_json_str(j, "type", "string");
    if (format)
        sv_json_str(j, "format", format);
    if (pattern)
        sv_json_str(j, "pattern", pattern);
    if (p->flags & SV_P_REQUIRED)
        sv_json_int(j, "minLength", 1);
    sv_json_int(j, "maxLength", sv_param_limit(p));
}

static void objects_schema(struct sv_json *j, const struct sv_param *p)
{
    sv_json_str(j, "type", "array");
    sv_json_obj(j, "items");
    sv_schema_rows(j, p->sub, p->sub_count);
    sv_json_end_obj(j);
    if (sv_param_has_min(p))
        sv_json_int(j, "minItems", p->min);
    sv_json_int(j, "maxItems", sv_param_limit(p));
}

void sv_schema_param(struct sv_json *j, const char *key, const struct sv_param *p)
{
    sv_json_obj(j, key);
    switch (p->type) {
    case SV_T_STR:
    case SV_T_ID:
    case SV_T_IPS:
    case SV_T_PORTS:
        string_schema(j, p, NULL, NULL);
        break;
    case SV_T_PEM:
        string_schema(j, p, "pem", NULL);
        break;
    case SV_T_IP:
        string_schema(j, p, "ipv4", NULL);
        break;
    case SV_T_TIME:
        string_schema(j, p, NULL, "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$");
        break;
    case SV_T_INT:
        int_schema(j, p);
        break;
    case SV_T_BOOL:
        sv_json_str(j, "type", "boolean");
        break;
    case SV_T_ENUM:
        enum_schema(j, p);
        break;
    case SV_T_LIST:
        list_schema(j, p);
        break;
    case SV_T_OBJ:
        sv_schema_rows(j, p->sub, p->sub_count);
        break;
    case SV_T_OBJS:
        objects_schema(j, p);
        break;
    }
    described(j, p);
    if (p->flags & SV_P_SECRET)
        sv_json_bool(j, "writeOnly", true);
    if (p->flags & SV_P_EXTENSION)
        sv_json_bool(j, "x-starvirt-extension", true);
    sv_json_end_obj(j);
}

/* The rows of one object; true if one is required. */
bool sv_schema_rows(struct sv_json *j, const struct sv_param *p, size_t n)
{
    bool required = false;
    sv_json_str(j, "type", "object");
    sv_json_obj(j, "properties");
    for (size_t i = 0; i < n; i++)
        if (p[i].in == SV_IN_BODY) {
            sv_schema_param(j, p[i].name, &p[i]);
            required = required || (p[i].flags & SV_P_REQUIRED);
        }
    sv_json_end_obj(j);
    if (required) {
        sv_json_arr(j, "required");
        for (size_t i = 0; i < n; i++)
            if (p[i].in == SV_IN_BODY && (p[i].flags & SV_P_REQUIRED))
                sv_json_str(j, NULL, p[i].name);
        sv_json_end_arr(j);
    }
    return required;
}

static void key_schema(struct sv_json *j, const struct sv_key *k)
{
    sv_json_obj(j, k->name);
    if (k->value)
        sv_json_str(j, "const", k->value);
    sv_json_end_obj(j);
}

/* The keys that choose the route, and the member around the parameters. */
static bool framed_body(struct sv_json *j, const struct sv_route *r)
{
    bool required = false, inner_is_key = false;
    sv_json_str(j, "type", "object");
    sv_json_obj(j, "properties");
    for (const struct sv_key *k = r->keys; k && k->name; k++) {
        inner_is_key = inner_is_key || (r->under && strcmp(k->name, r->under) == 0);
        if (!r->under || strcmp(k->name, r->under) != 0)
            key_schema(j, k);
    }
    if (r->under) {
        sv_json_obj(j, r->under);
        required = sv_schema_rows(j, r->params, r->param_count);
        sv_json_end_obj(j);
    } else {
        for (size_t i = 0; i < r->param_count; i++)
            if (r->params[i].in == SV_IN_BODY)
                sv_schema_param(j, r->params[i].name, &r->params[i]);
    }
    sv_json_end_obj(j);
    sv_json_arr(j, "required");
    for (const struct sv_key *k = r->keys; k && k->name; k++)
        sv_json_str(j, NULL, k->name);
    if (r->under && required && !inner_is_key)
        sv_json_str(j, NULL, r->under);
    for (size_t i = 0; !r->under && i < r->param_count; i++)
        if (r->params[i].in == SV_IN_BODY && (r->params[i].flags & SV_P_REQUIRED))
            sv_json_str(j, NULL, r->params[i].name);
    sv_json_end_arr(j);
    return true;
}

bool sv_schema_body(struct sv_json *j, const char *key, const struct sv_route *r)
{
    sv_json_obj(j, key);
    bool required = r->keys || r->under ? framed_body(j, r) : sv_schema_rows(j, r->params, r->param_count);
    sv_json_end_obj(j);
    return required;
}

/* --- replies ------------------------------------------------------------------------------------- */

const char *sv_field_type(const struct sv_wire *w, const struct sv_reply_row *field)
{
    bool text = w->gives & SV_GIVES_TEXT;
    switch (field->type) {
    case SV_O_TEXT:
        break;
    case SV_O_INT:
        return text ? "string" : "integer";
    case SV_O_NUM:
        return text ? "number" : "integer";
    case SV_O_BOOL:
        return text ? "string" : "boolean";
    case SV_O_TIME:
        return w->time == SV_TIME_UNIX ? "integer" : "string";
    case SV_O_TEXTS:
    case SV_O_OBJS:
        return "array";
    case SV_O_OBJ:
        return "object";
    }
    return "string";
}

static void fields_schema(struct sv_json *j, const struct sv_wire *w, const struct sv_reply_row *f);

static void field_schema(struct sv_json *j, const struct sv_wire *w, const struct sv_reply_row *f)
{
    sv_json_obj(j, f->name);
    if (f->type == SV_O_OBJ && f->sub)
        fields_schema(j, w, f->sub);
    else
        sv_json_str(j, "type", sv_field_type(w, f));
    if (f->type == SV_O_TEXTS || (f->type == SV_O_OBJS && f->sub)) {
        sv_json_obj(j, "items");
        if (f->type == SV_O_TEXTS)
            sv_json_str(j, "type", "string");
        else
            fields_schema(j, w, f->sub);
        sv_json_end_obj(j);
    }
    if (f->doc_en)
        sv_json_str(j, "description", f->doc_en);
    sv_json_end_obj(j);
}

/* Which keys are always there; where all are, that goes without saying. */
static void fields_required(struct sv_json *j, const struct sv_reply_row *rows)
{
    bool all = true;

    for (const struct sv_reply_row *f = rows; f && f->name; f++)
        all = all && !(f->flags & SV_O_OPTIONAL);
    if (all)
        return;
    sv_json_arr(j, "required");
    for (const struct sv_reply_row *f = rows; f->name; f++)
        if (!(f->flags & SV_O_OPTIONAL))
            sv_json_str(j, NULL, f->name);
    sv_json_end_arr(j);
}

static void fields_schema(struct sv_json *j, const struct sv_wire *w, const struct sv_reply_row *rows)
{
    sv_json_str(j, "type", "object");
    sv_json_obj(j, "properties");
    for (const struct sv_reply_row *f = rows; f && f->name; f++)
        field_schema(j, w, f);
    sv_json_end_obj(j);
    fields_required(j, rows);
}

void sv_schema_data(struct sv_json *j, const char *key, const struct sv_wire *w, const struct sv_route *r)
{
    sv_json_obj(j, key);
    switch (r->data) {
    case SV_DATA_NONE:
        if (r->fields && r->fields->name) /* the document has none, what is there is ours */
            fields_schema(j, w, r->fields);
        else if (w->gives & SV_GIVES_TEXT)
            sv_json_str(j, "const", "");
        else
            sv_json_str(j, "type", "object");
        break;
    case SV_DATA_OBJ:
        fields_schema(j, w, r->fields);
        break;
    case SV_DATA_LIST:
        sv_json_str(j, "type", "array");
        sv_json_obj(j, "items");
        fields_schema(j, w, r->fields);
        sv_json_end_obj(j);
        break;
    }
    sv_json_end_obj(j);
}

void sv_schema_strings(struct sv_json *j, const char *key, const char *const *v)
{
    sv_json_arr(j, key);
    for (; *v; v++)
        sv_json_str(j, NULL, *v);
    sv_json_end_arr(j);
}

void sv_schema_type(struct sv_json *j, const char *key, const char *type)
{
    sv_json_obj(j, key);
    sv_json_str(j, "type", type);
    sv_json_end_obj(j);
}
