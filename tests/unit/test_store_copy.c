/* What is kept of a VM's past: snapshots and backups. */
#include "starvirt/store_copy.h"
#include "store_fixture.h"

/* --- snapshots: a tree as letters, "a(b(c)d)", the current one with a '*' ------------------------------ */

enum { SNAPS = 26 };

struct snaps {
    struct sv_id id[SNAPS];
    struct sv_id vm, disk[2];
};

static struct sv_snapshot snapshot_of(struct sv_tx *tx, const struct snaps *s, char letter, const char *parent)
{
    const unsigned at = (unsigned)(letter - 'a');
    struct sv_snapshot new = {
        .id = s->id[at], .tenant = w.a, .vm = s->vm, .descr = "", .shape = "off", .created = sv_tx_now(tx) + at};

    new.name = sv_arena_printf(sv_tx_arena(tx), "%c", letter);
    if (*parent)
        new.parent = s->id[*parent - 'a'];
    return new;
}

static void insert_snapshot(struct sv_tx *tx, const struct snaps *s, char letter, const char *parent)
{
    const struct sv_snapshot new = snapshot_of(tx, s, letter, parent);
    const int64_t sizes[] = {SV_GIB, 2 * SV_GIB};

    WORKS(sv_snapshot_insert(tx, &new, s->disk, sizes, 2, &why));
}

static void take(struct sv_tx *tx, const struct snaps *s, char letter)
{
    struct sv_id current;
    struct sv_snapshot new = snapshot_of(tx, s, letter, "");

    WORKS(sv_snapshot_current(tx, &s->vm, &current, &why));
    new.parent = current;
    WORKS(sv_snapshot_insert(tx, &new, NULL, NULL, 0, &why));
    WORKS(sv_snapshot_taken(tx, &new.id, &why));
}

struct seen {
    struct sv_snapshot rows[SNAPS];
    char names[SNAPS][2];
    unsigned n;
};

static void see(void *arg, const struct sv_snapshot *s)
{
    struct seen *seen = arg;

    CHECK(seen->n < SNAPS);
    SV_COPY(seen->names[seen->n], s->name);
    seen->rows[seen->n] = *s;
    seen->n++;
}

static void draw(const struct seen *seen, const struct sv_id *parent, struct sv_buf *out)
{
    for (unsigned i = 0; i < seen->n; i++) {
        const struct sv_snapshot *s = &seen->rows[i];
        struct sv_buf below = {0};

        if (!sv_id_eq(&s->parent, parent))
            continue;
        sv_buf_printf(out, "%s%s", seen->names[i], s->current ? "*" : "");
        sv_buf_puts(&below, "");
        draw(seen, &s->id, &below);
        if (below.n)
            sv_buf_printf(out, "(%s)", below.p);
        sv_buf_free(&below);
    }
}

static void check_tree(struct sv_tx *tx, const struct snaps *s, const char *want)
{
    struct seen seen = {.n = 0};
    struct sv_buf got = {0};

    WORKS(sv_snapshot_list_vm(tx, sv_scope_system(), &s->vm, see, &seen, &why));
    sv_buf_puts(&got, "");
    draw(&seen, &no_id, &got);
    CHECK_STR(got.p, want);
    sv_buf_free(&got);
}

static struct snaps snaps_new(struct sv_tx *tx)
{
    struct snaps s = {.vm = add_vm(tx, &w.a, "vm")};

    for (unsigned i = 0; i < SNAPS; i++)
        s.id[i] = sv_id_new();
    for (unsigned i = 0; i < 2; i++) {
        struct sv_disk d = new_disk(tx, &w.a, &s.vm);
        d.target = i ? "vdb" : "vda";
        WORKS(sv_disk_insert(tx, &d, &why));
        s.disk[i] = d.id;
    }
    return s;
}

static void back_to(struct sv_tx *tx, const struct snaps *s, char letter)
{
    WORKS(sv_snapshot_set_current(tx, &s->id[letter - 'a'], &why));
}

static void delete (struct sv_tx *tx, const struct snaps *s, char letter)
{
    WORKS(sv_snapshot_delete(tx, &s->id[letter - 'a'], &why));
}

static enum sv_err trees(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct snaps s = snaps_new(tx), other = snaps_new(tx);
    (void)arg;
    (void)err;

    check_tree(tx, &s, "");
    take(tx, &other, 'x');
    for (char c = 'a'; c <= 'c'; c++)
        take(tx, &s, c);
    check_tree(tx, &s, "a(b(c*))");
    back_to(tx, &s, 'a');
    take(tx, &s, 'd');
    take(tx, &s, 'e');
    check_tree(tx, &s, "a(b(c)d(e*))");
    delete (tx, &s, 'e'); /* a leaf: its parent is what the disks stem from */
    check_tree(tx, &s, "a(b(c)d*)");
    delete (tx, &s, 'b'); /* from the middle */
    check_tree(tx, &s, "a(cd*)");
    delete (tx, &s, 'b'); /* gone already */
    delete (tx, &s, 'a'); /* a root: two roots now */
    check_tree(tx, &s, "cd*");
    delete (tx, &s, 'd'); /* nothing is current */
    check_tree(tx, &s, "c");
    take(tx, &s, 'f');
    check_tree(tx, &s, "cf*");
    back_to(tx, &s, 'c');
    check_tree(tx, &s, "c*f");
    check_tree(tx, &other, "x*");
    WORKS(sv_snapshot_delete_vm(tx, &s.vm, &why));
    check_tree(tx, &s, "");
    check_tree(tx, &other, "x*");
    return SV_OK;
}

