/* fsck: silent on a sound database, one line for each breach planted, and a breach planted for each check. */
#include <fnmatch.h>

#include "db_fixture.h"
#include "starvirt/store_catalog.h"
#include "starvirt/store_job.h"
#include "starvirt/store_rule.h"
#include "starvirt/store_vm.h"

/* The numbers of the script below. */
_Static_assert(SV_VM_BUILDING == 0 && SV_VM_STOPPED == 2 && SV_VM_FAILED == 6, "states of VMs");
_Static_assert(SV_TEMPLATE_IMPORTING == 0 && SV_TEMPLATE_READY == 1 && SV_TEMPLATE_DELETING == 3,
               "states of templates");
_Static_assert(SV_RULE_GATE == 0 && SV_RULE_NIC == 1 && SV_RULE_GROUP == 2, "kinds of rules");
_Static_assert(SV_JOB_DONE == 0 && SV_JOB_RUNNING == 2 && SV_JOB_QUEUED == 3, "results of jobs");

/* A tenant with a stopped VM (disk, two NICs), one being built, a failed one; an image being imported; an
 * ended job and a tenant without anything. */
static const char sound[] =
    "INSERT INTO tenant(id, name, descr, is_admin, created, quota_vcpus, quota_memory, quota_storage, quota_subnets,"
    " quota_ips, used_vcpus, used_memory, used_storage, used_subnets, vm_count)"
    " VALUES('t1', 'a', '', 0, 1, -1, -1, -1, -1, -1, 3, 300, 1000, 1, 3), ('t2', 'b', '', 0, 1, -1, -1, -1, -1, -1,"
    " 0, 0, 0, 0, 0);"
    "UPDATE counter SET value = 3 WHERE name = 'vm';"
    "INSERT INTO host(id, name, descr, uri, driver, idx, created, used_vcpus, used_memory)"
    " VALUES('h1', 'h', '', 'sim://', 'sim', 0, 1, 3, 300);"
    "INSERT INTO storage(id, host_id, name, descr, type, location, created, own, promised) VALUES('s1', 'h1', 's', '',"
    " 'dir', '/s', 1, 1, 1000), ('s2', 'h1', 'c', '', 'ceph', 'c', 2, 0, 0);"
    "INSERT INTO template(id, tenant_id, name, descr, os, format, source, md5, sha256, size, virtual_size, state, "
    "created)"
    " VALUES('i1', 't1', 'i', '', '', 'raw', '', '', '', 1, 1, 1, 1), ('i2', NULL, 'j', '', '', 'raw', '', '', '', 1, "
    "1, 0, 1);"
    "INSERT INTO vm(id, tenant_id, host_id, template_id, name, descr, model, model_type, state, vcpus, memory, ip, "
    "nested,"
    " created) VALUES('v1', 't1', 'h1', 'i1', 'v', '', '', '', 2, 1, 100, 167772162, 0, 1),"
    " ('v2', 't1', 'h1', '', 'v', '', '', '', 0, 2, 200, 0, 0, 2), ('v3', 't1', NULL, '', 'v', '', '', '', 6, 4, 400, "
    "0, 0, 3);"
    "INSERT INTO disk(id, tenant_id, vm_id, storage_id, template_id, name, descr, target, size, boot, ready, created)"
    " VALUES('d1', 't1', 'v1', 's1', 'i1', 'd', '', 'vda', 1000, 1, 1, 1);"
    "UPDATE template SET disks = 1 WHERE id = 'i1';"
    /* 10.0.0.0/24: 256 - 3 - 2 = 251 */
    "INSERT INTO vpc(id, tenant_id, name, descr, base, prefix, free_count, created)"
    " VALUES('p1', 't1', 'p', '', 167772160, 24, 251, 1);"
    "DELETE FROM free_range; INSERT INTO free_range(space, base, last) VALUES('', 0, 167772159), ('', 167772416, "
    "4294967295),"
    " ('p1', 167772163, 167772413);"
    "INSERT INTO nic(id, tenant_id, vm_id, vpc_id, name, mac, ip, created)"
    " VALUES('n1', 't1', 'v1', 'p1', 'n', 'm1', 167772162, 1), ('n2', 't1', 'v1', 'p1', 'n', 'm2', 167772414, 2);"
    "INSERT INTO job(id, tenant_id, object_id, host_id, kind, object_type, object_name, iarg0, iarg1, sarg, result, "
    "created,"
    " ended) VALUES('j1', 't1', 'v2', 'h1', 'vm.create', 'vm', 'v', 0, 0, '', 2, 1, 0),"
    " ('j2', 't1', 'i2', '', 'template.import', 'template', 'j', 0, 0, '', 3, 1, 0),"
    " ('j3', 't1', 'v1', 'h1', 'vm.stop', 'vm', 'v', 0, 0, '', 0, 1, 5);"
    "INSERT INTO job_count VALUES('t1', 3, 2);"
    "INSERT INTO lock VALUES('v2', 'j1', 1), ('i2', 'j2', 1);"
    /* a chain of two, one that is being taken, one that broke */
    "INSERT INTO snapshot(id, tenant_id, vm_id, parent, name, descr, shape, memory, ready, current, created)"
    " VALUES('s1', 't1', 'v1', '', 's', '', 'off', 0, 1, 0, 1), ('s2', 't1', 'v1', 's1', 's', '', 'off', 0, 1, 1, 2),"
    " ('s3', 't1', 'v2', '', 's', '', 'off', 0, 0, 0, 3), ('s4', 't1', 'v1', 's1', 's', '', 'off', 0, 2, 0, 4);"
    "INSERT INTO host_network VALUES('n1', 'eth1', '', 10, 1, 1), ('n2', 'eth1', 'blue', 0, 1, 2);"
    /* a group of one rule, two of its NIC */
    "INSERT INTO secgroup VALUES('g1', 't1', 'g', '', 1);"
    "INSERT INTO secgroup_nic(group_id, nic_id) VALUES('g1', 'n1');"
    "INSERT INTO rule VALUES('r1', 't1', 2, NULL, 'g1', 1, 1, '', '', '80', '', 1),"
    " ('r2', 't1', 1, 'n1', NULL, 1, 0, '', '', '', '', 2), ('r3', 't1', 0, 'n1', NULL, 1, 0, '', '', '', '', 3);"
    /* three outer addresses: the router's own, one with a mapping, one that is free */
    "INSERT INTO pool VALUES('o1', 1, 'o', '', 1010, 1012, 1001, 24, 2, 1);"
    "INSERT INTO free_range(space, base, last) VALUES('o1', 1012, 1012);"
    "INSERT INTO router(id, tenant_id, name, descr, ha, state, created) VALUES('g1', 't1', 'r', '', 0, 1, 1);"
    "INSERT INTO router_node VALUES('g1', 'g1', 0);"
    "INSERT INTO router_leg VALUES('p1', 'g1', 0, 1);"
    "INSERT INTO outer_ip VALUES(1010, 'o1', 't1', 'g1', 1), (1011, 'o1', 't1', '', 1);"
    "UPDATE tenant SET used_ips = 2 WHERE id = 't1';"
    "INSERT INTO nat VALUES('m1', 't1', 'n1', 1011, 1, 80, 80, '', '', 1);";

