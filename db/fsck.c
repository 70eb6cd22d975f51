/* The invariants. Each is one query whose rows are the breaches, as lines for people. */
#include "db/internal.h"
#include "starvirt/store_catalog.h"
#include "starvirt/store_copy.h"
#include "starvirt/store_job.h"
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
    {":job_running", SV_JOB_RUNNING},
    {":job_queued", SV_JOB_QUEUED},
    {":job_last", SV_JOB_CANCELLED},
};

#define KEPT_SUM(table, column, of, what)                                                                              \
    "SELECT printf('" table " %s: " column " is %d, its " of "s have %d', t.id, t." column ", s.v) FROM " table        \
    " t JOIN (SELECT a.id, (" what ") AS v FROM " table " a) s ON s.id = t.id WHERE t." column " <> s.v"
#define OPEN_JOB_ON(object)                                                                                            \
    "EXISTS (SELECT 1 FROM job j WHERE j.object_id = " object " AND j.result IN (:job_running, :job_queued))"

static const char *const sql[] = {
    "SELECT 'file: ' || quick_check FROM pragma_quick_check WHERE quick_check <> 'ok'",
    "SELECT printf('%s row %s: refers to a row of %s that does not exist', f.\"table\", coalesce(f.rowid, '?'), "
    "f.parent)"
    " FROM pragma_foreign_key_check f",

    KEPT_SUM("tenant", "used_vcpus", "VM",
             "SELECT coalesce(sum(vcpus), 0) FROM vm WHERE tenant_id = a.id AND state <> :vm_failed"),
    KEPT_SUM("tenant", "used_memory", "VM",
             "SELECT coalesce(sum(memory), 0) FROM vm WHERE tenant_id = a.id AND state <> :vm_failed"),
    KEPT_SUM("tenant", "used_storage", "disk", "SELECT coalesce(sum(size), 0) FROM disk WHERE tenant_id = a.id"),
    KEPT_SUM("tenant", "used_subnets", "VPC", "SELECT count(*) FROM vpc WHERE tenant_id = a.id"),
    KEPT_SUM("tenant", "vm_count", "VM", "SELECT count(*) FROM vm WHERE tenant_id = a.id"),
    KEPT_SUM("host", "used_vcpus", "VM",
             "SELECT coalesce(sum(vcpus), 0) FROM vm WHERE host_id = a.id AND state <> :vm_failed"),
    KEPT_SUM("host", "used_memory", "VM",
             "SELECT coalesce(sum(memory), 0) FROM vm WHERE host_id = a.id AND state <> :vm_failed"),
    KEPT_SUM("storage", "promised", "disk", "SELECT coalesce(sum(size), 0) FROM disk WHERE storage_id = a.id"),
    KEPT_SUM("template", "disks", "disk", "SELECT count(*) FROM disk WHERE template_id = a.id"),
    "SELECT printf('counter vm: is %d, there are %d VMs', v.kept, v.counted) FROM (SELECT"
    " coalesce((SELECT value FROM counter WHERE name = 'vm'), -1) AS kept, (SELECT count(*) FROM vm) AS counted) v"
    " WHERE v.kept <> v.counted",

    /* .0, .1 (gateway) and the last are not handed out */
    "SELECT printf('vpc %s: free_count is %d, should be %d', v.id, v.free_count, v.should) FROM (SELECT id, free_count,"
    " (1 << (32 - prefix)) - 3 - (SELECT count(*) FROM nic WHERE vpc_id = vpc.id) AS should FROM vpc) v"
    " WHERE v.free_count <> v.should",
    "SELECT printf('vpc %s: %d addresses are free, free_count is %d', v.id, v.free, v.free_count) FROM (SELECT id,"
    " free_count, (SELECT coalesce(sum(last - base + 1), 0) FROM free_range WHERE space = vpc.id) AS free FROM vpc) v"
    " WHERE v.free <> v.free_count",
    /* ranges do not overlap: the first that ends at or behind a number is the one that can hold it */
    "SELECT printf('vpc %s: address %d of nic %s is free', n.vpc_id, n.ip, n.id) FROM nic n WHERE (SELECT base FROM"
    " free_range WHERE space = n.vpc_id AND last >= n.ip ORDER BY last LIMIT 1) <= n.ip",
    "SELECT printf('free addresses of %s: there is no such VPC', space) FROM free_range WHERE space <> '' AND space "
    "NOT IN"
    " (SELECT id FROM vpc) GROUP BY space",
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

    "SELECT printf('vm %s: failed and owns disk %s', v.id, d.id) FROM vm v JOIN disk d ON d.vm_id = v.id"
    " WHERE v.state = :vm_failed",
    "SELECT printf('vm %s: failed and owns NIC %s', v.id, n.id) FROM vm v JOIN nic n ON n.vm_id = v.id"
    " WHERE v.state = :vm_failed",
    "SELECT printf('vm %s: failed and has host %s', id, host_id) FROM vm WHERE state = :vm_failed AND host_id IS NOT "
    "NULL",

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
    " IN (:template_importing, :template_deleting) AND NOT " OPEN_JOB_ON(
        "t.id") " AND NOT EXISTS (SELECT 1 FROM job j WHERE j.kind = 'template.create' AND j.sarg = t.id AND j.result "
                "IN"
                " (:job_running, :job_queued))",
    "SELECT printf('storage %s: is being added or removed and has no open job', s.id) FROM storage s WHERE NOT s.ready"
    " AND NOT " OPEN_JOB_ON("s.id"),
    "SELECT printf('host %s: has %d image directories', h.id, s.n) FROM host h JOIN (SELECT host_id, count(*) AS n FROM"
    " storage WHERE own GROUP BY host_id) s ON s.host_id = h.id WHERE s.n <> 1",
    "SELECT printf('disk %s: has a VM and is on storage %s, which is for none', d.id, s.id) FROM disk d JOIN storage s"
    " ON s.id = d.storage_id WHERE s.type = 'ceph' AND d.vm_id IS NOT NULL",
    "SELECT printf('disk %s: has neither a VM nor an open job nor a use', d.id) FROM disk d WHERE d.vm_id IS NULL AND"
    " d.use = '' AND NOT " OPEN_JOB_ON("d.id"),

    "SELECT printf('snapshot %s: has no end and no open job', s.id) FROM snapshot s WHERE s.ready = 0 AND "
    "NOT " OPEN_JOB_ON("s.vm_id"),
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
    " WHERE v.state = :vm_failed",

    "SELECT printf('backup %s: is being made and has no open job', b.id) FROM backup b WHERE b.state = :backup_making"
    " AND NOT EXISTS (SELECT 1 FROM job j WHERE j.sarg = b.id AND j.sarg <> '' AND j.result IN (:job_running,"
    " :job_queued))",
    "SELECT printf('backup %s: has %d boot disks', b.id, b.n) FROM (SELECT id, (SELECT coalesce(sum(boot), 0) FROM"
    " backup_disk WHERE backup_id = backup.id) AS n FROM backup) b WHERE b.n <> 1",
    "SELECT printf('backup %s: disk %s has no size or checksum', b.id, d.target) FROM backup b JOIN backup_disk d"
    " ON d.backup_id = b.id WHERE b.state <> :backup_making AND (d.bytes <= 0 OR length(d.sha256) <> 64)",

    "SELECT printf('job_count of %s: is %d, there are %d jobs', c.tenant_id, sum(c.kept), sum(c.counted)) FROM (SELECT"
    " tenant_id, jobs AS kept, 0 AS counted FROM job_count UNION ALL SELECT tenant_id, 0, count(*) FROM job GROUP BY"
    " tenant_id) c GROUP BY c.tenant_id HAVING sum(c.kept) <> sum(c.counted)",
    "SELECT printf('job %s: result %d is unknown', id, result) FROM job WHERE result NOT BETWEEN 0 AND :job_last",
    "SELECT printf('job %s: ended without a time', id) FROM job WHERE result NOT IN (:job_running, :job_queued)"
    " AND ended = 0",
    "SELECT printf('job %s: is open and has a time of ending', id) FROM job WHERE result IN (:job_running, :job_queued)"
    " AND ended <> 0",
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
