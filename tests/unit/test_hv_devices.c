/* What comes and goes while a guest of libvirt's runs: disks, NICs, sizes, passwords, the agent. The
 * environment is that of test_hv_libvirt; `meson test hv_devices` runs it in a sandbox of its own. */
#include "tests/unit/hv_libvirt.h"

/* --- what libvirt has --- */

static void dump(const struct sv_hv_domain *d, bool live, struct sv_buf *xml)
{
    const char *const argv[] = {
        "virsh", "-q", "-c", uri, "dumpxml", "--security-info", d->id.s, live ? NULL : "--inactive", NULL};
    output_of(argv, xml);
}

static bool has(const struct sv_hv_domain *d, bool live, const char *text)
{
    struct sv_buf xml = {0};
    dump(d, live, &xml);
    const bool found = strstr(xml.p, text);
    sv_buf_free(&xml);
    return found;
}

static struct sv_hv_disk data_disk(const char *target)
{
    struct sv_hv_disk d = {.id = sv_id_new(), .size = SV_GIB};
    SV_COPY(d.target, target);
    return d;
}

static char *path_of(const struct sv_id *disk)
{
    return sv_asprintf("%s/images/%s.qcow2", dir, disk->s);
}

static int64_t size_of(const struct sv_id *disk)
{
    int64_t size = 0;
    CHECK_INT(lv_volume_size(lv_host_of(h), disk, &size, err), SV_OK);
    return size;
}

/* --- guests whose firmware does not answer --- */

static void devices_are_plugged_once(void)
{
    begin("qemu");
    struct sv_hv_domain d = guest();
    struct sv_hv_disk b = data_disk("vdb");
    const struct sv_hv_nic n = {
        .id = sv_id_new(), .kind = SV_HV_NIC_ISOLATED, .tap = "svtest1", .mac = {2, 0, 0, 0, 0, 0xab}};
    char serial[LV_SERIAL_LEN + 1];
    lv_disk_serial(&b.id, serial);
    OK(h, disk_attach, &d.id, &b, NULL); /* absent */
    OK(h, disk_detach, &d.id, &b.id, NULL);
    make(&d);
    OK(h, disk_attach, &d.id, &b, NULL); /* off */
    OK(h, disk_detach, &d.id, &b.id, NULL);
    OK(h, nic_attach, &d.id, &n, NULL);
    OK(h, nic_detach, &d.id, &n, NULL);
    CHECK(!has(&d, false, serial) && !has(&d, false, "02:00:00:00:00:ab"));
    OK(h, start, &d.id, NULL);
    CHECK(SV_HV_CALL(h, disk_attach, &d.id, &b, NULL) != SV_OK); /* its file is not there */
    CHECK(!strchr(err->arg[0], '/'));
    OK(h, volume_create, &b, NULL);
    for (int twice = 0; twice < 2; twice++) {
        OK(h, disk_attach, &d.id, &b, NULL);
        OK(h, nic_attach, &d.id, &n, NULL);
    }
    CHECK(has(&d, true, serial) && has(&d, true, "02:00:00:00:00:ab") && has(&d, true, "svtest1"));
    CHECK(!has(&d, false, serial) && !has(&d, false, "02:00:00:00:00:ab"));
    struct sv_hv_disk c = data_disk("vdb");
    OK(h, volume_create, &c, NULL);
    CHECK(SV_HV_CALL(h, disk_attach, &d.id, &c, NULL) != SV_OK); /* vdb is taken */

    /* Nobody in there lets go of anything; asked twice it is the same. */
    for (int twice = 0; twice < 2; twice++) {
        struct sv_deadline soon = sv_deadline_within(NULL, 8000);
        CHECK_INT(SV_HV_CALL(h, disk_detach, &d.id, &b.id, &soon), SV_E_JOB_DEADLINE);
    }
    CHECK(has(&d, true, serial));
    OK(h, destroy, &d.id, NULL);
    OK(h, disk_detach, &d.id, &b.id, NULL);
    OK(h, volume_delete, &b.id, NULL);
    OK(h, volume_delete, &c.id, NULL);
    unmake(&d);
    end();
}