/* A balancer at an outer address beside a mapping, with a node; one inside at an address of its own. */
#define SLB                                                                                                            \
    "INSERT INTO slb(id, tenant_id, router_id, vpc_id, name, descr, enabled, proto, ip, own, port, real_port,"         \
    " policy, url_path, check_path, retries, check_every, check_timeout, idle_timeout, max_connections,"               \
    " cert_ends, created) VALUES"
#define SLB_REST ", 0, 0, '', '', 3, 5, 5, 60, 0, 0, 1);"
#define OUTER                                                                                                          \
    SLB "('b1', 't1', 'g1', NULL, 'b', '', 1, 0, 1011, 0, 81" SLB_REST                                                 \
        "INSERT INTO slb_node VALUES('e1', 't1', 'b1', 'n1', 'e', '', 1, 80, 1, 1);"
#define INNER                                                                                                          \
    SLB "('b2', 't1', 'g1', 'p1', 'b', '', 1, 0, 167772163, 0, 80" SLB_REST                                            \
        "UPDATE vpc SET free_count = free_count - 1; UPDATE free_range SET base = base + 1 WHERE space = 'p1';"
#define THEIR_ROUTER                                                                                                   \
    "INSERT INTO router(id, tenant_id, name, descr, ha, state, created) VALUES('g2', 't2', 'r', '', 0, 1, 1);"         \
    "INSERT INTO router_node VALUES('g2', 'g2', 0);"
