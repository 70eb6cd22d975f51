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

/* Requests that are answered by the end of a job; secrets beside the rows they belong to. */
static const char version_3[] =
    "ALTER TABLE idem ADD COLUMN job_id TEXT NOT NULL DEFAULT '';" /* the reply counts once it is done */
    "CREATE INDEX idem_job ON idem(job_id) WHERE job_id <> '';"
    /* sealed with the key in DIR/secrets; owner: a VM, a storage or a job */
    "CREATE TABLE secret(owner_id TEXT NOT NULL, kind TEXT NOT NULL, sealed BLOB NOT NULL,"
    " PRIMARY KEY(owner_id, kind)) STRICT, WITHOUT ROWID;";

/* Networks on a physical interface of the machine. */
static const char version_4[] =
    "CREATE TABLE host_network(id TEXT PRIMARY KEY, device TEXT NOT NULL, netns TEXT NOT NULL, vlan INTEGER NOT NULL,"
    " ready INTEGER NOT NULL, created INTEGER NOT NULL, UNIQUE(netns, device, vlan)) STRICT;"
    "CREATE INDEX host_network_order ON host_network(ready, created, id);";

/* Open jobs are bounded for each tenant but the administrators' own; 20000 is what a new tenant gets, too. */
static const char version_5[] =
    "ALTER TABLE tenant ADD COLUMN quota_jobs INTEGER NOT NULL DEFAULT -1;"
    "UPDATE tenant SET quota_jobs = 20000 WHERE NOT is_admin;"
    "ALTER TABLE job_count ADD COLUMN open INTEGER NOT NULL DEFAULT 0;"
    "UPDATE job_count SET open = (SELECT count(*) FROM job WHERE tenant_id = job_count.tenant_id AND result IN (2, "
    "3));";

/* Undos that failed and are finished later. */
static const char version_6[] =
    /* guest: it has to take part; finisher: the open job that is at it, '' none */
    "CREATE TABLE pending_undo(job_id TEXT PRIMARY KEY, object_id TEXT NOT NULL, subject_id TEXT NOT NULL, host_id TEXT"
    " NOT NULL, finisher TEXT NOT NULL, step INTEGER NOT NULL, guest INTEGER NOT NULL, tries INTEGER NOT NULL,"
    " due INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE INDEX pending_undo_object ON pending_undo(object_id);"
    "CREATE INDEX pending_undo_subject ON pending_undo(subject_id);"
    "CREATE INDEX pending_undo_host ON pending_undo(host_id);"
    "CREATE INDEX pending_undo_due ON pending_undo(due);"
    "ALTER TABLE job ADD COLUMN finishes TEXT NOT NULL DEFAULT '';"; /* the job whose undo it finishes */

/* The files of templates and backups count in a quota of their own, as large as the quota of storage where nobody says
 * otherwise (-2); who has much already gets twice that. */
static const char version_7[] =
    "ALTER TABLE tenant ADD COLUMN quota_images INTEGER NOT NULL DEFAULT -2;"
    "ALTER TABLE tenant ADD COLUMN used_images INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE template ADD COLUMN held INTEGER NOT NULL DEFAULT 0;"
    "UPDATE template SET held = size WHERE tenant_id IS NOT NULL;"
    "UPDATE tenant SET used_images = (SELECT coalesce(sum(held), 0) FROM template WHERE tenant_id = tenant.id)"
    " + (SELECT coalesce(sum(d.bytes), 0) FROM backup b JOIN backup_disk d ON d.backup_id = b.id WHERE b.tenant_id ="
    " tenant.id);"
    "UPDATE tenant SET quota_images = 2 * used_images WHERE quota_storage BETWEEN 0 AND 2 * used_images;";

/* Which life of which database this is (db/life.c). */
static const char version_8[] =
    "CREATE TABLE life(one INTEGER PRIMARY KEY CHECK(one = 1), id TEXT NOT NULL, commits INTEGER NOT NULL) STRICT;"
    "INSERT INTO life VALUES(1, lower(hex(randomblob(16))), 0);";

/* Why a template failed: symbol and arguments, as of a job. */
static const char version_9[] = "ALTER TABLE template ADD COLUMN error TEXT NOT NULL DEFAULT '';"
                                "ALTER TABLE template ADD COLUMN error_args TEXT NOT NULL DEFAULT '';";

/* Networks past a VPC: outer addresses, routers, rules, groups, balancers, and what of it an engine has yet to be told.
 */
