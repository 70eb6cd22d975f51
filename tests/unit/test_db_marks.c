/* Rank marks against OFFSET: the same rows always, also in the middle of writes, and never a long way to go. */
#include <pthread.h>
#include <stdatomic.h>

#include "db/engine.h"
#include "db_fixture.h"
#include "starvirt/store_tenant.h"
#include "starvirt/store_vm.h"

#define TENANTS  2
#define MAX_VMS  20000
#define GAP_LOST 512

static struct sv_id tenants[TENANTS];
static const struct sv_id nobody = {.s = ""};

static uint32_t random_below(uint32_t n)
{
    static _Thread_local uint64_t state = 88172645463325252ULL;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 20) % n;
}

/* --- the model: what was inserted and not deleted -------------------------------------------------------------- */

static struct sv_id vms[MAX_VMS];
static unsigned vm_count;

struct round_of_changes {
    unsigned inserts, deletes;
    bool fail;
};

static enum sv_err insert_vm(struct sv_tx *tx, struct sv_error *err)
{
    struct sv_vm vm = {.id = sv_id_new(),
                       .tenant = tenants[random_below(TENANTS)],
                       .name = "vm",
                       .descr = "",
                       .model = "",
                       .model_type = "",
                       .state = SV_VM_STOPPED,
                       .created = sv_tx_now(tx)};
    if (random_below(10) == 0) /* as if the clock had been wrong */
        vm.created -= random_below(2000);
    CHECK(vm_count < MAX_VMS);
    vms[vm_count++] = vm.id;
    return sv_vm_insert(tx, &vm, err);
}

static enum sv_err delete_vm(struct sv_tx *tx, struct sv_error *err)
{
    if (vm_count == 0)
        return SV_OK;
    unsigned at = random_below(vm_count);
    const struct sv_id id = vms[at];
    vms[at] = vms[--vm_count];
    return sv_vm_delete(tx, &id, err);
}

static enum sv_err change(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct round_of_changes *r = arg;
    enum sv_err code = SV_OK;
    while (code == SV_OK && r->inserts + r->deletes > 0) {
        bool insert = random_below(r->inserts + r->deletes) < r->inserts;
        code = insert ? insert_vm(tx, err) : delete_vm(tx, err);
        if (insert)
            r->inserts--;
        else
            r->deletes--;
    }
    return code == SV_OK && r->fail ? SV_E_VM_STATE : code;
}

static void do_changes(struct fixture *f, unsigned inserts, unsigned deletes)
{
    struct sv_error err;
    struct round_of_changes r = {.inserts = inserts, .deletes = deletes};
    if (sv_db_write(f->db, change, &r, &err) != SV_OK)
        check_failed(__FILE__, __LINE__, "change: %s", err.arg[0]);
}

static enum sv_err insert_tenants(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    enum sv_err code = SV_OK;
    for (int i = 0; code == SV_OK && i < TENANTS; i++) {
        tenants[i] = sv_id_new();
        struct sv_tenant t = {.id = tenants[i], .name = i ? "b" : "a", .descr = "", .created = sv_tx_now(tx)};
        code = sv_tenant_insert(tx, &t, err);
    }
    return code;
}

static struct fixture fixture_with_tenants(void)
{
    struct fixture f = fixture_new();
    CHECK_INT(sv_db_write(f.db, insert_tenants, NULL, NULL), SV_OK);
    vm_count = 0;
    return f;
}

/* --- comparing ----------------------------------------------------------------------------------------------- */

struct page {
    struct sv_id ids[8];
    unsigned n;
};

static void add_to_page(void *arg, const struct sv_vm *vm)
{
    struct page *p = arg;
    CHECK(p->n < 8);
    p->ids[p->n++] = vm->id;
}

static void page_by_offset(struct sv_tx *tx, const struct sv_id *tenant, uint64_t offset, struct page *ret)
{
    sqlite3_stmt *st = NULL;
    const char *sql = "SELECT id FROM vm WHERE ?1 = '' OR tenant_id = ?1 ORDER BY created, id LIMIT 5 OFFSET ?2";
    CHECK_INT(sqlite3_prepare_v2(tx->conn->db, sql, -1, &st, NULL), SQLITE_OK);
    sv_bind(st, "di", tenant, (int64_t)offset);
    ret->n = 0;
    while (sqlite3_step(st) == SQLITE_ROW)
        ret->ids[ret->n++] = sv_col_id(st, 0);
    sqlite3_finalize(st);
}

struct comparison {
    const struct sv_id *tenant;
    unsigned deep; /* pages that had a mark to begin at */
};