/* Of a VM that is gone, with its one disk. */
#define BACKUP                                                                                                         \
    "INSERT INTO backup VALUES('k1', 't1', 'vx', 'v', NULL, 'k', '', 1, 0, 1, 100, 0, 1);"                             \
    "INSERT INTO backup_disk VALUES('k1', 'vda', 'dx', 1, 1000, 70, printf('%.64c', 'a'));"                            \
    "UPDATE tenant SET used_images = used_images + 70 WHERE id = 't1';"

struct planted {
    const char *sql;
    const char *line; /* expected, its beginning */
};

/* As sound as the database they are added to. */
static const char *const additions[] = {(OUTER INNER), (OUTER), (INNER), (THEIR_ROUTER), (BACKUP)};

static const struct planted breaches[] = {
    {"UPDATE tenant SET used_vcpus = 9 WHERE id = 't1'", "tenant t1: used_vcpus is 9, its VMs have 3"},
    {"UPDATE tenant SET used_memory = 9 WHERE id = 't2'", "tenant t2: used_memory is 9, its VMs have 0"},
    {"UPDATE tenant SET used_storage = 9 WHERE id = 't1'", "tenant t1: used_storage is 9, its disks have 1000"},
    {"UPDATE tenant SET used_subnets = 0 WHERE id = 't1'", "tenant t1: used_subnets is 0, its VPCs have 1"},
    {"UPDATE tenant SET vm_count = 2 WHERE id = 't1'", "tenant t1: vm_count is 2, its VMs have 3"},
    {"UPDATE counter SET value = 4 WHERE name = 'vm'", "counter vm: is 4, there are 3 VMs"},
    {"DELETE FROM counter", "counter vm: is -1, there are 3 VMs"},
    {"UPDATE host SET used_vcpus = 4", "host h1: used_vcpus is 4, its VMs have 3"},
    {"UPDATE host SET used_memory = 4", "host h1: used_memory is 4, its VMs have 300"},
    {"UPDATE vpc SET free_count = 250; UPDATE free_range SET last = last - 1 WHERE space = 'p1'",
     "vpc p1: free_count is 250, should be 251"},
    {"UPDATE free_range SET last = last - 1 WHERE space = 'p1'", "vpc p1: 250 addresses are free, free_count is 251"},
    {"UPDATE free_range SET base = base - 1, last = last - 1 WHERE space = 'p1'",
     "vpc p1: address 167772162 of nic n1 is free"},
    {"INSERT INTO free_range(space, base, last) VALUES('px', 1, 2)", "free addresses of px: there is no such VPC"},
    {"DELETE FROM free_range WHERE base = 0", "subnets: 4127195136 addresses are taken or free, of 4294967296"},
    {"UPDATE free_range SET last = last + 1 WHERE base = 0; UPDATE free_range SET base = base + 1 WHERE base = "
     "167772416",
     "vpc p1: its subnet is free"},
    {"UPDATE nic SET ip = 167772161 WHERE id = 'n2'", "nic n2: address 167772161 is not a host address of vpc p1"},
    {"UPDATE nic SET ip = 167772160 WHERE id = 'n2'", "nic n2: address 167772160 is not a host address of vpc p1"},
    {"UPDATE nic SET ip = 167772415 WHERE id = 'n2'", "nic n2: address 167772415 is not a host address of vpc p1"},
    {"UPDATE vm SET ip = 167772414 WHERE id = 'v1'", "vm v1: ip is 167772414, its first NIC has 167772162"},
    {"UPDATE vm SET ip = 1 WHERE id = 'v2'", "vm v2: ip is 1, its first NIC has 0"},
    {"UPDATE vpc SET deleting = 1, free_count = 252; DELETE FROM nic WHERE id = 'n2';"
     " UPDATE free_range SET last = 167772414 WHERE space = 'p1'; DELETE FROM router_leg; DELETE FROM nat;"
     " DELETE FROM outer_ip WHERE ip = 1011; UPDATE free_range SET base = 1011 WHERE space = 'o1';"
     " UPDATE pool SET used = 1; UPDATE tenant SET used_ips = 1 WHERE id = 't1'",
     "vpc p1: is being deleted and has NIC n1"},
    {"UPDATE disk SET vm_id = 'v3'", "vm v3: failed and owns disk d1"},
    {"UPDATE nic SET vm_id = 'v3' WHERE id = 'n2'; UPDATE vm SET ip = 167772414 WHERE id = 'v3'",
     "vm v3: failed and owns NIC n2"},
    {"UPDATE vm SET host_id = 'h1' WHERE id = 'v3'", "vm v3: failed and has host h1"},
    {"INSERT INTO affinity VALUES('f1', 't2', 'f', '', 0, 0, 1); INSERT INTO affinity_vm VALUES('v1', 'f1')",
     "vm v1: is in affinity group f1 of another tenant"},
    {"INSERT INTO affinity VALUES('f1', 't1', 'f', '', 0, 0, 1); INSERT INTO affinity_vm VALUES('v3', 'f1')",
     "vm v3: failed and is in affinity group f1"},
    {"INSERT INTO lock VALUES('v1', 'j3', 1)", "lock of v1: its job j3 is not open"},
    {"INSERT INTO lock VALUES('v1', 'jx', 1)", "lock of v1: its job jx is not open"},
    {"INSERT INTO lock VALUES('vx', 'j1', 1)", "lock of vx: job j1 locks a vm that does not exist"},
    {"INSERT INTO lock VALUES('v1', 'j2', 1)", "lock of v1: job j2 locks a template that does not exist"},
    {"UPDATE vm SET state = 1 WHERE id = 'v1'", "vm v1: is being made and has no open job"},
    {"UPDATE template SET state = 3 WHERE id = 'i1'", "template i1: is being imported or deleted and has no open job"},
    {"UPDATE job_count SET jobs = 4", "job_count of t1: is 4, there are 3 jobs"},
    {"DELETE FROM job_count", "job_count of t1: is 0, there are 3 jobs"},
    {"INSERT INTO job_count VALUES('t2', 1, 0)", "job_count of t2: is 1, there are 0 jobs"},
    {"UPDATE job_count SET open = 1", "job_count of t1: open is 1, 2 jobs are"},
    {"UPDATE job SET result = 8 WHERE id = 'j3'", "job j3: result 8 is unknown"},
    {"UPDATE job SET ended = 0 WHERE id = 'j3'", "job j3: ended without a time"},
    {"UPDATE job SET ended = 7 WHERE id = 'j1'", "job j1: is open and has a time of ending"},
    {"UPDATE job SET undoing = 1 WHERE id = 'j3'", "job j3: is being undone and has ended"},
    {"DELETE FROM router_node", "router g1: has 0 instances"},
    {"UPDATE router SET state = 0", "router g1: is being made or removed and has no open job"},
    {"INSERT INTO net_unit VALUES(4, 'u1', '', 1, 0, 0, '', '', 0)", "network unit u1: its kind 4 is unknown"},
    {"INSERT INTO net_unit VALUES(3, 'u1', '', 1, 2, 0, '', '', 0)", "network unit u1: failed without an error"},
    {"INSERT INTO pending_undo VALUES('j1', 'v1', 'v1', '', '', 1, 0, 0, 0)",
     "pending undo of job j1: there is no such"},
    {"UPDATE job SET result = 1 WHERE id = 'j3'; INSERT INTO pending_undo VALUES('j3', 'v1', 'v1', '', 'j1', 1, 0, 0, "
     "0)",
     "pending undo of job j3: job j1, which is to finish it, is not open"},
    {"UPDATE job SET finishes = 'j3' WHERE id = 'j1'", "job j1: is open to finish an undo that is not pending"},
    {"UPDATE storage SET promised = 1 WHERE id = 's1'", "storage s1: promised is 1, its disks have 1000"},
    {"UPDATE storage SET ready = 0 WHERE id = 's2'", "storage s2: is being added or removed and has no open job"},
    {"UPDATE host_network SET ready = 0 WHERE id = 'n2'", "network n2: is being made or removed and has no open job"},
    {"UPDATE host_network SET netns = '' WHERE id = 'n2'", "network n1: its device eth1 also carries a flat network"},
    {"UPDATE host_network SET vlan = 4095 WHERE id = 'n1'", "network n1: has tag 4095"},
    {"UPDATE storage SET own = 1 WHERE id = 's2'", "host h1: has 2 image directories"},
    {"UPDATE disk SET storage_id = 's2'; UPDATE storage SET promised = 1000 - promised",
     "disk d1: has a VM and is on storage s2, which is for none"},
    {"UPDATE disk SET vm_id = NULL", "disk d1: has neither a VM nor an open job nor a use"},
    {"UPDATE template SET disks = 2 WHERE id = 'i1'", "template i1: disks is 2, its disks have 1"},
    {"UPDATE disk SET template_id = 'ix'; UPDATE template SET disks = 0 WHERE id = 'i1'",
     "disk row 1: refers to a row of template that does not exist"},
    {"UPDATE rule SET kind = 1 WHERE id = 'r1'", "rule r1: is of kind 1 and has NIC - and group g1"},
    {"UPDATE rule SET nic_id = 'n2' WHERE id = 'r1'", "rule r1: is of kind 2 and has NIC n2 and group g1"},
    {"UPDATE rule SET tenant_id = 't2' WHERE id = 'r2'", "rule r2: is of tenant t2, its NIC or group is not"},
    {"UPDATE secgroup SET tenant_id = 't2'; UPDATE rule SET tenant_id = 't2' WHERE id = 'r1'",
     "NIC n1: is in group g1 of another tenant"},
    {"INSERT INTO rule VALUES('r4', 't1', 2, NULL, 'g1', 1, 1, '', '', '80', 'x', 1)", "rule r1: 2 rules say the same"},
    {"UPDATE tenant SET used_ips = 1 WHERE id = 't1'", "tenant t1: used_ips is 1, its outer IPs have 2"},
    {"UPDATE pool SET used = 1, last = 1011", "pool o1: used is 1, its outer IPs have 2"},
    {"DELETE FROM free_range WHERE space = 'o1'", "pool o1: 0 of its addresses are free, should be 1"},
    {"UPDATE free_range SET base = 1011, last = 1011 WHERE space = 'o1'",
     "pool o1: its address 1011, which tenant t1 has, is free"},
    {"UPDATE pool SET first = 1011, last = 1013", "outer address 1010: not one of pool o1"},
    {"INSERT INTO pool VALUES('o2', 1, 'o', '', 1012, 1012, 1001, 24, 0, 1); INSERT INTO free_range(space, base, last)"
     " VALUES('o2', 1012, 1012)",
     "pool o1: overlaps pool o2"},
    {"DELETE FROM nat", "outer address 1011 of tenant t1: nothing uses it"},
    {THEIR_ROUTER "UPDATE outer_ip SET router_id = 'g2' WHERE ip = 1010",
     "outer address 1010: is router g2's own, which is not of tenant t1"},
    {"UPDATE nat SET tenant_id = 't2'", "mapping m1: is of tenant t2, its NIC or its outer address is not"},
    {"INSERT INTO nat VALUES('m2', 't1', 'n2', 1011, 3, 80, 80, '', '', 1)", "mapping m1: maps what mapping m2 maps"},
    {"INSERT INTO nat VALUES('m2', 't1', 'n2', 1011, 0, 0, 0, '', '', 1)", "mapping m1: maps what mapping m2 maps"},
    {"DELETE FROM router_leg", "mapping m1: VPC p1 has no leg on the router of its tenant"},
    {"UPDATE snapshot SET ready = 0 WHERE id = 's2'", "snapshot s2: has no end and no open job"},
    {"UPDATE snapshot SET tenant_id = 't2' WHERE id = 's2'", "snapshot s2: is of tenant t2, its VM is not"},
    {"UPDATE snapshot SET current = 1 WHERE id = 's1'", "vm v1: 2 snapshots are current"},
    {"UPDATE snapshot SET parent = 's9' WHERE id = 's2'", "snapshot s2: its parent s9 is none of its VM"},
    {"UPDATE snapshot SET parent = 's1' WHERE id = 's3'", "snapshot s3: its parent s1 is none of its VM"},
    {"UPDATE snapshot SET parent = 's2' WHERE id = 's2'", "snapshot s2: stems from itself"},
    {"INSERT INTO snapshot_disk VALUES('s3', 'd1', 1)", "snapshot s3: holds disk d1, which its VM does not have"},
    {"UPDATE snapshot SET vm_id = 'v3', ready = 1 WHERE id = 's3'", "vm v3: failed and has snapshot s3"},
    {OUTER THEIR_ROUTER "DELETE FROM nat; DELETE FROM slb_node; UPDATE router_leg SET router_id = 'g2'",
     "router g2: is of tenant t2, its VPC p1 is not"},
    {OUTER THEIR_ROUTER "DELETE FROM slb_node; UPDATE slb SET router_id = 'g2'",
     "slb b1: is of tenant t1, its router of another"},
    {OUTER "UPDATE slb SET ip = 1012", "slb b1: outer address 1012 is not its tenant's"},
    {OUTER SLB "('b3', 't1', 'g1', NULL, 'b', '', 1, 0, 1011, 1, 82" SLB_REST "DELETE FROM nat",
     "slb b3: has address 1011 for itself, and slb b1 is there"},
    {OUTER "UPDATE slb SET own = 1", "slb b1: mapping m1 has its address or port"},
    {OUTER "UPDATE slb SET port = 80", "slb b1: mapping m1 has its address or port"},
    {OUTER "UPDATE slb SET port = 80, proto = 1; UPDATE nat SET proto = 3",
     "slb b1: mapping m1 has its address or port"},
    {OUTER "UPDATE nat SET proto = 0, outer_port = 0, inner_port = 0", "slb b1: mapping m1 has its address or port"},
    {INNER "UPDATE slb SET ip = 167772161", "slb b2: address 167772161 is not a host address of vpc p1"},
    {INNER "UPDATE slb SET ip = 167772415", "slb b2: address 167772415 is not a host address of vpc p1"},
    {INNER "UPDATE slb SET ip = 167772162", "slb b2: NIC n1 has its address"},
    {INNER "UPDATE slb SET ip = 167772200", "slb b2: its address 167772200 is free"},
    {OUTER INNER "DELETE FROM nat; DELETE FROM slb_node; DELETE FROM router_leg",
     "slb b2: its router has no leg in vpc p1"},
    {OUTER "UPDATE slb SET proto = 3", "slb b1: is of https and has no certificate"},
    {OUTER "UPDATE slb SET proto = 3, cert_ends = 5", "slb b1: is of https and has a certificate"}, /* no secret */
    {OUTER "UPDATE slb SET cert_ends = 5", "slb b1: is not of https and has a certificate"},
    {OUTER "UPDATE slb_node SET tenant_id = 't2'", "slb node e1: is not of the tenant of its balancer or its NIC"},
    {OUTER "DELETE FROM nat; DELETE FROM router_leg", "slb node e1: its router has no leg in vpc p1"},
    {"INSERT INTO secret VALUES('b1', 'cert', x'00')", "secret b1.cert: belongs to nobody"},
    {BACKUP "UPDATE backup SET state = 0", "backup k1: is being made and has no open job"},
    {BACKUP "UPDATE backup_disk SET boot = 0", "backup k1: has 0 boot disks"},
    {BACKUP "UPDATE backup_disk SET sha256 = ''", "backup k1: disk vda has no size or checksum"},
    {BACKUP "UPDATE tenant SET used_images = 0", "tenant t1: used_images is 0, its templates and backups have 70"},
    {"PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'vm_model'", "file: "},
};

