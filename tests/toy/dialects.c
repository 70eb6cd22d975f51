/* starvirtd with the toy beside what it serves. */
#include "starvirt/dialects.h"
#include "tests/toy/toy.h"

const struct sv_dialect *const sv_dialects[] = {&sv_dialect_starvcenter, &toy_dialect, NULL};