static void volumes_grow(void)
{
    begin("qemu");
    struct sv_hv_domain d = guest();
    struct sv_hv_disk alone = data_disk("vdb");
    make(&d);
    OK(h, volume_create, &alone, NULL);
    for (int twice = 0; twice < 2; twice++)
        OK(h, volume_resize, &d.id, &d.disks[0].id, 2 * SV_GIB, NULL);
    CHECK_INT(size_of(&d.disks[0].id), 2 * SV_GIB);
    OK(h, start, &d.id, NULL);
    for (int twice = 0; twice < 2; twice++)
        OK(h, volume_resize, &d.id, &d.disks[0].id, 3 * SV_GIB, NULL);
    CHECK_INT(size_of(&d.disks[0].id), 3 * SV_GIB);
    CHECK_INT(SV_HV_CALL(h, volume_resize, &d.id, &d.disks[0].id, SV_GIB, NULL), SV_E_UNSUPPORTED);
    CHECK_INT(size_of(&d.disks[0].id), 3 * SV_GIB);
    OK(h, volume_resize, &d.id, &alone.id, 2 * SV_GIB, NULL); /* not plugged in: its file is nobody's */
    CHECK_INT(size_of(&alone.id), 2 * SV_GIB);
    OK(h, volume_delete, &alone.id, NULL);
    CHECK_INT(SV_HV_CALL(h, volume_resize, &d.id, &alone.id, 4 * SV_GIB, NULL), SV_E_DISK_FILE);
    struct sv_buf info = {0};
    SV_AUTOFREE char *path = path_of(&d.disks[0].id);
    const char *const argv[] = {"qemu-img", "info", "-U", path, NULL};
    output_of(argv, &info);
    CHECK(strstr(info.p, "virtual size: 3 GiB"));
    sv_buf_free(&info);
    unmake(&d);
    end();
}

/* A disk on a template grows, too, off and running; its file stays the overlay it was. */
static void overlays_grow(void)
{
    begin("qemu");
    const struct sv_id tmpl = sv_id_new();
    int64_t size = 0, virtual_size = 0;
    SV_AUTOFREE char *raw = sv_asprintf("%s/source.raw", dir);
    FILE *f = fopen(raw, "w");
    CHECK(f && ftruncate(fileno(f), SV_GIB) == 0);
    fclose(f);
    OK(h, template_put, &tmpl, raw, "raw", &size, &virtual_size, NULL, NULL, NULL);
    unlink(raw);
    struct sv_hv_domain d = guest();
    struct sv_hv_disk b = data_disk("vdb");
    d.disks[0].template_id = b.template_id = tmpl;
    make(&d);
    OK(h, volume_resize, &d.id, &d.disks[0].id, 2 * SV_GIB, NULL);
    OK(h, start, &d.id, NULL);
    OK(h, volume_resize, &d.id, &d.disks[0].id, 3 * SV_GIB, NULL);
    OK(h, volume_create, &b, NULL);
    OK(h, disk_attach, &d.id, &b, NULL); /* the template is shared by two disks of one guest */
    CHECK_INT(size_of(&d.disks[0].id), 3 * SV_GIB);
    unmake(&d);
    OK(h, volume_delete, &b.id, NULL);
    OK(h, template_delete, &tmpl, NULL);
    end();
}

struct told {
    int64_t last;
    unsigned times;
};

static void on_copied(void *arg, int64_t done, int64_t total)
{
    struct told *t = arg;
    CHECK(done >= t->last && done <= total);
    t->last = done;
    t->times++;
}