/* On a connection of its own: the database's would refuse some of it. */
static void plant(const struct fixture *f, const char *sql)
{
    sqlite3 *db = NULL;
    char *why = NULL;
    SV_AUTOFREE char *path = sv_asprintf("%s/starvirt.db", f->dir);
    CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        check_failed(__FILE__, __LINE__, "%s: %s", sql, why);
    CHECK_INT(sqlite3_close(db), SQLITE_OK);
}

static void add_line(void *arg, const char *line)
{
    sv_buf_printf(arg, "%s\n", line);
}

static unsigned fsck(const struct fixture *f, struct sv_buf *lines)
{
    struct sv_error err;
    unsigned n = 0;
    sv_buf_puts(lines, "");
    if (sv_db_fsck(f->db, add_line, lines, &n, &err) != SV_OK)
        check_failed(__FILE__, __LINE__, "fsck: %s", err.arg[0]);
    return n;
}

static void open_read_only(struct fixture *f)
{
    const struct sv_db_options opt = {.read_only = true};
    CHECK_INT(sv_db_open(f->dir, &opt, &f->db, NULL), SV_OK);
}

static struct fixture sound_fixture(void)
{
    struct fixture f = fixture_new();
    write_sql(&f, sound);
    return f;
}

static void new_database_is_sound(void)
{
    struct fixture f = fixture_new();
    struct sv_buf lines = {0};
    CHECK_INT(fsck(&f, &lines), 0);
    CHECK_STR(lines.p, "");
    sv_buf_free(&lines);
    fixture_remove(&f);
}

