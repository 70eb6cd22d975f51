/* How the KVM platform speaks: one address, a JSON object that names handler and command, parameters under "data";
 * the reply is {code, msg, data}, and a business failure has status 200. */
#ifndef HANDLERS_KVM_PLATFORM_WIRE_H
#define HANDLERS_KVM_PLATFORM_WIRE_H

#include "starvirt/api.h"

extern const struct sv_wire sv_wire_kvm_platform;

#endif
