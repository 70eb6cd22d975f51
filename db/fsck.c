/* The invariants. Each is one query whose rows are the breaches, as lines for people. */
#include "db/internal.h"
#include "starvirt/store_catalog.h"
#include "starvirt/store_copy.h"
#include "starvirt/store_job.h"
#include "starvirt/store_router.h"
#include "starvirt/store_rule.h"
#include "starvirt/store_unit.h"
#include "starvirt/store_vm.h"

/* Queries name the enum values they mean; bind_names() knows them. */
static const struct {
    const char *name;
    int value;
} names[] = {
    {":vm_building", SV_VM_BUILDING},
    {":vm_cloning", SV_VM_CLONING},
    {":vm_failed", SV_VM_FAILED},
    {":template_importing", SV_TEMPLATE_IMPORTING},
    {":template_deleting", SV_TEMPLATE_DELETING},
    {":backup_making", SV_BACKUP_MAKING},
    {":rule_group", SV_RULE_GROUP},
    {":job_done", SV_JOB_DONE},
    {":job_running", SV_JOB_RUNNING},
    {":job_queued", SV_JOB_QUEUED},
    {":job_last", SV_JOB_CANCELLED},
    {":unit_kinds", SV_UNIT_KINDS},
    {":router_ready", SV_ROUTER_READY},
};

#define KEPT_SUM(table, column, of, what)                                                                              \
    "SELECT printf('" table " %s: " column " is %d, its " of "s have %d', t.id, t." column ", s.v) FROM " table        \
    " t JOIN (SELECT a.id, (" what ") AS v FROM " table " a) s ON s.id = t.id WHERE t." column " <> s.v"
#define OPEN_JOB_ON(object)                                                                                            \
    "EXISTS (SELECT 1 FROM job j WHERE j.object_id = " object " AND j.result IN (:job_running, :job_queued))"
/* ... or an undo is pending that is to take it away. */
#define JOB_OR_UNDO(object)                                                                                            \
    "(" OPEN_JOB_ON(object) " OR EXISTS (SELECT 1 FROM pending_undo p WHERE p.subject_id = " object "))"
/* A failed VM holds something as long as its undo is pending, and then only. */
#define HOLDS "(vm.state <> :vm_failed OR vm.id IN (SELECT object_id FROM pending_undo))"