static void sound_database_gives_no_line(void)
{
    struct fixture f = sound_fixture();
    struct sv_buf lines = {0};
    CHECK_INT(fsck(&f, &lines), 0);
    CHECK_STR(lines.p, "");
    fixture_close(&f);
    open_read_only(&f); /* as the command line does it */
    CHECK_INT(fsck(&f, &lines), 0);
    CHECK_STR(lines.p, "");
    sv_buf_free(&lines);
    fixture_remove(&f);
}

static void additions_are_sound(void)
{
    for (size_t i = 0; i < sizeof(additions) / sizeof(additions[0]); i++) {
        struct fixture f = sound_fixture();
        struct sv_buf lines = {0};
        write_sql(&f, additions[i]);
        CHECK_INT(fsck(&f, &lines), 0);
        CHECK_STR(lines.p, "");
        sv_buf_free(&lines);
        fixture_remove(&f);
    }
}

/* The first string of a check says what its lines look like. */
static void pattern_of(const char *sql, struct sv_buf *ret)
{
    for (const char *p = strchr(sql, '\'') + 1; *p != '\'' || p[1] == '\''; p++) {
        const bool value = *p == '%', quote = *p == '\'';
        sv_buf_add(ret, value ? "*" : p, 1);
        if (value || quote)
            p++;
    }
    sv_buf_puts(ret, "*");
}

