/* Snapshots by libvirt: what goes back, what stays, and what a libvirt that was killed leaves. The environment is
 * that of test_hv_libvirt; `meson test hv_snapshots` runs it in a sandbox of its own. */
#include "tests/unit/hv_disks.h"

static void any_of_a_chain(void)
{
    begin("qemu");
    struct sv_hv_domain d = two_disks();
    struct sv_id s[5];
    for (int i = 0; i < 5; i++) {
        s[i] = sv_id_new();
        fill(&d.disks[0].id, 10 + i);
        fill(&d.disks[1].id, 20 + i);
        for (int twice = 0; twice < 2; twice++)
            CHECK(!snapshot(&d, &s[i]));
        CHECK_INT(count_in_file(&d.disks[1].id, &s[i]), 1);
    }
    fill(&d.disks[0].id, 99);
    OK(h, define, &d, NULL); /* again, over its snapshots */
    for (int twice = 0; twice < 2; twice++)
        OK(h, snapshot_delete, &d.id, &s[2], NULL);
    CHECK_INT(count_in_file(&d.disks[0].id, &s[2]), 0);
    static const int order[] = {3, 0, 0, 4, 1, 3};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        const int k = order[i];
        OK(h, snapshot_restore, &d, &s[k], false, NULL);
        CHECK(has(&d.disks[0].id, 10 + k) && has(&d.disks[1].id, 20 + k));
        fill(&d.disks[1].id, 98);
    }
    CHECK(SV_HV_CALL(h, snapshot_restore, &d, &s[2], false, NULL) != SV_OK);
    CHECK(SV_HV_CALL(h, snapshot_restore, &d, &s[2], true, NULL) != SV_OK);
    CHECK(has(&d.disks[0].id, 13)); /* nothing was touched */

    /* A disk that came later is left alone, also while the others go back. */
    struct sv_hv_disk later = {.id = sv_id_new(), .target = "vdc", .size = SV_GIB};
    OK(h, volume_create, &later, NULL);
    d.disks[d.disk_count++] = later;
    OK(h, define, &d, NULL);
    fill(&later.id, 77);
    OK(h, snapshot_restore, &d, &s[4], false, NULL);
    CHECK(has(&later.id, 77) && has(&d.disks[0].id, 14) && has(&d.disks[1].id, 24));
    OK(h, start, &d.id, NULL);
    OK(h, snapshot_delete, &d.id, &s[1], NULL); /* while it runs, with a disk that never held it */
    OK(h, destroy, &d.id, NULL);
    CHECK_INT(count_in_file(&d.disks[0].id, &s[1]), 0);
    OK(h, snapshot_restore, &d, &s[0], false, NULL);
    CHECK(has(&d.disks[0].id, 10));
    unmake_two(&d); /* with three snapshots left */
    OK(h, volume_delete, &later.id, NULL);
    CHECK_INT(state_of(&d).power, SV_HV_ABSENT);
    OK(h, snapshot_delete, &d.id, &s[0], NULL);
    end();
}

static void memory_comes_back(void)
{
    begin("qemu");
    struct sv_hv_domain d = two_disks();
    const struct sv_id s = sv_id_new(), paused = sv_id_new();
    fill(&d.disks[1].id, 1);
    OK(h, start, &d.id, NULL);
    for (int twice = 0; twice < 2; twice++)
        CHECK(snapshot(&d, &s));
    OK(h, suspend, &d.id, NULL);
    fill_live(&d, 1, 2);
    CHECK(snapshot(&d, &paused));
    CHECK_INT(state_of(&d).power, SV_HV_PAUSED);
    OK(h, resume, &d.id, NULL);
    fill_live(&d, 1, 3);
    /* The password of now stays, whatever the snapshot has. */
    OK(h, set_vnc_password, &d.id, "new'<&45", NULL);
    SV_COPY(d.vnc_password, "");
    SV_COPY(d.name, "renamed");
    for (int again = 0; again < 2; again++) {
        OK(h, snapshot_restore, &d, &s, true, NULL);
        CHECK_INT(state_of(&d).power, SV_HV_RUNNING);
        CHECK(defined_with(&d, true, "new&apos;&lt;&amp;45") && defined_with(&d, false, "new&apos;&lt;&amp;45"));
        CHECK(!defined_with(&d, true, "first123") && defined_with(&d, false, "<title>renamed</title>"));
    }
    OK(h, destroy, &d.id, NULL);
    CHECK(has(&d.disks[1].id, 1));
    OK(h, snapshot_restore, &d, &paused, true, NULL); /* from off, and what was paused runs */
    CHECK_INT(state_of(&d).power, SV_HV_RUNNING);
    OK(h, snapshot_delete, &d.id, &paused, NULL);
    OK(h, snapshot_restore, &d, &s, false, NULL); /* its disks only */
    CHECK_INT(state_of(&d).power, SV_HV_OFF);
    CHECK(has(&d.disks[1].id, 1) && count_in_file(&d.disks[1].id, &paused) == 0);
    unmake_two(&d);
    end();
}