/* A full copy is larger than its template and needs it no more; what is in the way of one leaves nothing. */
static void full_copies_stand_alone(void)
{
    begin("qemu");
    const struct sv_id tmpl = sv_id_new();
    struct told told = {0};
    int64_t size = 0, virtual_size = 0;
    SV_AUTOFREE char *raw = sv_asprintf("%s/source.raw", dir);
    FILE *f = fopen(raw, "w");
    CHECK(f && ftruncate(fileno(f), SV_GIB) == 0 && fputs("atthebeginning12", f) >= 0);
    fclose(f);
    OK(h, template_put, &tmpl, raw, "raw", &size, &virtual_size, NULL, NULL, NULL);
    unlink(raw);
    struct sv_hv_domain d = guest();
    d.disks[0].template_id = tmpl;
    d.disks[0].full = true;
    d.disks[0].size = 2 * SV_GIB;
    d.disks[0].progress = on_copied;
    d.disks[0].progress_arg = &told;
    OK(h, volume_create, &d.disks[0], NULL);
    OK(h, volume_create, &d.disks[0], NULL); /* there already */
    CHECK(told.times > 0);
    CHECK_INT(size_of(&d.disks[0].id), 2 * SV_GIB);
    OK(h, template_delete, &tmpl, NULL);
    SV_AUTOFREE char *path = lv_volume_path(lv_host_of(h)->image_dir, &d.disks[0].id, false);
    const char *const argv[] = {"qemu-img", "info", "--backing-chain", path, NULL};
    struct sv_buf info = {0};
    output_of(argv, &info);
    CHECK(strstr(info.p, "virtual size: 2 GiB") && !strstr(info.p, "backing"));
    sv_buf_free(&info);
    const char *const dd[] = {"qemu-io", "-r", "-f", "qcow2", "-c", "read -v 0 16", path, NULL};
    output_of(dd, &info);
    CHECK(strstr(info.p, "atthebeginning12"));
    sv_buf_free(&info);
    d.disks[0].template_id = sv_id_from(""); /* as the row says afterwards */
    OK(h, define, &d, NULL);
    OK(h, start, &d.id, NULL);
    unmake(&d);
    /* without the template there is nothing to copy */
    struct sv_hv_disk none = data_disk("vdb");
    none.template_id = tmpl;
    none.full = true;
    CHECK(SV_HV_CALL(h, volume_create, &none, NULL) != SV_OK);
    SV_AUTOFREE char *absent = lv_volume_path(lv_host_of(h)->image_dir, &none.id, false);
    CHECK(access(absent, F_OK) != 0);
    end();
}

static void vnc_passwords(void)
{
    begin("qemu");
    struct sv_hv_domain d = guest();
    CHECK_INT(SV_HV_CALL(h, set_vnc_password, &d.id, "x", NULL), SV_E_DOMAIN_MISSING);
    make(&d);
    OK(h, set_vnc_password, &d.id, "cold5678", NULL);
    CHECK(has(&d, false, "passwd='cold5678'"));
    OK(h, start, &d.id, NULL);
    for (int twice = 0; twice < 2; twice++)
        OK(h, set_vnc_password, &d.id, "h<t&'\"78", NULL);
    CHECK(has(&d, false, "h&lt;t&amp;") && has(&d, true, "h&lt;t&amp;") && !has(&d, true, "cold5678"));
    SV_COPY(d.vnc_password, "");
    OK(h, define, &d, NULL);
    CHECK(has(&d, false, "h&lt;t&amp;"));
    CHECK(SV_HV_CALL(h, set_vnc_password, &d.id, "123456789", NULL) != SV_OK); /* RFB has eight */
    unmake(&d);
    end();
}

static void who_does_not_run_is_not_asked(void)
{
    begin("qemu");
    struct sv_hv_domain d = guest();
    CHECK_INT(SV_HV_CALL(h, set_password, &d.id, "root", "x", NULL), SV_E_DOMAIN_MISSING);
    CHECK_INT(SV_HV_CALL(h, agent_sync, &d.id, NULL), SV_E_DOMAIN_MISSING);
    make(&d);
    CHECK_INT(SV_HV_CALL(h, set_password, &d.id, "root", "x", NULL), SV_E_VM_STATE);
    CHECK_INT(SV_HV_CALL(h, agent_sync, &d.id, NULL), SV_E_VM_STATE);
    OK(h, start, &d.id, NULL);
    CHECK_INT(SV_HV_CALL(h, set_password, &d.id, "root", "x", NULL), SV_E_VM_NO_AGENT);
    const struct sv_deadline soon = sv_deadline_within(NULL, 15000);
    const enum sv_err rc = SV_HV_CALL(h, agent_sync, &d.id, &soon);
    CHECK(rc == SV_E_VM_NO_AGENT || rc == SV_E_HOST_TIMEOUT);
    CHECK(has(&d, true, LV_AGENT_CHANNEL)); /* re-plugged, not lost */
    OK(h, suspend, &d.id, NULL);
    CHECK_INT(SV_HV_CALL(h, set_password, &d.id, "root", "x", NULL), SV_E_VM_STATE);
    unmake(&d);
    end();
}

/* --- a guest that answers --- */

