#include "handlers/starvcenter/wire.h"
#include "handlers/starvcenter/errors.h"

/* --- requests ----------------------------------------------------------------------------------- */

static const struct sv_token_row tokens[] = {{.header = "KEY_TOKEN"}, {0}};

static enum sv_err read(const struct sv_input *in, struct sv_arena *a, struct sv_slice *ret, struct sv_error *err)
{
    struct sv_slice base64;
    size_t n, bad;
    enum sv_err rc = sv_form_key_param(in, a, &base64, err);
    *ret = (struct sv_slice){0};
    if (rc || base64.n == 0)
        return rc;
    unsigned char *json = sv_arena_alloc(a, base64.n + 1);
    if (!sv_b64_decode(base64.p, base64.n, json, &n, &bad))
        return sv_fail(err, SV_E_BAD_BASE64, SV_F_NONE, sv_dec((int64_t)bad).s);
    *ret = (struct sv_slice){(const char *)json, n};
    return SV_OK;
}

/* --- replies ------------------------------------------------------------------------------------- */

static void begin(struct sv_reply *r)
{
    sv_json_obj(&r->j, NULL);
    sv_json_str(&r->j, "result", "0");
}

static void finish(struct sv_reply *r)
{
    if (r->route->kind != SV_SYNC && !sv_id_empty(&r->startid))
        sv_json_str(&r->j, "startid", r->startid.s);
    if (r->has_count)
        sv_json_int(&r->j, "dataCount", (int64_t)r->count);
}

static void failure(const struct sv_fault *f, struct sv_buf *out)
{
    struct sv_json j;
    sv_json_init(&j, out);
    sv_json_obj(&j, NULL);
    sv_json_intstr(&j, "result", f->row->code);
    sv_json_str(&j, "resultinfo", f->text);
    sv_json_obj(&j, "error");
    sv_json_str(&j, "code", sv_err_symbol(f->e->code));
    if (f->field[0])
        sv_json_str(&j, "field", f->field);
    sv_json_str(&j, "retry", sv_retry_name(sv_err_retry(f->e->code)));
    sv_json_end_obj(&j);
    sv_json_end_obj(&j);
}

static void pack(const struct sv_buf *json, struct sv_buf *out)
{
    sv_b64_encode(out, json->p, json->n);
}

SV_ERR_TABLE(errors, SV_STARVCENTER_ERRORS);

/* --- the other side ------------------------------------------------------------------------------- */

static void client_pack(const struct sv_buf *json, struct sv_buf *out)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf base64 = {0};
    sv_b64_encode(&base64, json->p, json->n);
    sv_buf_puts(out, "KEY_PARAM=");
    for (size_t i = 0; i < base64.n; i++) {
        char c = base64.p[i];
        if (c == '+' || c == '/' || c == '=')
            sv_buf_printf(out, "%%%02X", c);
        else
            sv_buf_putc(out, c);
    }
}

static bool client_unpack(const char *body, size_t n, struct sv_buf *json)
{
    size_t len, bad;
    SV_AUTOFREE unsigned char *text = sv_alloc(n + 1);
    if (!sv_b64_decode(body, n, text, &len, &bad))
        return false;
    sv_buf_add(json, text, len);
    return true;
}

const struct sv_wire sv_wire_starvcenter = {
    .tokens = tokens,
    .takes = SV_TAKES_NUM_TEXT | SV_TAKES_BOOL_TEXT | SV_TAKES_STARS | SV_TAKES_BLANKS | SV_TAKES_WIDE,
    .gives = SV_GIVES_TEXT,
    .time = SV_TIME_LOCAL,
    .body_name = "KEY_PARAM",
    .query_keys = sv_form_query_keys,
    .phrases = sv_form_phrases,
    .errors = errors,
    .type = "text/plain; charset=UTF-8",
    .read = read,
    .data_key = "data",
    .begin = begin,
    .finish = finish,
    .failure = failure,
    .warning = "warning",
    .pack = pack,
    .client_pack = client_pack,
    .client_type = "application/x-www-form-urlencoded",
    .client_unpack = client_unpack,
    .ok_key = "result",
    .ok_value = "0",
    .doc = &sv_wire_doc_starvcenter,
};
