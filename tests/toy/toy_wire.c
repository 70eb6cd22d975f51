#include "tests/toy/toy.h"
#include "tests/toy/toy_errors.h"

SV_ERR_TABLE(errors, TOY_ERRORS);

static const struct sv_token_row tokens[] = {
    {.header = "X-Toy-Token"}, {.header = "Authorization", .scheme = "Bearer"}, {0}};

static void finish(struct sv_reply *r)
{
    if (r->next)
        sv_json_str(&r->j, "next", r->next);
}

static void failure(const struct sv_fault *f, struct sv_buf *out)
{
    struct sv_json j;
    sv_json_init(&j, out);
    sv_json_obj(&j, NULL);
    sv_json_obj(&j, "error");
    sv_json_int(&j, "code", f->row->status);
    sv_json_str(&j, "word", f->row->word);
    sv_json_str(&j, "message", f->text);
    if (f->field[0])
        sv_json_str(&j, "field", f->field);
    sv_json_end_obj(&j);
    sv_json_end_obj(&j);
}

const struct sv_wire toy_wire = {
    .tokens = tokens,
    .challenge = "Bearer realm=\"toy\"",
    .time = SV_TIME_Z,
    .body_name = "the body",
    .errors = errors,
    .type = "application/json",
    .read = sv_json_read,
    .finish = finish,
    .failure = failure,
};
