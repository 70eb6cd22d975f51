/* What must hold of every input struct that sv_api_bind() let through. */
#ifndef STARVIRT_TESTS_FUZZ_CHECK_H
#define STARVIRT_TESTS_FUZZ_CHECK_H

#include "starvirt/text.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/api_fixture.h"

static inline void must_be_text(const char *s, size_t max, bool lines)
{
    if (!s)
        return;
    size_t n = strlen(s);
    MUST(n > 0 && n <= max && sv_utf8_valid(s, n));
    for (size_t i = 0; i < n; i++)
        MUST((unsigned char)s[i] >= ' ' || (lines && (s[i] == '\n' || s[i] == '\t' || s[i] == '\r')));
}

static inline void must_be_texts(const struct sv_strs *l, size_t max)
{
    MUST(l->n <= max && (l->n == 0 || l->v));
    for (size_t i = 0; i < l->n; i++) {
        MUST(l->v[i]);
        must_be_text(l->v[i], SV_MAX_STR, false);
    }
}

static inline void must_be_sound(const struct all_in *in)
{
    uint32_t ip;
    MUST(in->name);
    must_be_text(in->name, SV_MAX_NAME, false);
    must_be_text(in->desc, SV_MAX_DESC, true);
    must_be_text(in->id, SV_MAX_STR, false);
    must_be_text(in->ips, SV_MAX_STR, false);
    must_be_text(in->ports, SV_MAX_STR, false);
    must_be_text(in->pem, SV_MAX_PEM, true);
    must_be_text(in->code, 8, false);
    MUST(!in->code || strlen(in->code) >= 4);
    MUST(!in->mode || !strcmp(in->mode, "tcp") || !strcmp(in->mode, "UDP") || !strcmp(in->mode, "in out"));
    MUST(!in->ip || sv_ip4_parse(in->ip, &ip));
    MUST(!in->ips || strspn(in->ips, "0123456789./,") == strlen(in->ips));
    MUST(!in->ports || strspn(in->ports, "0123456789:,") == strlen(in->ports));
    MUST(!in->num.set || (in->num.v >= 1 && in->num.v <= 30));
    MUST(!in->size.set || (in->size.v >= 1 && in->size.v <= 100));
    must_be_texts(&in->list, SV_MAX_LIST_ITEMS);
    must_be_texts(&in->two, 2);
}

static inline void must_be_an_error(const struct bound *b)
{
    char text[1024];
    MUST(b->err.code == b->code && b->in == NULL);
    MUST(sv_utf8_valid(b->err.wire, strlen(b->err.wire)));
    for (int i = 0; i < SV_ERR_ARGS; i++)
        MUST(sv_utf8_valid(b->err.arg[i], strlen(b->err.arg[i])));
    sv_err_text(&b->err, SV_LANG_ZH, text, sizeof(text));
    MUST(text[0] && sv_utf8_valid(text, strlen(text)));
    MUST(NO_TREE_ERROR(&b->err));
}

static inline void must_hold(const struct bound *b)
{
    if (b->code == SV_OK)
        must_be_sound(b->in);
    else
        must_be_an_error(b);
}

#endif
