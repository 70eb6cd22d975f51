/* Every dialect served: one line each. */
#include "starvirt/dialects.h"

const struct sv_dialect *const sv_dialects[] = {&sv_dialect_starvcenter, &sv_dialect_kvm_platform, NULL};