static struct sv_hv_domain boot(const struct sv_id *tmpl)
{
    int64_t size = 0, virtual_size = 0;
    OK(h, template_put, tmpl, getenv("STARVIRT_TEST_GUEST"), NULL, &size, &virtual_size, NULL, NULL, NULL);
    struct sv_hv_domain d = guest();
    d.disks[0].template_id = *tmpl;
    d.disks[0].size = virtual_size;
    make(&d);
    unsigned agents = seen.agents;
    OK(h, start, &d.id, NULL);
    UNTIL(seen.agents > agents && seen.agent, 120);
    return d;
}

static void a_guest_lets_go(void)
{
    if (skip("a_guest_lets_go", "STARVIRT_TEST_GUEST"))
        return;
    begin("qemu");
    const struct sv_id tmpl = sv_id_new();
    struct sv_hv_domain d = boot(&tmpl);
    struct sv_hv_disk b = data_disk("vdb");
    const struct sv_hv_nic n = {
        .id = sv_id_new(), .kind = SV_HV_NIC_ISOLATED, .tap = "svtest1", .mac = {2, 0, 0, 0, 0, 0xab}};
    const struct sv_deadline enough = sv_deadline_within(NULL, 120000);
    char serial[LV_SERIAL_LEN + 1];
    lv_disk_serial(&b.id, serial);
    OK(h, volume_create, &b, NULL);
    for (int again = 0; again < 3; again++) {
        OK(h, disk_attach, &d.id, &b, NULL);
        OK(h, nic_attach, &d.id, &n, NULL);
        CHECK(has(&d, true, serial) && has(&d, true, "02:00:00:00:00:ab"));
        for (int twice = 0; twice < 2; twice++) {
            OK(h, disk_detach, &d.id, &b.id, &enough);
            OK(h, nic_detach, &d.id, &n, &enough);
        }
        CHECK(!has(&d, true, serial) && !has(&d, true, "02:00:00:00:00:ab"));
    }
    OK(h, volume_resize, &d.id, &d.disks[0].id, 2 * SV_GIB, NULL);
    unmake(&d);
    OK(h, volume_delete, &b.id, NULL);
    OK(h, template_delete, &tmpl, NULL);
    end();
}

static void take_channel(const struct sv_hv_domain *d)
{
    struct sv_buf xml = {0};
    dump(d, true, &xml);
    SV_AUTOFREE char *channel = lv_xml_around(xml.p, "channel", LV_AGENT_CHANNEL);
    SV_AUTOFREE char *path = sv_asprintf("%s/channel.xml", dir);
    FILE *f = fopen(path, "w");
    CHECK(channel && f && fputs(channel, f) >= 0 && fclose(f) == 0);
    sv_buf_free(&xml);
    const char *const unplug[] = {"virsh", "-q", "-c", uri, "detach-device", d->id.s, path, "--live", NULL};
    output_of(unplug, NULL);
    unlink(path);
    CHECK(!has(d, true, LV_AGENT_CHANNEL));
}

static void passwords_and_the_agent(void)
{
    if (skip("passwords_and_the_agent", "STARVIRT_TEST_GUEST"))
        return;
    begin("qemu");
    const struct sv_id tmpl = sv_id_new();
    struct sv_hv_domain d = boot(&tmpl);
    OK(h, set_password, &d.id, "root", "a:b c'\"\\", NULL);
    CHECK(SV_HV_CALL(h, set_password, &d.id, "nobody-here", "x", NULL) != SV_OK);
    OK(h, agent_sync, &d.id, NULL); /* it answers: nothing is plugged */
    /* Its channel goes under it. */
    take_channel(&d);
    CHECK_INT(SV_HV_CALL(h, set_password, &d.id, "root", "x", NULL), SV_E_VM_NO_AGENT);
    const struct sv_deadline enough = sv_deadline_within(NULL, 120000);
    for (int twice = 0; twice < 2; twice++)
        OK(h, agent_sync, &d.id, &enough);
    CHECK(state_of(&d).agent);
    OK(h, set_password, &d.id, "root", "x", NULL);
    unmake(&d);
    OK(h, template_delete, &tmpl, NULL);
    end();
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {
        T(devices_are_plugged_once),
        T(volumes_grow),
        T(overlays_grow),
        T(full_copies_stand_alone),
        T(vnc_passwords),
        T(who_does_not_run_is_not_asked),
        T(a_guest_lets_go),
        T(passwords_and_the_agent),
    };
    return run_tests(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
