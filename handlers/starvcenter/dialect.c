/* The StarVCenter dialect: its resources, one file each. */
#include "handlers/starvcenter/rows.h"
#include "handlers/starvcenter/wire.h"
#include "starvirt/dialects.h"

static const struct sv_route_table *const tables[] = {
    &sv_table_tenant,   &sv_table_quota,    &sv_table_vm,      &sv_table_power,
    &sv_table_guest,    &sv_table_vdisk,    &sv_table_vnic,    &sv_table_snapshot,
    &sv_table_monitor,  &sv_table_host,     &sv_table_backup,  &sv_table_rule,
    &sv_table_secgroup, &sv_table_model,    &sv_table_vpc,     &sv_table_network,
    &sv_table_template, &sv_table_storage,  &sv_table_alarm,   &sv_table_router,
    &sv_table_address,  &sv_table_mapping,  &sv_table_slb,     &sv_table_realnode,
    &sv_table_job,      &sv_table_affinity, &sv_table_not_yet, NULL,
};

const struct sv_dialect sv_dialect_starvcenter = {
    .name = "starvcenter",
    .title = "StarVCenter",
    .base = "/starvcenter/services/cloudresource/",
    .describe = "/starvcenter/services",
    .wire = &sv_wire_starvcenter,
    .tables = tables,
};
