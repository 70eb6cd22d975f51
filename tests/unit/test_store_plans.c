/* How SQLite would run each statement of the stores: no statement looks at a whole table, or sorts, unless the row
 * below says why it may. A statement that becomes slow without anybody's noticing is what this is about. */
#include "db/engine.h"
#include "db_fixture.h"

struct allowed {
    const char *store;
    const char *sql;  /* a part of the statement that says which */
    const char *plan; /* the step, whole */
    const char *why;
    bool used;
};

#define PAGE       "the order of the whole list: ends with the page"
#define SEARCH     "a search has to look at every name"
#define HOSTS      "a few hundred hosts at most"
#define STORAGES   "a few a host"
#define POOLS      "a few: each is a range of addresses that somebody gave the cloud"
#define OPEN       "an index of just the open jobs"
#define OPEN_UNITS "what the network engine has yet to take: a row each, and mostly none"
#define ALARMS     "as many as are kept, which is bounded"
#define HOOKS      "those of the options"
#define COMPARED   "held against all that the network engine has, once a minute on a thread of its own"

static struct allowed allowed[] = {
    {"host", "?1 IN (host_id, object_id)", "SCAN job USING INDEX job_open", OPEN},
    {"affinity", "FROM affinity WHERE ?1 = ''", "SCAN affinity USING INDEX affinity_order", SEARCH},
    {"affinity", "GROUP BY v.host_id", "USE TEMP B-TREE FOR GROUP BY", "the hosts of one group's VMs"},
    {"alarm", "SELECT count(*) FROM alarm", "SCAN alarm USING COVERING INDEX sqlite_autoindex_alarm_1", ALARMS},
    {"alarm", "GROUP BY type, level", "SCAN alarm USING INDEX alarm_open", "open alarms, for a scrape"},
    {"alarm", "GROUP BY type, level", "USE TEMP B-TREE FOR GROUP BY", "a few kinds"},
    {"alarm", "FROM net_unit u WHERE failures > 0", "SCAN u", OPEN_UNITS},
    {"alarm", "FROM pending_undo p", "SCAN p", "undos that failed: mostly none"},
    {"alarm", "FROM pending_undo p", "USE TEMP B-TREE FOR GROUP BY", "undos that failed: mostly none"},
    {"alarm", "INDEXED BY alarm_over", "SCAN alarm USING INDEX alarm_over", ALARMS},
    {"alarm", "FROM alarm_threshold", "SCAN alarm_threshold", "a row a kind"},
    {"alarm_delivery", "FROM alarm_hook ORDER BY url",
     "SCAN alarm_hook USING COVERING INDEX sqlite_autoindex_alarm_hook_1", HOOKS},
    {"alarm_delivery", "GROUP BY hook", "SCAN alarm_delivery USING COVERING INDEX alarm_delivery_hook",
     "what hooks have yet to be told, for a scrape"},
    {"alarm_delivery", "SELECT url FROM alarm_hook", "SCAN alarm_hook", HOOKS},
    {"alarm_delivery", "DELETE FROM alarm_delivery WHERE hook NOT IN", "SCAN alarm_delivery", "at a start, once"},
    {"engine", "FROM sqlite_schema", "SCAN sqlite_schema", "its first row"},
    {"engine", "SELECT created, id FROM vm ORDER", "SCAN vm USING COVERING INDEX vm_order", "builds rank marks, once"},
    {"tenant", "LIMIT ?1 OFFSET ?2", "SCAN tenant USING INDEX tenant_order", PAGE},
    {"tenant", "SELECT count(*) FROM tenant", "SCAN tenant USING COVERING INDEX sqlite_autoindex_tenant_2",
     "10 ns a tenant, for admins"},
    {"tenant", "SELECT id, name FROM tenant", "SCAN tenant USING COVERING INDEX tenant_order", SEARCH},
    {"token", "WHERE ?1 = '' ORDER BY created, id LIMIT", "SCAN token USING INDEX token_order", PAGE},
    {"token", "SELECT count(*) FROM token WHERE ?1 = ''", "SCAN token USING COVERING INDEX token_order",
     "10 ns a token, for admins"},
    {"vm", "SELECT id FROM vm", "SCAN vm USING COVERING INDEX sqlite_autoindex_vm_1", "once an hour: who went"},
    {"vm", "WHERE ?1 = '' ORDER BY v.created, v.id LIMIT", "SCAN v USING INDEX vm_order", PAGE},
    {"vm", "SELECT v.id, v.name FROM vm v WHERE ?1 = ''", "SCAN v USING COVERING INDEX vm_order", SEARCH},
    {"vm", "SELECT v.id, v.name, v.state, v.host_id FROM vm v WHERE ?1 = ''", "SCAN v USING INDEX vm_order", SEARCH},
    {"vm", "FROM host WHERE connected = 0", "SCAN host USING INDEX host_down", "an index of just those"},
    {"disk", "ORDER BY boot DESC, target", "USE TEMP B-TREE FOR ORDER BY", "the disks of one VM"},
    {"model", "FROM model_type ORDER BY seq", "SCAN model_type", "the whole catalogue is asked for"},
    {"template", "SELECT id, name FROM template WHERE ?1 = ''", "SCAN template USING COVERING INDEX template_order",
     SEARCH},
    {"host", "FROM host ORDER BY created, id", "SCAN host", HOSTS},
    {"host", "FROM host ORDER BY created, id", "USE TEMP B-TREE FOR ORDER BY", HOSTS},
    {"place", "vcpus - used_vcpus", "SCAN host", HOSTS},
    {"host", "sum(vcpus)", "SCAN host", HOSTS},
    {"host", "sum(vcpus)", "SCAN storage", HOSTS},
    {"storage", "SELECT name FROM storage", "SCAN storage", STORAGES},
    {"storage", "OFFSET ?2", "SCAN storage", STORAGES},
    {"storage", "OFFSET ?2", "USE TEMP B-TREE FOR ORDER BY", STORAGES},
    {"storage", "count(*) FROM storage", "SCAN storage", STORAGES},
    {"storage", "own = 0", "USE TEMP B-TREE FOR ORDER BY", STORAGES},
    {"storage", "max(used, promised)", "USE TEMP B-TREE FOR ORDER BY", STORAGES},
    {"job", "FROM job WHERE ?1 = '' AND ?2 < 0 ORDER BY seq", "SCAN job", PAGE},
    {"job", "FROM job_count WHERE ?1 = ''", "SCAN job_count", "a row a tenant, for admins"},
    {"job", "INDEXED BY job_open", "SCAN job USING INDEX job_open", OPEN},
    {"job", "INDEXED BY job_open", "SCAN job USING COVERING INDEX job_open", OPEN},
    {"job", "WHERE result IN (2, 3) ORDER BY seq", "SCAN job USING INDEX job_open", OPEN},
    {"job", "INSERT INTO job_count(tenant_id, jobs) SELECT", "USE TEMP B-TREE FOR GROUP BY", "a bounded number"},
    {"job", "DELETE FROM job_count", "SCAN job_count", "a row a tenant, when jobs expire"},
    {"pool", "FROM pool WHERE type & ?1 ORDER BY created", "SCAN pool", POOLS},
    {"pool", "FROM pool WHERE type & ?1 ORDER BY created", "USE TEMP B-TREE FOR ORDER BY", POOLS},
    {"pool", "count(*) FROM pool", "SCAN pool", POOLS},
    {"pool", "GROUP BY t.id", "USE TEMP B-TREE FOR GROUP BY", "the tenants of one pool, when somebody wants it gone"},
    {"pool", "GROUP BY t.id", "USE TEMP B-TREE FOR ORDER BY", "the tenants of one pool, when somebody wants it gone"},
    {"host", "sum(vcpus)", "SCAN pool", POOLS},
    {"outer_ip", "CROSS JOIN free_range", "SCAN p USING INDEX sqlite_autoindex_pool_2", POOLS},
    {"outer_ip", "SELECT outer_port FROM nat", "USE TEMP B-TREE FOR ORDER BY", "the ports of one address"},
    {"nat", "WHERE ?1 = '' ORDER BY n.created", "SCAN n USING INDEX nat_order", SEARCH},
    {"nat", "ORDER BY n.id", "USE TEMP B-TREE FOR ORDER BY", "the mappings of one tenant, for its router"},
    {"outer_ip", "ORDER BY first LIMIT 1", "SCAN pool USING INDEX sqlite_autoindex_pool_2",
     "ends with the first that has a free address"},
    {"secret", "DELETE FROM secret WHERE NOT", "SCAN secret", "once, where an earlier version left files"},
    {"secret", "DELETE FROM secret WHERE NOT", "SCAN job USING INDEX job_open", OPEN},
    {"backup", "ORDER BY boot DESC, target", "USE TEMP B-TREE FOR ORDER BY", "the disks of one backup"},
    {"backup", "FROM backup WHERE (?1 = ''", "SCAN backup", "all of them, once at every start"},
    {"pending", "SELECT count(*) FROM pending_undo", "SCAN pending_undo USING COVERING INDEX pending_undo_due",
     "a row for each undo that failed, for /metrics"},
    {"rule", "WHERE n.vpc_id = ?1 AND r.kind = 0 ORDER BY r.id", "USE TEMP B-TREE FOR ORDER BY",
     "the boundary of one VPC"},
    {"rule", "WHERE ?1 = ''", "SCAN r USING INDEX rule_order", PAGE},
    {"rule", "AS failures FROM net_unit", "UNION USING TEMP B-TREE", "a row for each unit that failed"},
    {"rule", "AS failures FROM net_unit", "USE TEMP B-TREE FOR ORDER BY", "a row for each unit that failed"},
    {"rule", "FROM router_leg l JOIN vpc", "USE TEMP B-TREE FOR ORDER BY", "the legs of one router"},
    {"secgroup", "WHERE ?1 = '' ORDER BY created, id", "SCAN secgroup USING INDEX secgroup_order", SEARCH},
    {"secgroup", "SELECT DISTINCT m.group_id", "USE TEMP B-TREE FOR DISTINCT", "the groups of one VM"},
    {"slb", "WHERE ?1 = '' AND", "SCAN slb USING INDEX slb_order", SEARCH},
    {"slb", "WHERE ?1 = '' AND", "SCAN slb", SEARCH},
    {"slb", "ORDER BY name, id", "USE TEMP B-TREE FOR ORDER BY", SEARCH},
    {"slb", "SELECT id FROM router r", "SCAN r USING COVERING INDEX sqlite_autoindex_router_1",
     "a router a tenant, every few seconds"},
    {"slb", "WHERE cert_ends <> 0", "SCAN slb USING INDEX slb_cert", "an index of just those"},
    {"slb_node", "WHERE s.slb_id = ?1", "USE TEMP B-TREE FOR ORDER BY", "the nodes of one balancer"},
    {"slb_node", "WHERE ?1 = '' AND", "SCAN s USING INDEX slb_node_order", SEARCH},
    {"slb_node", "WHERE ?1 = '' AND", "SCAN s", SEARCH},
    {"slb_node", "ORDER BY s.name, s.id", "USE TEMP B-TREE FOR ORDER BY", SEARCH},
    {"slb_node", "SELECT DISTINCT b.router_id", "USE TEMP B-TREE FOR DISTINCT", "the nodes of one NIC"},
    {"router", "ORDER BY r.created, r.id", "SCAN r USING INDEX router_order", SEARCH},
    {"unit", "FROM net_unit ORDER BY kind, id", "SCAN net_unit", OPEN_UNITS},
    {"unit", "failures > 0 ORDER BY kind, id", "SCAN net_unit", OPEN_UNITS},
    {"unit", "UPDATE net_unit SET due = 0 WHERE", "SCAN net_unit", OPEN_UNITS},
    {"unit", "FROM vpc WHERE NOT deleting", "SCAN vpc USING INDEX sqlite_autoindex_vpc_1", COMPARED},
    {"unit", "FROM router WHERE state", "SCAN router USING INDEX sqlite_autoindex_router_1", COMPARED},
    {"unit", "FROM secgroup ORDER BY id", "SCAN secgroup USING INDEX sqlite_autoindex_secgroup_1", COMPARED},
    {"unit", "FROM nic ORDER BY id", "SCAN nic USING INDEX sqlite_autoindex_nic_1", COMPARED},
    {"event", "DELETE FROM event", "SCAN event", "a bounded number from the beginning"},
};

