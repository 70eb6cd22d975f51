/* Short forms for the rows of this dialect. */
#ifndef HANDLERS_KVM_PLATFORM_ROWS_H
#define HANDLERS_KVM_PLATFORM_ROWS_H

#include "starvirt/api_rows.h"
#include "starvirt/core.h"

/* All operations are one method at one place; handler and command tell them apart, parameters stand under "data". */
#define OPERATION(handler_name, command_name)                                                                          \
    .method = "POST", .path = "", .under = "data",                                                                     \
    SV_KEYS({.name = "handler", .value = (handler_name)}, {.name = "command", .value = (command_name)})

/* A read that fails by a fault of ours is what the document has a code for. */
static inline enum sv_err info_failed(struct sv_call *c, enum sv_err rc, enum sv_err as)
{
    return rc && rc != as && sv_err_is_ours(rc) ? sv_fail(c->err, as, SV_F_NONE) : rc;
}

extern const struct sv_route_table sv_kvm_login, sv_kvm_network, sv_kvm_host, sv_kvm_vm;

#endif