static void mark(bool *found, const char *line)
{
    for (unsigned i = 0; i < sv_sql_fsck.count; i++) {
        struct sv_buf pattern = {0};
        pattern_of(sv_sql_fsck.sql[i], &pattern);
        found[i] = found[i] || fnmatch(pattern.p, line, FNM_NOESCAPE) == 0;
        sv_buf_free(&pattern);
    }
}

/* The file of a closed database, which is quicker to copy than to make. */
static void take_file(const struct fixture *f, struct sv_buf *ret)
{
    SV_AUTOFREE char *path = sv_asprintf("%s/starvirt.db", f->dir);
    FILE *from = fopen(path, "re");
    char chunk[64 * 1024];
    CHECK(from != NULL);
    for (size_t n; (n = fread(chunk, 1, sizeof(chunk), from)) > 0;)
        sv_buf_add(ret, chunk, n);
    CHECK_INT(fclose(from), 0);
}

static struct fixture fixture_of_file(const struct sv_buf *file)
{
    struct fixture f;
    fixture_dir(&f);
    SV_AUTOFREE char *path = sv_asprintf("%s/starvirt.db", f.dir);
    FILE *to = fopen(path, "we");
    CHECK(to && fwrite(file->p, 1, file->n, to) == file->n && fclose(to) == 0);
    return f;
}