static const char *const sql[] = {
    "SELECT 'file: ' || quick_check FROM pragma_quick_check WHERE quick_check <> 'ok'",
    "SELECT printf('%s row %s: refers to a row of %s that does not exist', f.\"table\", coalesce(f.rowid, '?'), "
    "f.parent)"
    " FROM pragma_foreign_key_check f",

    KEPT_SUM("tenant", "used_vcpus", "VM", "SELECT coalesce(sum(vcpus), 0) FROM vm WHERE tenant_id = a.id AND " HOLDS),
    KEPT_SUM("tenant", "used_memory", "VM",
             "SELECT coalesce(sum(memory), 0) FROM vm WHERE tenant_id = a.id AND " HOLDS),
    KEPT_SUM("tenant", "used_storage", "disk", "SELECT coalesce(sum(size), 0) FROM disk WHERE tenant_id = a.id"),
    KEPT_SUM(
        "tenant", "used_images", "templates and backup",
        "SELECT (SELECT coalesce(sum(held), 0) FROM template WHERE tenant_id = a.id) + (SELECT coalesce(sum(d.bytes), "
        "0) FROM backup b JOIN backup_disk d ON d.backup_id = b.id WHERE b.tenant_id = a.id)"),
    KEPT_SUM("tenant", "used_subnets", "VPC", "SELECT count(*) FROM vpc WHERE tenant_id = a.id"),
    KEPT_SUM("tenant", "used_ips", "outer IP", "SELECT count(*) FROM outer_ip WHERE tenant_id = a.id"),
    KEPT_SUM("pool", "used", "outer IP", "SELECT count(*) FROM outer_ip WHERE pool_id = a.id"),
    KEPT_SUM("tenant", "vm_count", "VM", "SELECT count(*) FROM vm WHERE tenant_id = a.id"),
    KEPT_SUM("host", "used_vcpus", "VM", "SELECT coalesce(sum(vcpus), 0) FROM vm WHERE host_id = a.id AND " HOLDS),
    KEPT_SUM("host", "used_memory", "VM", "SELECT coalesce(sum(memory), 0) FROM vm WHERE host_id = a.id AND " HOLDS),
    KEPT_SUM("storage", "promised", "disk", "SELECT coalesce(sum(size), 0) FROM disk WHERE storage_id = a.id"),
    KEPT_SUM("template", "disks", "disk", "SELECT count(*) FROM disk WHERE template_id = a.id"),
    "SELECT printf('counter vm: is %d, there are %d VMs', v.kept, v.counted) FROM (SELECT"
    " coalesce((SELECT value FROM counter WHERE name = 'vm'), -1) AS kept, (SELECT count(*) FROM vm) AS counted) v"
    " WHERE v.kept <> v.counted",

    /* .0, .1 (gateway) and the last are not handed out */
    "SELECT printf('vpc %s: free_count is %d, should be %d', v.id, v.free_count, v.should) FROM (SELECT id, free_count,"
    " (1 << (32 - prefix)) - 3 - (SELECT count(*) FROM nic WHERE vpc_id = vpc.id) - (SELECT count(DISTINCT ip) FROM slb"
    " WHERE NOT outside AND vpc_id = vpc.id) AS should FROM vpc) v"
    " WHERE v.free_count <> v.should",
    "SELECT printf('vpc %s: %d addresses are free, free_count is %d', v.id, v.free, v.free_count) FROM (SELECT id,"
    " free_count, (SELECT coalesce(sum(last - base + 1), 0) FROM free_range WHERE space = vpc.id) AS free FROM vpc) v"
    " WHERE v.free <> v.free_count",
    /* ranges do not overlap: the first that ends at or behind a number is the one that can hold it */
    "SELECT printf('vpc %s: address %d of nic %s is free', n.vpc_id, n.ip, n.id) FROM nic n WHERE (SELECT base FROM"
    " free_range WHERE space = n.vpc_id AND last >= n.ip ORDER BY last LIMIT 1) <= n.ip",
    "SELECT printf('free addresses of %s: there is no such VPC or pool', space) FROM free_range WHERE space <> '' AND"
    " space NOT IN (SELECT id FROM vpc) AND space NOT IN (SELECT id FROM pool) GROUP BY space",
    "SELECT printf('subnets: %d addresses are taken or free, of 4294967296', n) FROM (SELECT (SELECT coalesce(sum(1 << "
    "(32"
    " - prefix)), 0) FROM vpc) + (SELECT coalesce(sum(last - base + 1), 0) FROM free_range WHERE space = '') AS n)"
    " WHERE n <> 4294967296",
    "SELECT printf('vpc %s: its subnet is free', v.id) FROM vpc v WHERE (SELECT base FROM free_range WHERE space = ''"
    " AND last >= v.base ORDER BY last LIMIT 1) < v.base + (1 << (32 - v.prefix))",
    "SELECT printf('nic %s: address %d is not a host address of vpc %s', n.id, n.ip, v.id) FROM nic n JOIN vpc v"
    " ON v.id = n.vpc_id WHERE n.ip NOT BETWEEN v.base + 2 AND v.base + (1 << (32 - v.prefix)) - 2",
    "SELECT printf('vm %s: ip is %d, its first NIC has %d', v.id, v.ip, v.first) FROM (SELECT id, ip, coalesce((SELECT "
    "ip"
    " FROM nic WHERE vm_id = vm.id ORDER BY created, id LIMIT 1), 0) AS first FROM vm) v WHERE v.ip <> v.first",
    "SELECT printf('vpc %s: is being deleted and has NIC %s', v.id, n.id) FROM vpc v JOIN nic n ON n.vpc_id = v.id"
    " WHERE v.deleting",

    "SELECT printf('pool %s: %d of its addresses are free, should be %d', p.id, p.free, p.should) FROM (SELECT id,"
    " last - first + 1 - used AS should, (SELECT coalesce(sum(last - base + 1), 0) FROM free_range WHERE space = "
    "pool.id)"
    " AS free FROM pool) p WHERE p.free <> p.should",
    "SELECT printf('pool %s: its address %d, which tenant %s has, is free', o.pool_id, o.ip, o.tenant_id) FROM "
    "outer_ip o"
    " WHERE (SELECT base FROM free_range WHERE space = o.pool_id AND last >= o.ip ORDER BY last LIMIT 1) <= o.ip",
    "SELECT printf('outer address %d: not one of pool %s', o.ip, p.id) FROM outer_ip o JOIN pool p ON p.id = o.pool_id"
    " WHERE o.ip NOT BETWEEN p.first AND p.last",
    "SELECT printf('pool %s: overlaps pool %s', p.id, q.id) FROM pool p JOIN pool q ON q.first > p.first AND q.first <="
    " p.last",
    "SELECT printf('outer address %d of tenant %s: nothing uses it', o.ip, o.tenant_id) FROM outer_ip o WHERE "
    "o.router_id"
    " = '' AND NOT EXISTS (SELECT 1 FROM nat WHERE outer_ip = o.ip) AND NOT EXISTS (SELECT 1 FROM slb WHERE ip = o.ip"
    " AND outside)",
    "SELECT printf('outer address %d: is router %s''s own, which is not of tenant %s', o.ip, o.router_id, o.tenant_id) "
    "FROM"
    " outer_ip o WHERE o.router_id <> '' AND NOT EXISTS (SELECT 1 FROM router r WHERE r.id = o.router_id AND "
    "r.tenant_id"
    " = o.tenant_id)",

    "SELECT printf('mapping %s: is of tenant %s, its NIC or its outer address is not', m.id, m.tenant_id) FROM nat m "
    "JOIN"
    " nic n ON n.id = m.nic_id JOIN outer_ip o ON o.ip = m.outer_ip WHERE n.tenant_id <> m.tenant_id OR o.tenant_id <>"
    " m.tenant_id",
    "SELECT printf('mapping %s: maps what mapping %s maps', a.id, b.id) FROM nat a JOIN nat b ON b.outer_ip = "
    "a.outer_ip"
    " AND b.id > a.id AND (a.proto = 0 OR b.proto = 0 OR (a.outer_port = b.outer_port AND a.proto & b.proto))",
    "SELECT printf('mapping %s: VPC %s has no leg on the router of its tenant', m.id, n.vpc_id) FROM nat m JOIN nic n "
    "ON"
    " n.id = m.nic_id WHERE NOT EXISTS (SELECT 1 FROM router_leg l JOIN router r ON r.id = l.router_id WHERE l.vpc_id ="
    " n.vpc_id AND r.tenant_id = n.tenant_id)",

    "SELECT printf('vm %s: failed and owns disk %s', v.id, d.id) FROM vm v JOIN disk d ON d.vm_id = v.id"
    " WHERE v.state = :vm_failed AND v.id NOT IN (SELECT object_id FROM pending_undo)",
    "SELECT printf('vm %s: failed and owns NIC %s', v.id, n.id) FROM vm v JOIN nic n ON n.vm_id = v.id"
    " WHERE v.state = :vm_failed AND v.id NOT IN (SELECT object_id FROM pending_undo)",
    "SELECT printf('vm %s: failed and has host %s', id, host_id) FROM vm WHERE NOT " HOLDS " AND host_id IS NOT NULL",

    "SELECT printf('lock of %s: its job %s is not open', l.object_id, l.job_id) FROM lock l WHERE NOT EXISTS (SELECT 1"
    " FROM job j WHERE j.id = l.job_id AND j.result IN (:job_running, :job_queued))",
    /* a job of a VM may lock the backups that go with it, too */
    "SELECT printf('lock of %s: job %s locks a %s that does not exist', l.object_id, j.id, j.object_type) FROM lock l"
    " JOIN job j ON j.id = l.job_id WHERE (j.object_type = 'vm' AND NOT EXISTS (SELECT 1 FROM vm WHERE id = "
    "l.object_id) AND NOT EXISTS (SELECT 1 FROM backup WHERE id = l.object_id))"
    " OR (j.object_type = 'template' AND NOT EXISTS (SELECT 1 FROM template WHERE id = l.object_id))",
    "SELECT printf('vm %s: is being made and has no open job', v.id) FROM vm v WHERE v.state IN (:vm_building,"
    " :vm_cloning) AND NOT " OPEN_JOB_ON("v.id"),
    "SELECT printf('template %s: is being imported or deleted and has no open job', t.id) FROM template t WHERE t.state"
    " IN (:template_importing, :template_deleting) AND NOT " JOB_OR_UNDO(
        "t.id") " AND NOT EXISTS (SELECT 1 FROM job j WHERE j.kind = 'template.create' AND j.sarg = t.id AND j.result "
                "IN"
                " (:job_running, :job_queued))",
    "SELECT printf('storage %s: is being added or removed and has no open job', s.id) FROM storage s WHERE NOT s.ready"
    " AND NOT " JOB_OR_UNDO("s.id"),
    "SELECT printf('network %s: is being made or removed and has no open job', n.id) FROM host_network n WHERE NOT "
    "n.ready"
    " AND NOT " JOB_OR_UNDO("n.id"),
    "SELECT printf('network %s: its device %s also carries a flat network', n.id, n.device) FROM host_network n WHERE"
    " n.vlan <> 0 AND EXISTS (SELECT 1 FROM host_network f WHERE f.netns = n.netns AND f.device = n.device AND"
    " f.vlan = 0)",
    "SELECT printf('network %s: has tag %d', id, vlan) FROM host_network WHERE vlan NOT BETWEEN 0 AND 4094",
    "SELECT printf('host %s: has %d image directories', h.id, s.n) FROM host h JOIN (SELECT host_id, count(*) AS n FROM"
    " storage WHERE own GROUP BY host_id) s ON s.host_id = h.id WHERE s.n <> 1",
    "SELECT printf('disk %s: has a VM and is on storage %s, which is for none', d.id, s.id) FROM disk d JOIN storage s"
    " ON s.id = d.storage_id WHERE s.type = 'ceph' AND d.vm_id IS NOT NULL",
    "SELECT printf('disk %s: has neither a VM nor an open job nor a use', d.id) FROM disk d WHERE d.vm_id IS NULL AND"
    " d.use = '' AND NOT " JOB_OR_UNDO("d.id"),

    "SELECT printf('rule %s: is of kind %d and has NIC %s and group %s', id, kind, coalesce(nic_id, '-'),"
    " coalesce(group_id, '-')) FROM rule WHERE (nic_id IS NULL) <> (kind = :rule_group) OR (group_id IS NULL) = (kind ="
    " :rule_group)",
    "SELECT printf('rule %s: is of tenant %s, its NIC or group is not', r.id, r.tenant_id) FROM rule r WHERE NOT EXISTS"
    " (SELECT 1 FROM nic n WHERE n.id = r.nic_id AND n.tenant_id = r.tenant_id) AND NOT EXISTS (SELECT 1 FROM secgroup"
    " g WHERE g.id = r.group_id AND g.tenant_id = r.tenant_id)",
    "SELECT printf('NIC %s: is in group %s of another tenant', n.id, g.id) FROM secgroup_nic m JOIN nic n ON n.id ="
    " m.nic_id JOIN secgroup g ON g.id = m.group_id WHERE n.tenant_id <> g.tenant_id",
    "SELECT printf('vm %s: is in affinity group %s of another tenant', v.id, g.id) FROM affinity_vm m JOIN vm v ON "
    "v.id ="
    " m.vm_id JOIN affinity g ON g.id = m.affinity_id WHERE v.tenant_id <> g.tenant_id",
    "SELECT printf('vm %s: failed and is in affinity group %s', v.id, m.affinity_id) FROM affinity_vm m JOIN vm v ON "
    "v.id"
    " = m.vm_id WHERE v.state = :vm_failed AND v.id NOT IN (SELECT object_id FROM pending_undo)",
    "SELECT printf('rule %s: %d rules say the same', min(id), count(*)) FROM rule GROUP BY kind, group_id, nic_id,"
    " direction, proto, srcs, dsts, ports HAVING count(*) > 1",

    "SELECT printf('snapshot %s: has no end and no open job', s.id) FROM snapshot s WHERE s.ready = 0 AND "
    "NOT " OPEN_JOB_ON("s.vm_id") " AND NOT EXISTS (SELECT 1 FROM pending_undo p WHERE p.subject_id = s.id)",
    "SELECT printf('snapshot %s: is of tenant %s, its VM is not', s.id, s.tenant_id) FROM snapshot s JOIN vm v"
    " ON v.id = s.vm_id WHERE v.tenant_id <> s.tenant_id",
    "SELECT printf('vm %s: %d snapshots are current', vm_id, count(*)) FROM snapshot WHERE current GROUP BY vm_id"
    " HAVING count(*) > 1",
    "SELECT printf('snapshot %s: its parent %s is none of its VM', s.id, s.parent) FROM snapshot s WHERE s.parent <> ''"
    " AND NOT EXISTS (SELECT 1 FROM snapshot p WHERE p.id = s.parent AND p.vm_id = s.vm_id)",
    "WITH RECURSIVE tree(id) AS (SELECT id FROM snapshot WHERE parent NOT IN (SELECT id FROM snapshot) UNION SELECT"
    " s.id FROM tree t JOIN snapshot s ON s.parent = t.id) SELECT printf('snapshot %s: stems from itself', id)"
    " FROM snapshot WHERE id NOT IN tree",
    "SELECT printf('snapshot %s: holds disk %s, which its VM does not have', s.id, h.disk_id) FROM snapshot s"
    " JOIN snapshot_disk h ON h.snapshot_id = s.id WHERE NOT EXISTS (SELECT 1 FROM disk d WHERE d.id = h.disk_id"
    " AND d.vm_id = s.vm_id)",
    "SELECT printf('vm %s: failed and has snapshot %s', v.id, s.id) FROM vm v JOIN snapshot s ON s.vm_id = v.id"
    " WHERE v.state = :vm_failed AND v.id NOT IN (SELECT object_id FROM pending_undo)",

    "SELECT printf('secret %s.%s: belongs to nobody', owner_id, kind) FROM secret WHERE NOT (" SV_SQL_OWNED ")",

    "SELECT printf('slb %s: is of tenant %s, its router of another', b.id, b.tenant_id) FROM slb b JOIN router r ON "
    "r.id ="
    " b.router_id WHERE r.tenant_id <> b.tenant_id",
    "SELECT printf('slb %s: outer address %d is not its tenant''s', b.id, b.ip) FROM slb b WHERE b.outside AND NOT "
    "EXISTS"
    " (SELECT 1 FROM outer_ip o WHERE o.ip = b.ip AND o.tenant_id = b.tenant_id)",
    "SELECT printf('slb %s: has address %d for itself, and slb %s is there', b.id, b.ip, o.id) FROM slb b JOIN slb o ON"
    " o.ip = b.ip AND o.id <> b.id WHERE b.outside AND o.outside AND b.own",
    "SELECT printf('slb %s: mapping %s has its address or port', b.id, n.id) FROM slb b JOIN nat n ON n.outer_ip = b.ip"
    " WHERE b.outside AND (b.own OR n.proto = 0 OR (n.proto IN (1 + (b.proto = 1), 3) AND n.outer_port = b.port))",
    "SELECT printf('slb %s: address %d is not a host address of vpc %s', b.id, b.ip, v.id) FROM slb b JOIN vpc v ON "
    "v.id ="
    " b.vpc_id WHERE b.ip NOT BETWEEN v.base + 2 AND v.base + (1 << (32 - v.prefix)) - 2",
    "SELECT printf('slb %s: NIC %s has its address', b.id, n.id) FROM slb b JOIN nic n ON n.vpc_id = b.vpc_id AND n.ip "
    "="
    " b.ip",
    "SELECT printf('slb %s: its address %d is free', b.id, b.ip) FROM slb b WHERE (SELECT base FROM free_range WHERE "
    "space"
    " = b.vpc_id AND last >= b.ip ORDER BY last LIMIT 1) <= b.ip",
    "SELECT printf('slb %s: its router has no leg in vpc %s', b.id, b.vpc_id) FROM slb b WHERE b.vpc_id IS NOT NULL AND"
    " NOT EXISTS (SELECT 1 FROM router_leg l WHERE l.vpc_id = b.vpc_id AND l.router_id = b.router_id)",
    "SELECT printf('slb %s: is %s https and has %s certificate', b.id, iif(b.proto = 3, 'of', 'not of'), "
    "iif(b.cert_ends,"
    " 'a', 'no')) FROM slb b WHERE (b.proto = 3) <> (b.cert_ends <> 0) OR (b.proto = 3) <> EXISTS (SELECT 1 FROM "
    "secret s"
    " WHERE s.owner_id = b.id AND s.kind = 'cert')",
    "SELECT printf('slb node %s: is not of the tenant of its balancer or its NIC', s.id) FROM slb_node s JOIN slb b ON "
    "b.id"
    " = s.slb_id JOIN nic n ON n.id = s.nic_id WHERE b.tenant_id <> s.tenant_id OR n.tenant_id <> s.tenant_id",
    "SELECT printf('slb node %s: its router has no leg in vpc %s', s.id, n.vpc_id) FROM slb_node s JOIN slb b ON b.id ="
    " s.slb_id JOIN nic n ON n.id = s.nic_id WHERE NOT EXISTS (SELECT 1 FROM router_leg l WHERE l.vpc_id = n.vpc_id AND"
    " l.router_id = b.router_id)",

    "SELECT printf('backup %s: is being made and has no open job', b.id) FROM backup b WHERE b.state = :backup_making"
    " AND NOT EXISTS (SELECT 1 FROM job j WHERE j.sarg = b.id AND j.sarg <> '' AND j.result IN (:job_running,"
    " :job_queued)) AND NOT EXISTS (SELECT 1 FROM pending_undo p WHERE p.subject_id = b.id)",
    "SELECT printf('backup %s: has %d boot disks', b.id, b.n) FROM (SELECT id, (SELECT coalesce(sum(boot), 0) FROM"
    " backup_disk WHERE backup_id = backup.id) AS n FROM backup) b WHERE b.n <> 1",
    "SELECT printf('backup %s: disk %s has no size or checksum', b.id, d.target) FROM backup b JOIN backup_disk d"
    " ON d.backup_id = b.id WHERE b.state <> :backup_making AND (d.bytes <= 0 OR length(d.sha256) <> 64)",

    "SELECT printf('job_count of %s: is %d, there are %d jobs', c.tenant_id, sum(c.kept), sum(c.counted)) FROM (SELECT"
    " tenant_id, jobs AS kept, 0 AS counted FROM job_count UNION ALL SELECT tenant_id, 0, count(*) FROM job GROUP BY"
    " tenant_id) c GROUP BY c.tenant_id HAVING sum(c.kept) <> sum(c.counted)",
    "SELECT printf('job_count of %s: open is %d, %d jobs are', c.tenant_id, c.open, c.n) FROM (SELECT tenant_id, open,"
    " (SELECT count(*) FROM job WHERE tenant_id = job_count.tenant_id AND result IN (:job_running, :job_queued)) AS n"
    " FROM job_count) c WHERE c.open <> c.n",
    "SELECT printf('job %s: result %d is unknown', id, result) FROM job WHERE result NOT BETWEEN 0 AND :job_last",
    "SELECT printf('job %s: ended without a time', id) FROM job WHERE result NOT IN (:job_running, :job_queued)"
    " AND ended = 0",
    "SELECT printf('job %s: is open and has a time of ending', id) FROM job WHERE result IN (:job_running, :job_queued)"
    " AND ended <> 0",
    "SELECT printf('pending undo of job %s: there is no such job that ended otherwise than done', p.job_id) FROM"
    " pending_undo p WHERE NOT EXISTS (SELECT 1 FROM job j WHERE j.id = p.job_id AND j.result NOT IN (:job_done,"
    " :job_running, :job_queued))",
    "SELECT printf('pending undo of job %s: job %s, which is to finish it, is not open', p.job_id, p.finisher) FROM"
    " pending_undo p WHERE p.finisher <> '' AND NOT EXISTS (SELECT 1 FROM job j WHERE j.id = p.finisher AND j.finishes"
    " = p.job_id AND j.result IN (:job_running, :job_queued))",
    "SELECT printf('job %s: is open to finish an undo that is not pending', j.id) FROM job j WHERE j.finishes <> '' AND"
    " j.result IN (:job_running, :job_queued) AND NOT EXISTS (SELECT 1 FROM pending_undo p WHERE p.finisher = j.id)",
    "SELECT printf('router %s: is being made or removed and has no open job', r.id) FROM router r WHERE r.state <>"
    " :router_ready AND NOT " JOB_OR_UNDO("r.id"),
    "SELECT printf('router %s: has %d instances', r.id, r.n) FROM (SELECT id, ha, (SELECT count(*) FROM router_node"
    " WHERE router_id = router.id) AS n FROM router) r WHERE r.n <> 1 + r.ha",
    "SELECT printf('router %s: is of tenant %s, its VPC %s is not', r.id, r.tenant_id, v.id) FROM router_leg l JOIN"
    " router r ON r.id = l.router_id JOIN vpc v ON v.id = l.vpc_id WHERE v.tenant_id <> r.tenant_id OR v.deleting",
    "SELECT printf('network unit %s: its kind %d is unknown', id, kind) FROM net_unit WHERE kind NOT BETWEEN 0 AND"
    " :unit_kinds - 1",
    "SELECT printf('network unit %s: failed without an error', id) FROM net_unit WHERE (failures > 0) <> (error <> '')",
    "SELECT printf('job %s: is being undone and has ended', id) FROM job WHERE undoing AND result NOT IN (:job_running,"
    " :job_queued)",
};
SV_SQL_TABLE(sv_sql_fsck, "fsck", sql);

