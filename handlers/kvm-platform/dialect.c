/* The KVM platform's dialect: its handlers, one file each. Only NetworkHandler/create is in its document; the others
 * are those that its table of codes implies. */
#include "handlers/kvm-platform/rows.h"
#include "handlers/kvm-platform/wire.h"
#include "starvirt/dialects.h"

static const struct sv_route_table *const tables[] = {&sv_kvm_login, &sv_kvm_network, &sv_kvm_host, &sv_kvm_vm, NULL};

const struct sv_dialect sv_dialect_kvm_platform = {
    .name = "kvm-platform",
    .title = "KVM platform",
    .base = "/",
    .describe = "/kvm-platform",
    .own_listener = "where the KVM platform's API is served (command/handler RPC); off unless given",
    .wire = &sv_wire_kvm_platform,
    .tables = tables,
};