static void disks_that_grew_go_back_and_keep_their_size(void)
{
    begin("qemu");
    struct sv_hv_domain d = two_disks();
    const struct sv_id off = sv_id_new(), on = sv_id_new();
    const struct sv_id *disk = &d.disks[1].id;
    SV_AUTOFREE char *path = path_of(disk);
    fill(disk, 1);
    CHECK(!snapshot(&d, &off));
    d.disks[1].size = 2 * SV_GIB;
    OK(h, volume_resize, &d.id, disk, 2 * SV_GIB, NULL);
    fill_at(path, 5, "1500M 64k");
    fill(disk, 2);
    OK(h, snapshot_restore, &d, &off, false, NULL);
    CHECK_INT(size_of(disk), 2 * SV_GIB);
    CHECK(has(disk, 1) && file_has_at(path, 0, "1500M 64k"));
    fill(disk, 3);
    OK(h, start, &d.id, NULL);
    CHECK(snapshot(&d, &on));
    d.disks[1].size = 3 * SV_GIB;
    OK(h, volume_resize, &d.id, disk, 3 * SV_GIB, NULL);
    fill_live(&d, 1, 4);
    OK(h, snapshot_restore, &d, &on, true, NULL);
    CHECK_INT(size_of(disk), 3 * SV_GIB);
    OK(h, destroy, &d.id, NULL);
    CHECK(has(disk, 3));
    OK(h, snapshot_restore, &d, &off, false, NULL);
    CHECK_INT(size_of(disk), 3 * SV_GIB);
    CHECK(has(disk, 1));
    unmake_two(&d);
    end();
}

static void what_was_plugged_in_live(void)
{
    begin("qemu");
    struct sv_hv_domain d = two_disks();
    const struct sv_id dimm = sv_id_new(), vcpu = sv_id_new(), later = sv_id_new();
    fill(&d.disks[1].id, 1);
    OK(h, start, &d.id, NULL);
    d.memory = 256 * SV_MIB;
    OK(h, define, &d, NULL);
    OK(h, set_memory, &d.id, d.memory, NULL);
    CHECK(snapshot(&d, &dimm)); /* memory goes back into a guest with more of it */
    fill_live(&d, 1, 2);
    OK(h, snapshot_restore, &d, &dimm, true, NULL);
    CHECK_INT(state_of(&d).memory, 256 * SV_MIB);
    d.vcpus = 2;
    OK(h, define, &d, NULL);
    OK(h, set_vcpus, &d.id, 2, NULL);
    for (int twice = 0; twice < 2; twice++)
        CHECK(!snapshot(&d, &vcpu)); /* but not into one with a vCPU that its QEMU did not begin with */
    fill_live(&d, 1, 3);
    OK(h, snapshot_restore, &d, &vcpu, false, NULL);
    CHECK(has(&d.disks[1].id, 1));
    OK(h, start, &d.id, NULL); /* with both from the start */
    CHECK_INT(state_of(&d).vcpus, 2);
    CHECK(snapshot(&d, &later));
    OK(h, snapshot_restore, &d, &later, true, NULL);
    CHECK_INT(state_of(&d).power, SV_HV_RUNNING);
    unmake_two(&d);
    end();
}

/* A libvirt that was killed had made it in the files, but not in its list. */
static void half_made_ones(void)
{
    begin("qemu");
    struct sv_hv_domain d = two_disks();
    const struct sv_id s = sv_id_new();
    SV_AUTOFREE char *path = path_of(&d.disks[1].id);
    const char *const make_stray[] = {"qemu-img", "snapshot", "-c", s.s, path, NULL};
    output_of(make_stray, NULL);
    CHECK(!snapshot(&d, &s));
    CHECK_INT(count_in_file(&d.disks[1].id, &s), 1);
    OK(h, snapshot_delete, &d.id, &s, NULL);
    output_of(make_stray, NULL);
    OK(h, snapshot_delete, &d.id, &s, NULL);
    CHECK_INT(count_in_file(&d.disks[1].id, &s), 0);
    output_of(make_stray, NULL);
    OK(h, start, &d.id, NULL);
    OK(h, snapshot_delete, &d.id, &s, NULL);
    CHECK_INT(count_in_file(&d.disks[1].id, &s), 0);
    unmake_two(&d);
    end();
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {
        T(any_of_a_chain),           T(memory_comes_back), T(disks_that_grew_go_back_and_keep_their_size),
        T(what_was_plugged_in_live), T(half_made_ones),
    };
    return run_tests(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