static void check_breach(const struct sv_buf *file, const struct planted *p, bool *found)
{
    struct fixture f = fixture_of_file(file);
    struct sv_buf lines = {0};
    plant(&f, p->sql);
    open_read_only(&f);
    unsigned n = fsck(&f, &lines);
    if (n != 1 || strncmp(lines.p, p->line, strlen(p->line)) != 0)
        check_failed(__FILE__, __LINE__, "%s: %u lines: %s", p->sql, n, lines.p);
    mark(found, lines.p);
    sv_buf_free(&lines);
    fixture_remove(&f);
}

static void every_breach_is_named(void)
{
    struct fixture f = sound_fixture();
    struct sv_buf file = {0};
    bool found[200] = {false};
    fixture_close(&f);
    take_file(&f, &file);
    fixture_remove(&f);
    CHECK(sv_sql_fsck.count <= sizeof(found));
    for (size_t i = 0; i < sizeof(breaches) / sizeof(breaches[0]); i++)
        check_breach(&file, &breaches[i], found);
    for (unsigned i = 0; i < sv_sql_fsck.count; i++)
        if (!found[i])
            check_failed(__FILE__, __LINE__, "no breach is planted of: %s", sv_sql_fsck.sql[i]);
    sv_buf_free(&file);
}

CHECK_MAIN(T(new_database_is_sound), T(sound_database_gives_no_line), T(additions_are_sound), T(every_breach_is_named))
