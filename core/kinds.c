/* Every job kind; the rows stand next to their steps. */
#include "core/copy/copy.h"
#include "core/host/host.h"
#include "core/image/image.h"
#include "core/network/network.h"
#include "core/router/router.h"
#include "core/storage/storage.h"
#include "core/vm/vm.h"

const struct sv_job_kind *const sv_cloud_kinds[] = {
    &sv_kind_vm_create,
    &sv_kind_vm_install,
    &sv_kind_vm_start,
    &sv_kind_vm_destroy,
    &sv_kind_vm_shutdown,
    &sv_kind_vm_restart,
    &sv_kind_vm_suspend,
    &sv_kind_vm_resume,
    &sv_kind_vm_delete,
    &sv_kind_vm_vcpus,
    &sv_kind_vm_memory,
    &sv_kind_disk_add,
    &sv_kind_disk_remove,
    &sv_kind_disk_extend,
    &sv_kind_nic_add,
    &sv_kind_nic_remove,
    &sv_kind_vm_password,
    &sv_kind_vm_agent,
    &sv_kind_template_import,
    &sv_kind_template_delete,
    &sv_kind_template_create,
    &sv_kind_snapshot_create,
    &sv_kind_snapshot_restore,
    &sv_kind_snapshot_delete,
    &sv_kind_backup_create,
    &sv_kind_backup_restore,
    &sv_kind_backup_delete,
    &sv_kind_vm_clone,
    &sv_kind_storage_add,
    &sv_kind_storage_remove,
    &sv_kind_disk_pv,
    &sv_kind_disk_pv_remove,
    &sv_kind_disk_pv_extend,
    &sv_kind_storage_refresh,
    &sv_kind_vm_vnc,
    &sv_kind_vpc_delete,
    &sv_kind_network_create,
    &sv_kind_network_delete,
    &sv_kind_template_discard,
    &sv_kind_router_create,
    &sv_kind_router_delete,
    &sv_kind_host_mend,
    NULL,
};