static struct allowed *find_allowed(const char *store, const char *sql, const char *plan)
{
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        struct allowed *a = &allowed[i];
        if (strcmp(a->store, store) == 0 && strstr(sql, a->sql) && strcmp(plan, a->plan) == 0)
            return a;
    }
    return NULL;
}

static bool costly(const char *plan)
{
    /* "SCAN CONSTANT ROW" and a scan of what a subquery made are no tables. */
    if (strncmp(plan, "SCAN ", 5) == 0 && strncmp(plan, "SCAN CONSTANT", 13) != 0 && plan[5] != '(')
        return true;
    return strstr(plan, "TEMP B-TREE") != NULL || strstr(plan, "AUTOMATIC") != NULL;
}

static unsigned check_statement(sqlite3 *db, const char *store, const char *sql)
{
    SV_AUTOFREE char *explain = sv_asprintf("EXPLAIN QUERY PLAN %s", sql);
    sqlite3_stmt *st = NULL;
    unsigned refused = 0;
    if (sqlite3_prepare_v2(db, explain, -1, &st, NULL) != SQLITE_OK)
        check_failed(__FILE__, __LINE__, "%s: %s", sql, sqlite3_errmsg(db));
    while (sqlite3_step(st) == SQLITE_ROW) {
        const char *plan = (const char *)sqlite3_column_text(st, 3);
        if (!costly(plan))
            continue;
        struct allowed *a = find_allowed(store, sql, plan);
        if (a)
            a->used = true;
        else
            fprintf(stderr, "%s: %s\n    %s\n", store, plan, sql);
        refused += !a;
    }
    sqlite3_finalize(st);
    return refused;
}

