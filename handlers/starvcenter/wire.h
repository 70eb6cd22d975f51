/* How StarVCenter speaks: parameters are a JSON object in Base64 in the form field KEY_PARAM, replies Base64 of an
 * envelope, every value in it a string, and a business failure has status 200. */
#ifndef HANDLERS_STARVCENTER_WIRE_H
#define HANDLERS_STARVCENTER_WIRE_H

#include "starvirt/api.h"

extern const struct sv_wire sv_wire_starvcenter;
extern const struct sv_wire_doc sv_wire_doc_starvcenter;

/* The text of KEY_PARAM out of a form, or out of the query, percent-decoded; ret->p NULL if there is none. */
enum sv_err sv_form_key_param(const struct sv_input *in, struct sv_arena *a, struct sv_slice *ret,
                              struct sv_error *err);
/* What of the query belongs to the form: a token is repeated there, too. */
extern const char *const sv_form_query_keys[];
/* Why a form is malformed. */
extern const struct sv_phrase sv_form_phrases[];

#endif
