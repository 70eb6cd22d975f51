/* The API dialects served: one folder of handlers and one line here each. */
#ifndef STARVIRT_DIALECTS_H
#define STARVIRT_DIALECTS_H

#include "starvirt/api.h"

extern const struct sv_dialect sv_dialect_starvcenter, sv_dialect_kvm_platform;
/* NULL-terminated. */
extern const struct sv_dialect *const sv_dialects[];

#endif