struct check {
    void (*breach)(void *arg, const char *line);
    void *arg;
    unsigned count;
};

static void bind_names(sqlite3_stmt *st)
{
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int at = sqlite3_bind_parameter_index(st, names[i].name);
        if (at)
            sqlite3_bind_int(st, at, names[i].value);
    }
}

static enum sv_err run_check(struct sv_tx *tx, unsigned index, struct check *c, struct sv_error *err)
{
    SV_STMT st = sv_stmt(tx, &sv_sql_fsck, index);
    bool row;
    bind_names(st);
    for (;;) {
        enum sv_err code = sv_step(tx, st, &row, err);
        if (code != SV_OK || !row)
            return code;
        c->count++;
        c->breach(c->arg, sv_col_text(st, 0));
    }
}

/* One snapshot for all checks: what is committed meanwhile does not show as a breach. */
static enum sv_err run_checks(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    enum sv_err code = SV_OK;
    for (unsigned i = 0; code == SV_OK && i < sv_sql_fsck.count; i++)
        code = run_check(tx, i, arg, err);
    return code;
}

enum sv_err sv_db_fsck(struct sv_db *db, void (*breach)(void *arg, const char *line), void *arg, unsigned *ret_n,
                       struct sv_error *err)
{
    struct check c = {.breach = breach, .arg = arg};
    enum sv_err code = sv_db_read(db, run_checks, &c, err);
    if (code == SV_OK)
        *ret_n = c.count;
    return code;
}
