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
    for (const char *c = "abc"; *c; c++)
        take(tx, &s, *c);
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

/* --- backups ------------------------------------------------------------------------------------------- */

struct kept {
    char text[256]; /* names, or targets with what is known of their files */
};

static void see_backup(void *arg, const struct sv_backup *b)
{
    struct kept *k = arg;
    const size_t n = strlen(k->text);

    snprintf(k->text + n, sizeof(k->text) - n, "%s ", b->name);
}

static void see_file(void *arg, const struct sv_backup_disk *d)
{
    struct kept *k = arg;
    const size_t n = strlen(k->text);

    snprintf(k->text + n, sizeof(k->text) - n, "%s%s:%lld:%.2s ", d->target, d->boot ? "*" : "", (long long)d->bytes,
             d->sha256);
}

static const char sum[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static struct sv_id add_backup(struct sv_tx *tx, const struct sv_id *tenant, const struct sv_id *vm, const char *name,
                               int64_t after)
{
    const struct sv_backup b = {.id = sv_id_new(),
                                .tenant = *tenant,
                                .vm = *vm,
                                .vm_name = "web",
                                .name = name,
                                .descr = "d",
                                .vcpus = 2,
                                .memory = SV_GIB,
                                .nested = true,
                                .created = sv_tx_now(tx) + after};
    const struct sv_backup_disk disks[] = {
        {.target = "vdb", .disk = sv_id_new(), .size = 2 * SV_GIB, .sha256 = ""},
        {.target = "vda", .disk = sv_id_new(), .boot = true, .size = SV_GIB, .sha256 = ""}};
    WORKS(sv_backup_insert(tx, &b, disks, 2, &why));
    return b.id;
}

static enum sv_err keep_backups(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id vm = sv_id_new(), other = sv_id_new(), nobody = sv_id_new(); /* none of them is a row */
    const struct sv_id late = add_backup(tx, &w.a, &vm, "late", 2), early = add_backup(tx, &w.a, &vm, "early", 1);
    struct sv_backup b = {.vcpus = 77};
    struct kept k = {.text = ""};
    (void)arg;
    (void)err;

    add_backup(tx, &w.b, &other, "theirs", 0);
    WORKS(sv_backup_list_vm(tx, sv_scope_tenant(&w.a), &vm, see_backup, &k, &why));
    CHECK_STR(k.text, "early late ");
    k.text[0] = '\0';
    WORKS(sv_backup_list_vm(tx, sv_scope_tenant(&w.b), &vm, see_backup, &k, &why));
    WORKS(sv_backup_list(tx, sv_scope_tenant(&w.b), see_backup, &k, &why));
    CHECK_STR(k.text, "theirs ");

    FAILS(sv_backup_get(tx, sv_scope_tenant(&w.b), &early, sv_tx_arena(tx), &b, &why), SV_E_BACKUP_NOT_FOUND);
    FAILS(sv_backup_get(tx, sv_scope_system(), &nobody, sv_tx_arena(tx), &b, &why), SV_E_BACKUP_NOT_FOUND);
    CHECK_INT(why.field, SV_F_BACKUP);
    CHECK_INT(b.vcpus, 77);
    WORKS(sv_backup_get(tx, sv_scope_tenant(&w.a), &early, sv_tx_arena(tx), &b, &why));
    CHECK(sv_id_eq(&b.vm, &vm) && sv_id_empty(&b.storage) && b.nested && !b.quiesced);
    CHECK_STR(b.vm_name, "web");
    CHECK_INT(b.state, SV_BACKUP_MAKING);
    CHECK_INT(b.memory, SV_GIB);

    k.text[0] = '\0';
    WORKS(sv_backup_set_file(tx, &early, "vdb", 5, sum, &why));
    FAILS(sv_backup_set_file(tx, &early, "vdc", 5, sum, &why), SV_E_BACKUP_NOT_FOUND);
    WORKS(sv_backup_list_disks(tx, &early, see_file, &k, &why));
    CHECK_STR(k.text, "vda*:0: vdb:5:01 "); /* the boot disk first */
    WORKS(sv_backup_set_state(tx, &early, SV_BACKUP_READY, true, &why));
    FAILS(sv_backup_set_descr(tx, sv_scope_tenant(&w.b), &early, "x", &why), SV_E_BACKUP_NOT_FOUND);
    WORKS(sv_backup_set_descr(tx, sv_scope_tenant(&w.a), &early, "new", &why));
    WORKS(sv_backup_get(tx, sv_scope_tenant(&w.a), &early, sv_tx_arena(tx), &b, &why));
    CHECK(b.state == SV_BACKUP_READY && b.quiesced);
    CHECK_STR(b.descr, "new");

    FAILS(sv_tenant_delete(tx, sv_scope_system(), &w.a, &why), SV_E_TENANT_IN_USE);
    CHECK_STR(why.arg[0], "2 backups");
    for (int i = 0; i < 2; i++) /* gone already: success */
        WORKS(sv_backup_delete(tx, &early, &why));
    FAILS(sv_backup_set_state(tx, &early, SV_BACKUP_READY, true, &why), SV_E_BACKUP_NOT_FOUND);
    WORKS(sv_backup_delete(tx, &late, &why));
    return SV_OK;
}

static void backups_outlive_their_vms(void)
{
    world_new();
    writing(keep_backups, NULL);
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM backup_disk"), 2); /* of the one that is left */
    world_remove();
}

/* What fsck says of backups, one fault after the other. */
static void look(void *arg, const char *line)
{
    sv_copy(arg, 256, line);
}

static void says(const char *part)
{
    char line[256] = "";
    unsigned n = 0;
    WORKS(sv_db_fsck(w.f.db, look, line, &n, &why));
    if (n != (*part ? 1U : 0U) || !strstr(line, part))
        check_failed(__FILE__, __LINE__, "%u breaches, \"%s\", expected \"%s\"", n, line, part);
}

struct faulty {
    struct sv_id backup, job;
};

static enum sv_err make_faulty(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct faulty *f = arg;
    struct sv_job job = new_job(tx, &w.a, &(struct sv_id){.s = ""});
    (void)err;

    f->backup = add_backup(tx, &w.a, &f->backup, "b", 0);
    job.sarg = f->backup.s;
    job.object_type = "backup";
    f->job = job.id;
    WORKS(sv_job_insert(tx, &job, &why));
    return SV_OK;
}

static enum sv_err who_uses(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct faulty *f = arg;
    const struct sv_id nobody = sv_id_new(), none = {.s = ""};
    struct sv_id job = none;
    bool found = false;
    (void)err;

    WORKS(sv_job_open_for(tx, &f->backup, &job, &found, &why));
    CHECK(found && sv_id_eq(&job, &f->job));
    WORKS(sv_job_open_for(tx, &nobody, &job, &found, &why));
    CHECK(!found);
    WORKS(sv_job_open_for(tx, &none, &job, &found, &why));
    CHECK(!found);
    WORKS(sv_job_end(tx, &f->job, SV_JOB_DONE, NULL, &why));
    WORKS(sv_job_open_for(tx, &f->backup, &job, &found, &why));
    CHECK(!found);
    return SV_OK;
}

static enum sv_err become_ready(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct faulty *f = arg;
    (void)err;

    WORKS(sv_backup_set_file(tx, &f->backup, "vda", 5, sum, &why));
    WORKS(sv_tenant_book_images(tx, &w.a, 5, &why));
    return sv_backup_set_state(tx, &f->backup, SV_BACKUP_READY, false, &why);
}

static enum sv_err seal_rest(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct faulty *f = arg;
    (void)err;

    WORKS(sv_tenant_book_images(tx, &w.a, 5, &why));
    return sv_backup_set_file(tx, &f->backup, "vdb", 5, sum, &why);
}

static enum sv_err lock_strangely(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct faulty *f = arg;
    struct sv_job job = new_job(tx, &w.a, &(struct sv_id){.s = "x"});
    const struct sv_id strange = sv_id_new();
    struct sv_lock held;
    bool taken = false;
    (void)err;

    WORKS(sv_job_insert(tx, &job, &why));
    WORKS(sv_lock_take(tx, &f->backup, &job.id, 1, &taken, &held, &why)); /* a job may lock backups besides */
    CHECK(taken);
    WORKS(sv_lock_take(tx, &strange, &job.id, 1, &taken, &held, &why));
    CHECK(taken);
    return SV_OK;
}

static void what_must_hold_of_backups(void)
{
    struct faulty f = {.backup = sv_id_new()};
    world_new();
    writing(make_faulty, &f);
    says("");
    writing(who_uses, &f);
    says("is being made and has no open job");
    writing(become_ready, &f);
    says("disk vdb has no size or checksum");
    writing(seal_rest, &f);
    says("");
    writing(lock_strangely, &f);
    says("locks a vm that does not exist");
    world_remove();
}

/* --- disks that need their template no more --------------------------------------------------------------- */

static enum sv_err stand_alone(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_template t = {.id = sv_id_new(),
                                  .tenant = w.a,
                                  .name = "t",
                                  .descr = "",
                                  .os = "",
                                  .format = "raw",
                                  .source = "",
                                  .state = SV_TEMPLATE_READY,
                                  .created = sv_tx_now(tx)};
    const struct sv_id vm = add_vm(tx, &w.a, "vm");
    struct sv_disk d = new_disk(tx, &w.a, &vm);
    struct sv_template seen;
    (void)arg;
    (void)err;

    WORKS(sv_template_insert(tx, &t, &why));
    d.template_id = t.id;
    WORKS(sv_disk_insert(tx, &d, &why));
    WORKS(sv_template_get(tx, sv_scope_system(), &t.id, sv_tx_arena(tx), &seen, &why));
    CHECK_INT(seen.uses, 1);
    for (int i = 0; i < 2; i++) { /* again: nothing to do */
        WORKS(sv_disk_set_standalone(tx, &d.id, &why));
        WORKS(sv_template_get(tx, sv_scope_system(), &t.id, sv_tx_arena(tx), &seen, &why));
        CHECK_INT(seen.uses, 0);
    }
    WORKS(sv_disk_get(tx, sv_scope_system(), &d.id, sv_tx_arena(tx), &d, &why));
    CHECK(sv_id_empty(&d.template_id));
    WORKS(sv_disk_delete_vm(tx, &vm, &why));
    return SV_OK;
}

static void a_disk_alone(void)
{
    world_new();
    writing(stand_alone, NULL);
    world_sound_but_quota();
    world_remove();
}

CHECK_MAIN(T(snapshots_form_trees), T(a_snapshots_row), T(backups_outlive_their_vms), T(what_must_hold_of_backups),
           T(a_disk_alone))
