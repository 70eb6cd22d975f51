/* The invariants. Each is one query whose rows are the breaches, as lines for people. */
#include "db/internal.h"
#include "starvirt/store_catalog.h"
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
    "SELECT printf('vpc %s: address %d of nic %s is free', n.vpc_id, n.ip, n.id) FROM nic n JOIN free_range r ON "
    "r.space ="
    " n.vpc_id WHERE n.ip BETWEEN r.base AND r.last",
    "SELECT printf('free addresses of %s: there is no such VPC', space) FROM free_range WHERE space <> '' AND space "
    "NOT IN"
    " (SELECT id FROM vpc) GROUP BY space",
    "SELECT printf('subnets: %d addresses are taken or free, of 4294967296', n) FROM (SELECT (SELECT coalesce(sum(1 << "
    "(32"
    " - prefix)), 0) FROM vpc) + (SELECT coalesce(sum(last - base + 1), 0) FROM free_range WHERE space = '') AS n)"
    " WHERE n <> 4294967296",
    "SELECT printf('vpc %s: its subnet is free', v.id) FROM vpc v JOIN free_range r ON r.space = '' WHERE v.base <= "
    "r.last"
    " AND r.base < v.base + (1 << (32 - v.prefix))",
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
    "SELECT printf('lock of %s: job %s locks a %s that does not exist', l.object_id, j.id, j.object_type) FROM lock l"
    " JOIN job j ON j.id = l.job_id WHERE (j.object_type = 'vm' AND NOT EXISTS (SELECT 1 FROM vm WHERE id = "
    "l.object_id))"
    " OR (j.object_type = 'template' AND NOT EXISTS (SELECT 1 FROM template WHERE id = l.object_id))",
    "SELECT printf('vm %s: is being made and has no open job', v.id) FROM vm v WHERE v.state IN (:vm_building,"
    " :vm_cloning) AND NOT " OPEN_JOB_ON("v.id"),
    "SELECT printf('template %s: is being imported or deleted and has no open job', t.id) FROM template t WHERE t.state"
    " IN (:template_importing, :template_deleting) AND NOT " OPEN_JOB_ON("t.id"),

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