static void snapshots_form_trees(void)
{
    world_new();
    writing(trees, NULL);
    world_sound_but_quota();
    world_remove();
}

static void see_disk(void *arg, const struct sv_id *disk, int64_t size)
{
    int64_t *sum = arg;

    CHECK(!sv_id_empty(disk));
    *sum += size;
}

static enum sv_err one_row(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct snaps s = snaps_new(tx);
    struct sv_arena *a = sv_tx_arena(tx);
    struct sv_snapshot got = {.created = 7};
    struct sv_id current = s.vm;
    const char *holder = NULL;
    unsigned n = 7;
    int64_t sum = 0;
    (void)arg;
    (void)err;

    WORKS(sv_snapshot_of_disk(tx, &s.disk[0], a, &holder, &why));
    CHECK_STR(holder, "");
    insert_snapshot(tx, &s, 'a', "");
    FAILS(sv_snapshot_get(tx, sv_scope_tenant(&w.b), &s.id[0], a, &got, &why), SV_E_SNAPSHOT_NOT_FOUND);
    CHECK_INT(why.field, SV_F_SNAPSHOT);
    CHECK_INT(got.created, 7);
    WORKS(sv_snapshot_get(tx, sv_scope_tenant(&w.a), &s.id[0], a, &got, &why));
    CHECK(!got.ready && !got.broken && !got.current && !got.memory && sv_id_empty(&got.parent));
    CHECK(sv_id_eq(&got.vm, &s.vm) && sv_id_eq(&got.tenant, &w.a));
    WORKS(sv_snapshot_current(tx, &s.vm, &current, &why));
    CHECK(sv_id_empty(&current)); /* not before it is taken */
    WORKS(sv_snapshot_set_shape(tx, &s.id[0], "vCPU=1", true, &why));
    WORKS(sv_snapshot_taken(tx, &s.id[0], &why));
    WORKS(sv_snapshot_get(tx, sv_scope_system(), &s.id[0], a, &got, &why));
    CHECK(got.ready && got.current && got.memory);
    CHECK_STR(got.shape, "vCPU=1");
    WORKS(sv_snapshot_of_disk(tx, &s.disk[1], a, &holder, &why));
    CHECK_STR(holder, "a");
    WORKS(sv_snapshot_list_disks(tx, &s.id[0], see_disk, &sum, &why));
    CHECK_INT(sum, 3 * SV_GIB);
    WORKS(sv_snapshot_count(tx, &s.vm, &n, &why));
    CHECK_INT(n, 1);
    FAILS(sv_snapshot_set_descr(tx, sv_scope_tenant(&w.b), &s.id[0], "no", &why), SV_E_SNAPSHOT_NOT_FOUND);
    WORKS(sv_snapshot_set_descr(tx, sv_scope_tenant(&w.a), &s.id[0], "yes", &why));
    WORKS(sv_snapshot_set_broken(tx, &s.id[0], &why));
    WORKS(sv_snapshot_get(tx, sv_scope_system(), &s.id[0], a, &got, &why));
    CHECK(!got.ready && got.broken && got.current);
    CHECK_STR(got.descr, "yes");
    WORKS(sv_snapshot_delete(tx, &s.id[0], &why));
    FAILS(sv_snapshot_get(tx, sv_scope_system(), &s.id[0], a, &got, &why), SV_E_SNAPSHOT_NOT_FOUND);
    WORKS(sv_snapshot_of_disk(tx, &s.disk[1], a, &holder, &why));
    CHECK_STR(holder, "");
    WORKS(sv_disk_delete_vm(tx, &s.vm, &why));
    return SV_OK;
}

static enum sv_err of_tenants(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct snaps s = snaps_new(tx);
    struct seen seen = {.n = 0};
    (void)arg;
    (void)err;

    take(tx, &s, 'a');
    WORKS(sv_snapshot_list_vm(tx, sv_scope_tenant(&w.b), &s.vm, see, &seen, &why));
    CHECK_INT(seen.n, 0);
    WORKS(sv_snapshot_list_vm(tx, sv_scope_tenant(&w.a), &s.vm, see, &seen, &why));
    CHECK_INT(seen.n, 1);
    return SV_OK;
}

static void a_snapshots_row(void)
{
    world_new();
    writing(one_row, NULL);
    writing(of_tenants, NULL);
    world_sound_but_quota();
    world_remove();
}

CHECK_MAIN(T(snapshots_form_trees), T(a_snapshots_row))