static void compare_at(struct sv_tx *tx, const struct sv_id *tenant, uint64_t offset)
{
    struct page want, got = {.n = 0};
    const struct sv_vm_filter all = {.name = NULL};
    const struct sv_page page = {.offset = offset, .limit = 5};
    struct sv_scope scope = {.tenant = *tenant};
    uint64_t total;
    page_by_offset(tx, tenant, offset, &want);
    CHECK_INT(sv_vm_list(tx, scope, &all, &page, add_to_page, &got, &total, NULL), SV_OK);
    CHECK_INT(got.n, want.n);
    for (unsigned i = 0; i < want.n; i++)
        CHECK_STR(got.ids[i].s, want.ids[i].s);
}

static void check_seek(struct sv_tx *tx, struct comparison *c, uint64_t offset)
{
    int64_t created;
    struct sv_id id;
    uint64_t skip;
    if (!sv_marks_seek(tx, c->tenant, offset, &created, &id, &skip))
        return;
    c->deep++;
    CHECK(skip <= GAP_LOST);
}

static enum sv_err compare(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct comparison *c = arg;
    struct number_query q = {
        .sql = sv_arena_printf(tx->arena, "SELECT count(*) FROM vm WHERE '%s' IN ('', tenant_id)", c->tenant->s)};
    CHECK_INT(query_number(tx, &q, err), SV_OK);
    for (int i = 0; i < 20; i++) {
        uint64_t offset = random_below((uint32_t)q.value + 10);
        compare_at(tx, c->tenant, offset); /* now and then beyond the end */
        if (offset < (uint64_t)q.value)
            check_seek(tx, c, offset);
    }
    return SV_OK;
}

static unsigned compare_all(struct fixture *f)
{
    struct comparison c[] = {{.tenant = &tenants[0]}, {.tenant = &tenants[1]}, {.tenant = &nobody}};
    for (int i = 0; i < 3; i++)
        CHECK_INT(sv_db_read(f->db, compare, &c[i], NULL), SV_OK);
    return c[0].deep + c[1].deep + c[2].deep;
}

/* --- tests ----------------------------------------------------------------------------------------------------- */

static void pages_are_those_of_offset(void)
{
    struct fixture f = fixture_with_tenants();
    unsigned deep = 0;
    for (int round = 0; round < 60; round++) {
        /* Growing first, then shrinking to nothing. */
        bool growing = round < 35;
        do_changes(&f, growing ? 200 + random_below(200) : random_below(50), growing ? random_below(100) : 500);
        deep += compare_all(&f);
    }
    CHECK(deep > 500);
    fixture_remove(&f);
}

static void failed_closures_leave_the_marks(void)
{
    struct fixture f = fixture_with_tenants();
    do_changes(&f, 3000, 0);
    compare_all(&f);
    for (int i = 0; i < 10; i++) {
        unsigned kept = vm_count;
        struct sv_id *before = sv_alloc(sizeof(vms));
        memcpy(before, vms, sizeof(vms));
        struct round_of_changes r = {.inserts = 50, .deletes = 100, .fail = true};
        CHECK_INT(sv_db_write(f.db, change, &r, NULL), SV_E_VM_STATE);
        memcpy(vms, before, sizeof(vms));
        vm_count = kept;
        free(before);
        CHECK(compare_all(&f) > 20);
    }
    fixture_remove(&f);
}

static enum sv_err seek_while_writing(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    int64_t created;
    struct sv_id id;
    uint64_t skip;
    (void)arg;
    CHECK(!sv_marks_seek(tx, &nobody, 1000, &created, &id, &skip));
    CHECK_INT(insert_vm(tx, err), SV_OK);
    compare_at(tx, &nobody, 1000);
    return SV_OK;
}

static void writers_see_their_own_rows(void)
{
    struct fixture f = fixture_with_tenants();
    do_changes(&f, 2000, 0);
    CHECK(compare_all(&f) > 0);
    CHECK_INT(sv_db_write(f.db, seek_while_writing, NULL, NULL), SV_OK);
    fixture_remove(&f);
}

static atomic_bool writing_is_over;

static void *compare_meanwhile(void *arg)
{
    do
        compare_all(arg);
    while (!atomic_load(&writing_is_over));
    return NULL;
}

static void snapshots_and_marks_agree(void)
{
    struct fixture f = fixture_with_tenants();
    pthread_t readers[3];
    atomic_store(&writing_is_over, false);
    do_changes(&f, 2000, 0);
    for (int i = 0; i < 3; i++)
        CHECK_INT(pthread_create(&readers[i], NULL, compare_meanwhile, &f), 0);
    for (int i = 0; i < 150; i++)
        do_changes(&f, random_below(20), random_below(20));
    atomic_store(&writing_is_over, true);
    for (int i = 0; i < 3; i++)
        pthread_join(readers[i], NULL);
    CHECK(compare_all(&f) > 0);
    fixture_remove(&f);
}

CHECK_MAIN(T(pages_are_those_of_offset), T(failed_closures_leave_the_marks), T(writers_see_their_own_rows),
           T(snapshots_and_marks_agree))