static enum sv_err check_all(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    unsigned *refused = arg;
    (void)err;
    for (struct sv_sql_table *const *t = sv_sql_tables; *t; t++)
        for (unsigned i = 0; *t != &sv_sql_fsck && i < (*t)->count; i++)
            *refused += check_statement(tx->conn->db, (*t)->name, (*t)->sql[i]);
    return SV_OK;
}

static void no_statement_walks_a_table(void)
{
    struct fixture f = fixture_new();
    unsigned refused = 0;
    CHECK_INT(sv_db_read(f.db, check_all, &refused, NULL), SV_OK);
    CHECK_INT(refused, 0);
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        if (!allowed[i].used)
            check_failed(__FILE__, __LINE__, "no longer so, take it out: %s: %s", allowed[i].sql, allowed[i].plan);
    fixture_remove(&f);
}

/* --- the paths that everything takes, step by step ------------------------------------------------------------- */

struct path {
    const char *store, *sql, *plan;
};

static const struct path paths[] = {
    {"token", "WHERE hash = ?1", "SEARCH token USING INDEX sqlite_autoindex_token_2 (hash=?)"},
    {"vm", "FROM vm v WHERE v.id = ?1", "SEARCH v USING INDEX sqlite_autoindex_vm_1 (id=?)"},
    {"vm", "WHERE v.tenant_id = ?1 ORDER BY v.created, v.id LIMIT ?2", "SEARCH v USING INDEX vm_tenant (tenant_id=?)"},
    {"vm", "WHERE v.tenant_id = ?1 AND (v.created, v.id) > (?4, ?5)",
     "SEARCH v USING INDEX vm_tenant (tenant_id=? AND (created,id)>(?,?))"},
    {"vm", "WHERE ?1 = '' AND (v.created, v.id) > (?4, ?5)", "SEARCH v USING INDEX vm_order ((created,id)>(?,?))"},
    {"vm", "SELECT v.id, v.name FROM vm v WHERE v.tenant_id", "SEARCH v USING COVERING INDEX vm_tenant (tenant_id=?)"},
    {"vm", "SELECT v.id, v.name, v.state, v.host_id FROM nic n",
     "SEARCH n USING INDEX sqlite_autoindex_nic_3 (vpc_id=? AND ip=?)"},
    {"range", "ORDER BY last LIMIT 1", "SEARCH free_range USING PRIMARY KEY (space=? AND last>?)"},
    {"nic", "WHERE n.vm_id = ?1", "SEARCH n USING INDEX nic_vm (vm_id=?)"},
    {"nic", "WHERE n.vpc_id = ?1", "SEARCH n USING INDEX sqlite_autoindex_nic_3 (vpc_id=?)"},
    {"disk", "WHERE vm_id = ?1", "SEARCH disk USING INDEX disk_vm (vm_id=?)"},
    {"snapshot", "WHERE vm_id = ?1 AND (?2 = '' OR tenant_id = ?2) ORDER BY",
     "SEARCH snapshot USING INDEX snapshot_vm (vm_id=?)"},
    {"snapshot", "count(*)", "SEARCH snapshot USING COVERING INDEX snapshot_vm (vm_id=?)"},
    {"snapshot", "WHERE d.disk_id = ?1", "SEARCH d USING COVERING INDEX snapshot_disk_of (disk_id=?)"},
    {"vpc", "FROM vpc WHERE tenant_id = ?1 AND deleting = 0 ORDER BY",
     "SEARCH vpc USING INDEX vpc_tenant (tenant_id=? AND deleting=?)"},
    {"vpc", "SELECT count(*) FROM vpc WHERE tenant_id = ?1",
     "SEARCH vpc USING COVERING INDEX vpc_tenant (tenant_id=? AND deleting=?)"},
    {"vpc", "SELECT count(*) FROM nic", "SEARCH nic USING COVERING INDEX sqlite_autoindex_nic_3 (vpc_id=?)"},
    {"storage", "own = 1 ORDER BY created, id LIMIT 1", "SEARCH storage USING INDEX storage_order (host_id=?)"},
    {"storage", "FROM disk WHERE storage_id = ?1", "SEARCH disk USING COVERING INDEX disk_storage (storage_id=?)"},
    {"template", "UNION ALL", "SEARCH template USING COVERING INDEX template_tenant (tenant_id=?)"},
    {"job", "FROM job WHERE id = ?1 AND (?2", "SEARCH job USING INDEX sqlite_autoindex_job_1 (id=?)"},
    {"job", "FROM job WHERE tenant_id = ?1 AND ?2 < 0", "SEARCH job USING INDEX job_tenant (tenant_id=?)"},
    {"job", "FROM job WHERE object_id = ?3", "SEARCH job USING INDEX job_object (object_id=?)"},
    {"job", "FROM job WHERE sarg = ?1", "SEARCH job USING INDEX job_arg (sarg=?)"},
    {"backup", "FROM backup WHERE vm_id = ?1", "SEARCH backup USING INDEX backup_vm (vm_id=?)"},
    {"backup", "FROM backup_disk WHERE backup_id", "SEARCH backup_disk USING PRIMARY KEY (backup_id=?)"},
    {"job", "count(*) FROM job INDEXED BY job_tenant_result WHERE tenant_id = ?1 AND result = ?2",
     "SEARCH job USING COVERING INDEX job_tenant_result (tenant_id=? AND result=?)"},
    {"job", "count(*) FROM job INDEXED BY job_result WHERE ?1 = '' AND result = ?2",
     "SEARCH job USING COVERING INDEX job_result (result=?)"},
    {"job", "DELETE FROM job WHERE", "SEARCH job USING COVERING INDEX job_ended (ended>? AND ended<?)"},
    {"joblog", "serial > ?2", "SEARCH joblog USING PRIMARY KEY (job_id=? AND serial>?)"},
    {"joblog", "INSERT INTO joblog", "SEARCH joblog USING PRIMARY KEY (job_id=?)"},
    {"lock", "SELECT job_id", "SEARCH lock USING PRIMARY KEY (object_id=?)"},
    {"event", "WHERE seq > ?1 AND ?3 = ''", "SEARCH event USING INTEGER PRIMARY KEY (rowid>?)"},
    {"event", "WHERE tenant_id = ?3 AND seq > ?1", "SEARCH event USING INDEX event_tenant (tenant_id=? AND rowid>?)"},
    {"idem", "SELECT hash", "SEARCH idem USING PRIMARY KEY (tenant_id=? AND key=?)"},
    {"host", "SELECT id FROM host WHERE uri = ?1", "SEARCH host USING INDEX sqlite_autoindex_host_2 (uri=? AND idx=?)"},
};