static const char version_10[] =
    /* an address of the outside; free ones are in free_range (space: the pool). router_id: it is that router's own */
    "CREATE TABLE pool(id TEXT PRIMARY KEY, type INTEGER NOT NULL, name TEXT NOT NULL, descr TEXT NOT NULL, first"
    " INTEGER NOT NULL UNIQUE, last INTEGER NOT NULL, gateway INTEGER NOT NULL, prefix INTEGER NOT NULL, used INTEGER"
    " NOT NULL DEFAULT 0, created INTEGER NOT NULL) STRICT;"
    "CREATE TABLE outer_ip(ip INTEGER PRIMARY KEY, pool_id TEXT NOT NULL REFERENCES pool(id), tenant_id TEXT NOT NULL"
    " REFERENCES tenant(id), router_id TEXT NOT NULL DEFAULT '', created INTEGER NOT NULL) STRICT;"
    "CREATE INDEX outer_ip_pool ON outer_ip(pool_id, ip);"
    "CREATE INDEX outer_ip_tenant ON outer_ip(tenant_id, ip);"
    "CREATE UNIQUE INDEX outer_ip_router ON outer_ip(router_id) WHERE router_id <> '';"

    "CREATE TABLE router(id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL UNIQUE REFERENCES tenant(id), name TEXT NOT NULL,"
    " descr TEXT NOT NULL, ha INTEGER NOT NULL, state INTEGER NOT NULL, created INTEGER NOT NULL) STRICT;"
    "CREATE INDEX router_order ON router(created, id);"
    /* its instances, one or with HA two: the ids that the document calls vm.id; the first is the router's own */
    "CREATE TABLE router_node(id TEXT PRIMARY KEY, router_id TEXT NOT NULL REFERENCES router(id), slot INTEGER NOT"
    " NULL, UNIQUE(router_id, slot)) STRICT;"
    "CREATE TABLE router_leg(vpc_id TEXT PRIMARY KEY REFERENCES vpc(id), router_id TEXT NOT NULL REFERENCES router(id),"
    " slot INTEGER NOT NULL, created INTEGER NOT NULL, UNIQUE(router_id, slot)) STRICT;"
    "ALTER TABLE vpc ADD COLUMN gate INTEGER NOT NULL DEFAULT 0;" /* its boundary lets pass what rules allow only */

    /* proto 0: one to one, ports 0; 1: TCP, 2: UDP, 3: both. srcs, dsts, ports here and below: the lists as they were
       given, '' any */
    "CREATE TABLE nat(id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant(id), nic_id TEXT NOT NULL"
    " REFERENCES nic(id), outer_ip INTEGER NOT NULL REFERENCES outer_ip(ip), proto INTEGER NOT NULL, outer_port INTEGER"
    " NOT NULL, inner_port INTEGER NOT NULL, srcs TEXT NOT NULL, descr TEXT NOT NULL, created INTEGER NOT NULL,"
    " UNIQUE(outer_ip, proto, outer_port)) STRICT;"
    "CREATE INDEX nat_tenant ON nat(tenant_id, created, id);"
    "CREATE INDEX nat_order ON nat(created, id);"
    "CREATE INDEX nat_nic ON nat(nic_id);"
    "CREATE UNIQUE INDEX nat_whole ON nat(nic_id) WHERE proto = 0;"

    /* kind: of the boundary of a NIC's VPC, of the NIC, of a group; nic_id of the first two, group_id of the third */
    "CREATE TABLE secgroup(id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant(id), name TEXT NOT NULL,"
    " descr TEXT NOT NULL, created INTEGER NOT NULL) STRICT;"
    "CREATE INDEX secgroup_tenant ON secgroup(tenant_id, created, id);"
    "CREATE TABLE secgroup_nic(nic_id TEXT NOT NULL REFERENCES nic(id), group_id TEXT NOT NULL REFERENCES secgroup(id),"
    " PRIMARY KEY(nic_id, group_id)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX secgroup_nic_group ON secgroup_nic(group_id, nic_id);"
    "CREATE TABLE rule(id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant(id), kind INTEGER NOT NULL,"
    " nic_id TEXT REFERENCES nic(id), group_id TEXT REFERENCES secgroup(id), direction INTEGER NOT NULL, proto INTEGER"
    " NOT NULL, srcs TEXT NOT NULL, dsts TEXT NOT NULL, ports TEXT NOT NULL, descr TEXT NOT NULL, created INTEGER NOT"
    " NULL) STRICT;"
    "CREATE INDEX rule_tenant ON rule(tenant_id, created, id);"
    "CREATE INDEX rule_order ON rule(created, id) WHERE nic_id IS NOT NULL;"
    "CREATE INDEX secgroup_order ON secgroup(created, id);"
    "CREATE INDEX nic_ip ON nic(ip, id);"
    "CREATE INDEX rule_nic ON rule(nic_id, kind, id) WHERE nic_id IS NOT NULL;"
    "CREATE INDEX rule_group ON rule(group_id, id) WHERE group_id IS NOT NULL;"

    /* the key and the certificate are secrets of the balancer. vpc_id: of an address inside, which is taken from the
     * VPC's free ones; own: nobody else may use the outer address. TCP and UDP (proto 1) have ports of their own */
    "CREATE TABLE slb(id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant(id), router_id TEXT NOT NULL"
    " REFERENCES router(id), vpc_id TEXT REFERENCES vpc(id), outside INTEGER AS (vpc_id IS NULL), name TEXT NOT NULL,"
    " descr TEXT NOT NULL, enabled INTEGER NOT NULL, proto INTEGER NOT NULL, ip INTEGER NOT NULL, own INTEGER NOT "
    "NULL, port INTEGER NOT NULL, real_port"
    " INTEGER NOT NULL, policy INTEGER NOT NULL, url_path TEXT NOT NULL, check_path TEXT NOT NULL, retries INTEGER NOT"
    " NULL, check_every INTEGER NOT NULL, check_timeout INTEGER NOT NULL, idle_timeout INTEGER NOT NULL,"
    " max_connections INTEGER NOT NULL, cert_ends INTEGER NOT NULL, cert_warned INTEGER NOT NULL DEFAULT 0, created"
    " INTEGER NOT NULL) STRICT;"
    "CREATE INDEX slb_order ON slb(created, id);"
    "CREATE INDEX slb_tenant ON slb(tenant_id, created, id);"
    "CREATE INDEX slb_router ON slb(router_id, id);"
    "CREATE UNIQUE INDEX slb_outer ON slb(ip, port, proto = 1) WHERE outside;"
    "CREATE UNIQUE INDEX slb_inner ON slb(vpc_id, ip, port, proto = 1);"
    "CREATE INDEX slb_cert ON slb(cert_ends) WHERE cert_ends <> 0;"
    "CREATE TABLE slb_node(id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant(id), slb_id TEXT NOT NULL"
    " REFERENCES slb(id), nic_id TEXT NOT NULL REFERENCES nic(id), name TEXT NOT NULL, descr TEXT NOT NULL, enabled"
    " INTEGER NOT NULL, port INTEGER NOT NULL, weight INTEGER NOT NULL, created INTEGER NOT NULL,"
    " UNIQUE(slb_id, nic_id, port)) STRICT;"
    "CREATE INDEX slb_node_order ON slb_node(created, id);"
    "CREATE INDEX slb_node_tenant ON slb_node(tenant_id, created, id);"
    "CREATE INDEX slb_node_nic ON slb_node(nic_id);"

    /* a unit that the engine has yet to be told of, or told in vain: failures > 0, with the last error. tenant_id:
     * whose it is, or was: its row may be gone, and the tenant's too */
    "CREATE TABLE net_unit(kind INTEGER NOT NULL, id TEXT NOT NULL, tenant_id TEXT NOT NULL, wish INTEGER NOT NULL,"
    " failures INTEGER NOT NULL, due INTEGER NOT NULL, error TEXT NOT NULL, error_args TEXT NOT NULL, since INTEGER NOT"
    " NULL, PRIMARY KEY(kind, id)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX net_unit_tenant ON net_unit(tenant_id);";

