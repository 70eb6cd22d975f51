/* The schema: one script a version, append-only. A version that has shipped is never edited. */
#include "db/internal.h"

static const char version_1[] =
    "CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "INSERT INTO counter VALUES('vm', 0);"

    "CREATE TABLE tenant(id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, descr TEXT NOT NULL, is_admin INTEGER NOT "
    "NULL,"
    " created INTEGER NOT NULL, quota_vcpus INTEGER NOT NULL, quota_memory INTEGER NOT NULL, quota_storage INTEGER NOT "
    "NULL,"
    " quota_subnets INTEGER NOT NULL, quota_ips INTEGER NOT NULL, used_vcpus INTEGER NOT NULL DEFAULT 0,"
    " used_memory INTEGER NOT NULL DEFAULT 0, used_storage INTEGER NOT NULL DEFAULT 0, used_subnets INTEGER NOT NULL "
    "DEFAULT 0,"
    " used_ips INTEGER NOT NULL DEFAULT 0, vm_count INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX tenant_order ON tenant(created, id, name);"

    "CREATE TABLE token(id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant(id), role INTEGER NOT NULL,"
    " hash BLOB NOT NULL UNIQUE, descr TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL,"
    " last_used INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX token_tenant ON token(tenant_id, created, id);"
    "CREATE INDEX token_order ON token(created, id);"

    "CREATE TABLE idem(tenant_id TEXT NOT NULL, key TEXT NOT NULL, hash BLOB NOT NULL, reply TEXT NOT NULL,"
    " created INTEGER NOT NULL, PRIMARY KEY(tenant_id, key)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX idem_age ON idem(created);"

    "CREATE TABLE host(id TEXT PRIMARY KEY, name TEXT NOT NULL, descr TEXT NOT NULL, uri TEXT NOT NULL, driver TEXT "
    "NOT NULL,"
    " idx INTEGER NOT NULL, connected INTEGER NOT NULL DEFAULT 0, maintenance INTEGER NOT NULL DEFAULT 0,"
    " vcpus INTEGER NOT NULL DEFAULT 0, memory INTEGER NOT NULL DEFAULT 0, used_vcpus INTEGER NOT NULL DEFAULT 0,"
    " used_memory INTEGER NOT NULL DEFAULT 0, cpu_vendor TEXT NOT NULL DEFAULT '', os_version TEXT NOT NULL DEFAULT '',"
    " virt_version TEXT NOT NULL DEFAULT '', created INTEGER NOT NULL, UNIQUE(uri, idx)) STRICT;"
    /* where the next VM goes is the first row of it, nearly always */
    "CREATE INDEX host_free ON host(memory - used_memory DESC, id) WHERE connected = 1 AND maintenance = 0;"
    "CREATE INDEX host_down ON host(id) WHERE connected = 0;"

    "CREATE TABLE storage(id TEXT PRIMARY KEY, host_id TEXT NOT NULL REFERENCES host(id), name TEXT NOT NULL, descr "
    "TEXT NOT NULL,"
    " type TEXT NOT NULL, location TEXT NOT NULL, size INTEGER NOT NULL DEFAULT 0, used INTEGER NOT NULL DEFAULT 0,"
    " created INTEGER NOT NULL, UNIQUE(host_id, location)) STRICT;"
    "CREATE INDEX storage_order ON storage(host_id, created, id);"

    "CREATE TABLE template(id TEXT PRIMARY KEY, tenant_id TEXT REFERENCES tenant(id), name TEXT NOT NULL, descr TEXT "
    "NOT NULL,"
    " os TEXT NOT NULL, format TEXT NOT NULL, source TEXT NOT NULL, md5 TEXT NOT NULL, sha256 TEXT NOT NULL,"
    " size INTEGER NOT NULL, virtual_size INTEGER NOT NULL, state INTEGER NOT NULL, created INTEGER NOT NULL,"
    " disks INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX template_order ON template(created, id, name);"
    "CREATE INDEX template_tenant ON template(tenant_id, created, id, name);"

    "CREATE TABLE model_type(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, value TEXT NOT NULL UNIQUE, label TEXT "
    "NOT NULL,"
    " descr TEXT NOT NULL) STRICT;"
    "CREATE TABLE model(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL REFERENCES "
    "model_type(value),"
    " value TEXT NOT NULL UNIQUE, label TEXT NOT NULL, descr TEXT NOT NULL, template_id TEXT REFERENCES template(id),"
    " sysdisk INTEGER NOT NULL) STRICT;"
    "CREATE INDEX model_type_of ON model(type, seq);"
    "CREATE INDEX model_template ON model(template_id);"

    "CREATE TABLE vpc(id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant(id), name TEXT NOT NULL, descr "
    "TEXT NOT NULL,"
    " base INTEGER NOT NULL, prefix INTEGER NOT NULL, free_count INTEGER NOT NULL,"
    " deleting INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL, UNIQUE(base)) STRICT;"
    "CREATE INDEX vpc_tenant ON vpc(tenant_id, deleting, created, id);"
    "CREATE INDEX vpc_order ON vpc(deleting, created, id);"
    /* addresses that no subnet has (space ''), and that no NIC of a VPC has (space: the VPC) */
    /* the key first: integrity_check of SQLite 3.40 mistakes other orders for NULLs */
    "CREATE TABLE free_range(space TEXT NOT NULL, last INTEGER NOT NULL, base INTEGER NOT NULL,"
    " PRIMARY KEY(space, last)) STRICT, WITHOUT ROWID;"
    "INSERT INTO free_range(space, base, last) VALUES('', 0, 4294967295);"

    "CREATE TABLE vm(id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant(id), host_id TEXT REFERENCES "
    "host(id),"
    " template_id TEXT NOT NULL, name TEXT NOT NULL, descr TEXT NOT NULL, model TEXT NOT NULL, model_type TEXT NOT "
    "NULL,"
    " state INTEGER NOT NULL, vcpus INTEGER NOT NULL, memory INTEGER NOT NULL, live_vcpus INTEGER NOT NULL DEFAULT 0,"
    " live_memory INTEGER NOT NULL DEFAULT 0, ip INTEGER NOT NULL, nested INTEGER NOT NULL, agent INTEGER NOT NULL "
    "DEFAULT 0,"
    " created INTEGER NOT NULL) STRICT;"
    /* the covering pair: order, keyset paging and substring search without touching rows that do not match */
    "CREATE INDEX vm_tenant ON vm(tenant_id, created, id, name);"
    "CREATE INDEX vm_order ON vm(created, id, name);"
    "CREATE INDEX vm_host ON vm(host_id);"
    "CREATE INDEX vm_model ON vm(model) WHERE model <> '';"

    "CREATE TABLE disk(id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant(id), vm_id TEXT REFERENCES "
    "vm(id),"
    " storage_id TEXT NOT NULL REFERENCES storage(id), template_id TEXT REFERENCES template(id), name TEXT NOT NULL,"
    " descr TEXT NOT NULL, target TEXT NOT NULL, size INTEGER NOT NULL, boot INTEGER NOT NULL, ready INTEGER NOT NULL,"
    " created INTEGER NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX disk_vm ON disk(vm_id, target);"
    "CREATE INDEX disk_template ON disk(template_id) WHERE template_id IS NOT NULL;"
    "CREATE INDEX disk_tenant ON disk(tenant_id);"

    "CREATE TABLE nic(id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant(id), vm_id TEXT NOT NULL "
    "REFERENCES vm(id),"
    " vpc_id TEXT NOT NULL REFERENCES vpc(id), name TEXT NOT NULL, mac TEXT NOT NULL UNIQUE, ip INTEGER NOT NULL,"
    " created INTEGER NOT NULL, UNIQUE(vpc_id, ip)) STRICT;"
    "CREATE INDEX nic_vm ON nic(vm_id, created, id);"
    "CREATE INDEX nic_tenant ON nic(tenant_id);"

    /* seq is the order of creation: it makes every index below half as wide */
    "CREATE TABLE job(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, tenant_id TEXT NOT NULL, object_id TEXT NOT "
    "NULL,"
    " host_id TEXT NOT NULL, kind TEXT NOT NULL, object_type TEXT NOT NULL, object_name TEXT NOT NULL, iarg0 INTEGER "
    "NOT NULL,"
    " iarg1 INTEGER NOT NULL, sarg TEXT NOT NULL, result INTEGER NOT NULL, percent INTEGER NOT NULL DEFAULT 0,"
    " step INTEGER NOT NULL DEFAULT 0, undoing INTEGER NOT NULL DEFAULT 0, undo_result INTEGER NOT NULL DEFAULT 0,"
    " cancel INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL, started INTEGER NOT NULL DEFAULT 0,"
    " ended INTEGER NOT NULL DEFAULT 0, deadline INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '',"
    " error_args TEXT NOT NULL DEFAULT '') STRICT;"
    "CREATE INDEX job_tenant ON job(tenant_id);"
    "CREATE INDEX job_object ON job(object_id);"
    "CREATE INDEX job_open ON job(seq, tenant_id, result) WHERE result IN (2, 3);"
    "CREATE INDEX job_result ON job(result) WHERE result NOT IN (2, 3);"
    "CREATE INDEX job_tenant_result ON job(tenant_id, result) WHERE result NOT IN (2, 3);"
    "CREATE INDEX job_ended ON job(ended) WHERE ended > 0;"
    "CREATE TABLE job_count(tenant_id TEXT PRIMARY KEY, jobs INTEGER NOT NULL) STRICT, WITHOUT ROWID;"

    "CREATE TABLE joblog(job_id TEXT NOT NULL, serial INTEGER NOT NULL, time INTEGER NOT NULL, level INTEGER NOT NULL,"
    " note TEXT NOT NULL, args TEXT NOT NULL, PRIMARY KEY(job_id, serial)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE lock(object_id TEXT PRIMARY KEY, job_id TEXT NOT NULL, code INTEGER NOT NULL) STRICT, WITHOUT ROWID;"

    "CREATE TABLE leftover(host_id TEXT NOT NULL REFERENCES host(id), kind INTEGER NOT NULL, object_id TEXT NOT NULL,"
    " PRIMARY KEY(host_id, kind, object_id)) STRICT, WITHOUT ROWID;"

    /* the newest event never goes, so that no number is given twice */
    "CREATE TABLE event(seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, type TEXT NOT NULL,"
    " object_type TEXT NOT NULL, object_id TEXT NOT NULL, tenant_id TEXT NOT NULL, content TEXT NOT NULL) STRICT;"
    "CREATE INDEX event_tenant ON event(tenant_id);";