static const char *statement(const struct path *p)
{
    for (struct sv_sql_table *const *t = sv_sql_tables; *t; t++)
        for (unsigned i = 0; strcmp((*t)->name, p->store) == 0 && i < (*t)->count; i++)
            if (strstr((*t)->sql[i], p->sql))
                return (*t)->sql[i];
    check_failed(__FILE__, __LINE__, "no statement of %s has %s", p->store, p->sql);
}

static enum sv_err check_paths(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    unsigned *wrong = arg;
    (void)err;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        SV_AUTOFREE char *explain = sv_asprintf("EXPLAIN QUERY PLAN %s", statement(&paths[i]));
        struct sv_buf seen = {0};
        sqlite3_stmt *st = NULL;
        bool found = false;
        CHECK_INT(sqlite3_prepare_v2(tx->conn->db, explain, -1, &st, NULL), SQLITE_OK);
        while (sqlite3_step(st) == SQLITE_ROW) {
            const char *plan = (const char *)sqlite3_column_text(st, 3);
            found = found || strcmp(plan, paths[i].plan) == 0;
            sv_buf_printf(&seen, "    %s\n", plan);
        }
        if (!found)
            fprintf(stderr, "%s: %s is run by\n%s", paths[i].store, paths[i].sql, seen.p);
        *wrong += !found;
        sqlite3_finalize(st);
        sv_buf_free(&seen);
    }
    return SV_OK;
}

static void hot_statements_take_their_index(void)
{
    struct fixture f = fixture_new();
    unsigned wrong = 0;
    CHECK_INT(sv_db_read(f.db, check_paths, &wrong, NULL), SV_OK);
    CHECK_INT(wrong, 0);
    fixture_remove(&f);
}

CHECK_MAIN(T(no_statement_walks_a_table), T(hot_statements_take_their_index))