/* The estate: hosts that come and go, where VMs go, alarms, the audit trail, seeds of cloud images. */
static const char version_11[] =
    /* overcommit in percent, 0: the server's; labels: "key=value", by comma, sorted. added: by a request, not by
       --connect. cores, threads: of each socket, of each core. real_vcpus, real_memory: physical */
    "ALTER TABLE host ADD COLUMN added INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE host ADD COLUMN labels TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE host ADD COLUMN vcpu_overcommit INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE host ADD COLUMN memory_overcommit INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE host ADD COLUMN real_vcpus INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE host ADD COLUMN real_memory INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE host ADD COLUMN sockets INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE host ADD COLUMN cpu_model TEXT NOT NULL DEFAULT '';"

    /* hosts are ranked by core/place */
    "DROP INDEX host_free;"
    "CREATE INDEX storage_disks ON storage(host_id) WHERE use = 0 AND ready = 1 AND type IN ('dir', 'nfs');"
    /* labels that its host must have */
    "ALTER TABLE vm ADD COLUMN labels TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE affinity(id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant(id), name TEXT NOT NULL,"
    " descr TEXT NOT NULL, apart INTEGER NOT NULL, strict INTEGER NOT NULL, created INTEGER NOT NULL) STRICT;"
    "CREATE INDEX affinity_tenant ON affinity(tenant_id, created, id);"
    "CREATE INDEX affinity_order ON affinity(created, id);"
    "CREATE TABLE affinity_vm(vm_id TEXT NOT NULL REFERENCES vm(id), affinity_id TEXT NOT NULL REFERENCES affinity(id),"
    " PRIMARY KEY(vm_id, affinity_id)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX affinity_vm_group ON affinity_vm(affinity_id, vm_id);"

    /* args: put into words when it is read. relieved 0: open; over: what it is about has ended, so that it may be
       raised anew. tenant_id '': the administrators'. */
    "CREATE TABLE alarm(id TEXT PRIMARY KEY, type INTEGER NOT NULL, level INTEGER NOT NULL, object_type INTEGER NOT"
    " NULL, object_id TEXT NOT NULL, object_name TEXT NOT NULL, tenant_id TEXT NOT NULL, args TEXT NOT NULL, created"
    " INTEGER NOT NULL, relieved INTEGER NOT NULL DEFAULT 0, way INTEGER NOT NULL DEFAULT 0, over INTEGER NOT NULL"
    " DEFAULT 0) STRICT;"
    "CREATE UNIQUE INDEX alarm_going_on ON alarm(type, object_id) WHERE over = 0;"
    /* with what lists filter by: they are counted without their rows */
    "CREATE INDEX alarm_open ON alarm(created, id, level, object_type, way, relieved) WHERE relieved = 0;"
    "CREATE INDEX alarm_open_tenant ON alarm(tenant_id, created, id, level, object_type, way, relieved) WHERE relieved "
    "="
    " 0;"
    "CREATE INDEX alarm_over ON alarm(relieved, id) WHERE over = 1;"
    "CREATE INDEX alarm_order ON alarm(created, id, level, object_type, way);"
    "CREATE INDEX alarm_tenant ON alarm(tenant_id, created, id, level, object_type, way);"
    "CREATE INDEX alarm_object ON alarm(object_id, created, id);"
    "CREATE TABLE alarm_threshold(type INTEGER PRIMARY KEY, value INTEGER NOT NULL, minutes INTEGER NOT NULL, level"
    " INTEGER NOT NULL) STRICT;"
    /* web hooks, as the options had them at the last start; what each has yet to be told, in order */
    "CREATE TABLE alarm_hook(url TEXT PRIMARY KEY) STRICT;"
    "CREATE TABLE alarm_delivery(seq INTEGER PRIMARY KEY AUTOINCREMENT, alarm_id TEXT NOT NULL REFERENCES alarm(id),"
    " hook TEXT NOT NULL, relieved INTEGER NOT NULL, tries INTEGER NOT NULL, due INTEGER NOT NULL) STRICT;"
    "CREATE INDEX alarm_delivery_hook ON alarm_delivery(hook, seq);"
    "CREATE INDEX alarm_delivery_alarm ON alarm_delivery(alarm_id);"

    /* refers to nothing: it outlives tenants, tokens and objects */
    "CREATE TABLE audit(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time INTEGER NOT NULL, tenant_id TEXT NOT"
    " NULL, token_id TEXT NOT NULL, address TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, object_id TEXT NOT"
    " NULL, result TEXT NOT NULL, request_id TEXT NOT NULL, startid TEXT NOT NULL) STRICT;"

    /* its guests read a seed of cloud-init */
    "ALTER TABLE template ADD COLUMN seed INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE vm ADD COLUMN seed INTEGER NOT NULL DEFAULT 0;";

const char *const sv_schema[] = {version_1, version_2, version_3, version_4,  version_5,  version_6,
                                 version_7, version_8, version_9, version_10, version_11, NULL};