/* Snapshots and backups of VMs; storages beside the image directory. */
static const char version_2[] =
    "ALTER TABLE storage ADD COLUMN use INTEGER NOT NULL DEFAULT 0;" /* enum sv_storage_use */
    "ALTER TABLE storage ADD COLUMN shared INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE storage ADD COLUMN monitors TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE storage ADD COLUMN pool TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE storage ADD COLUMN user TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE storage ADD COLUMN own INTEGER NOT NULL DEFAULT 1;" /* until now there were image directories only */
    "ALTER TABLE storage ADD COLUMN ready INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE storage ADD COLUMN promised INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE disk ADD COLUMN use TEXT NOT NULL DEFAULT '';" /* of one without a VM */
    "CREATE INDEX disk_storage ON disk(storage_id);"
    /* a directory that moved left a row that nothing was put on */
    "DELETE FROM storage WHERE EXISTS (SELECT 1 FROM storage o WHERE o.host_id = storage.host_id AND (o.created, o.id)"
    " < (storage.created, storage.id)) AND NOT EXISTS (SELECT 1 FROM disk WHERE storage_id = storage.id);"
    "CREATE INDEX storage_shared ON storage(shared) WHERE shared = 1;"
    "UPDATE storage SET promised = (SELECT coalesce(sum(size), 0) FROM disk WHERE storage_id = storage.id);"
    "ALTER TABLE vm ADD COLUMN firewalled INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE vm ADD COLUMN guest_ips TEXT NOT NULL DEFAULT '';" /* as its agent tells, by comma */
    /* who works on what it names besides its object */
    "CREATE INDEX job_arg ON job(sarg) WHERE sarg <> '' AND result IN (2, 3);"

    /* parent: '' at the root of the tree; ready: 2 = broken; current: the one the disks stem from, one a VM at most */
    "CREATE TABLE snapshot(id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant(id), vm_id TEXT NOT NULL"
    " REFERENCES vm(id), parent TEXT NOT NULL, name TEXT NOT NULL, descr TEXT NOT NULL, shape TEXT NOT NULL,"
    " memory INTEGER NOT NULL, ready INTEGER NOT NULL, current INTEGER NOT NULL, created INTEGER NOT NULL) STRICT;"
    "CREATE INDEX snapshot_vm ON snapshot(vm_id, created, id);"
    "CREATE INDEX snapshot_tenant ON snapshot(tenant_id);"
    "CREATE TABLE snapshot_disk(snapshot_id TEXT NOT NULL REFERENCES snapshot(id), disk_id TEXT NOT NULL REFERENCES"
    " disk(id), size INTEGER NOT NULL, PRIMARY KEY(snapshot_id, disk_id)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX snapshot_disk_of ON snapshot_disk(disk_id);"
    "ALTER TABLE leftover ADD COLUMN vm_id TEXT NOT NULL DEFAULT '';" /* of a snapshot */

    /* outlives its VM: vm_id and disk_id refer to what may be gone */
    "CREATE TABLE backup(id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant(id), vm_id TEXT NOT NULL,"
    " vm_name TEXT NOT NULL, storage_id TEXT REFERENCES storage(id), name TEXT NOT NULL, descr TEXT NOT NULL,"
    " state INTEGER NOT NULL, quiesced INTEGER NOT NULL, vcpus INTEGER NOT NULL, memory INTEGER NOT NULL,"
    " nested INTEGER NOT NULL, created INTEGER NOT NULL) STRICT;"
    "CREATE INDEX backup_vm ON backup(vm_id, created, id);"
    "CREATE INDEX backup_tenant ON backup(tenant_id);"
    "CREATE INDEX backup_storage ON backup(storage_id) WHERE storage_id IS NOT NULL;"
    "CREATE TABLE backup_disk(backup_id TEXT NOT NULL REFERENCES backup(id), target TEXT NOT NULL, disk_id TEXT NOT"
    " NULL, boot INTEGER NOT NULL, size INTEGER NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,"
    " PRIMARY KEY(backup_id, target)) STRICT, WITHOUT ROWID;";

const char *const sv_schema[] = {version_1, version_2, NULL};
