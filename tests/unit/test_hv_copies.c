/* Copies of disks by libvirt: out, in, broken off, onto a full storage, and what a killed server leaves. The
 * environment is that of test_hv_libvirt; `meson test hv_copies` runs it in a sandbox of its own. Disks are written and
 * read by patterns, outside of guests by qemu-io; guests that are asked for something are those of scripts/guest-image.
 */
#include "tests/unit/hv_disks.h"

#include "starvirt/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* --- copies --- */

static struct {
    int64_t done, total;
    atomic_uint times;
    atomic_bool cancel;
    bool cancels;
} told;

static void on_progress(void *arg, int64_t done, int64_t total)
{
    (void)arg;
    CHECK(done >= 0 && done <= total);
    told.done = done;
    told.total = total;
    told.times++;
    if (told.cancels)
        told.cancel = true;
    pthread_mutex_lock(&seen.mu);
    pthread_cond_broadcast(&seen.changed);
    pthread_mutex_unlock(&seen.mu);
}

static void copies_of(const struct sv_hv_domain *d, const char *where, struct sv_hv_copy c[2])
{
    for (int i = 0; i < 2; i++) {
        SV_AUTOFREE char *path = sv_asprintf("%s/%s-%d.qcow2", dir, where, i);
        c[i].disk = d->disks[i].id;
        SV_COPY(c[i].path, path);
    }
}

static bool standalone(const char *path)
{
    struct sv_image image;
    return sv_image_check(path, "qcow2", &image, err) == SV_OK && image.virtual_size == SV_GIB;
}

static bool job_of_libvirt(const struct sv_hv_domain *d)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    const char *const argv[] = {"virsh", "-q", "-c", uri, "domjobinfo", d->id.s, NULL};
    output_of(argv, &out);
    return !strstr(out.p, "None");
}

/* Two disks on a template that has a pattern of its own where they have nothing. */
static struct sv_hv_domain on_template(const struct sv_id *tmpl)
{
    int64_t size = 0, virtual_size = 0;
    SV_AUTOFREE char *source = sv_asprintf("%s/source.qcow2", dir);
    CHECK_INT(lv_qcow2_create(source, SV_GIB, NULL, err), SV_OK);
    fill_at(source, 50, PLACE);
    fill_at(source, 51, "8M 64k");
    OK(h, template_put, tmpl, source, "qcow2", &size, &virtual_size, NULL, NULL, NULL);
    unlink(source);
    struct sv_hv_domain d = guest();
    d.disk_count = 2;
    d.disks[0].template_id = *tmpl;
    d.disks[1] = (struct sv_hv_disk){.id = sv_id_new(), .target = "vdb", .size = SV_GIB};
    OK(h, volume_create, &d.disks[1], NULL);
    make(&d);
    return d;
}

static void a_copy_goes_out_and_comes_in(void)
{
    begin("qemu");
    const struct sv_id tmpl = sv_id_new();
    struct sv_hv_domain d = on_template(&tmpl);
    struct sv_hv_copy off[2], on[2];
    bool quiesced = true;
    SV_AUTOFREE char *vda = path_of(&d.disks[0].id);
    copies_of(&d, "off", off);
    copies_of(&d, "on", on);
    fill_at(vda, 0, "8M 64k"); /* zeros over what the template has there */
    fill(&d.disks[1].id, 1);
    for (int twice = 0; twice < 2; twice++) {
        told.times = 0;
        OK(h, copy_out, &d.id, off, 2, &quiesced, on_progress, NULL, NULL);
        CHECK(!quiesced && told.times > 0 && told.done == told.total && told.total == 2 * SV_GIB);
    }
    CHECK(standalone(off[0].path) && standalone(off[1].path));
    CHECK(file_has_at(off[0].path, 50, PLACE) && file_has_at(off[0].path, 0, "8M 64k"));
    CHECK(file_has_at(off[1].path, 1, PLACE));

    fill(&d.disks[1].id, 2);
    OK(h, start, &d.id, NULL);
    for (int twice = 0; twice < 2; twice++) {
        told.times = 0;
        OK(h, copy_out, &d.id, on, 2, &quiesced, on_progress, NULL, NULL);
        CHECK(!quiesced && told.times > 0 && told.done == told.total && told.total == 2 * SV_GIB);
    }
    CHECK(!job_of_libvirt(&d));
    CHECK_INT(state_of(&d).power, SV_HV_RUNNING);
    CHECK(standalone(on[0].path) && standalone(on[1].path));
    CHECK(file_has_at(on[0].path, 50, PLACE) && file_has_at(on[0].path, 0, "8M 64k"));
    CHECK(file_has_at(on[1].path, 2, PLACE));
    OK(h, suspend, &d.id, NULL);
    OK(h, copy_out, &d.id, &on[1], 1, &quiesced, NULL, NULL, NULL); /* one of them, of a guest that is paused */
    CHECK_INT(state_of(&d).power, SV_HV_PAUSED);
    CHECK(file_has_at(on[1].path, 2, PLACE));
    OK(h, destroy, &d.id, NULL);

    /* In again, grown; the disk stands on its template no more, and its zeros are zeros to the guest. */
    d.disks[0].size = 2 * SV_GIB;
    for (int twice = 0; twice < 2; twice++)
        OK(h, copy_in, &d.disks[0], on[0].path, on_progress, NULL, NULL);
    OK(h, copy_in, &d.disks[1], off[1].path, NULL, NULL, NULL);
    CHECK_INT(size_of(&d.disks[0].id), 2 * SV_GIB);
    CHECK(lv_qcow2_stands_alone(vda) && has(&d.disks[0].id, 50) && has(&d.disks[1].id, 1));
    CHECK(file_has_at(vda, 0, "8M 64k") && file_has_at(vda, 0, "1500M 64k"));
    OK(h, define, &d, NULL);
    CHECK(!defined_with(&d, false, tmpl.s));
    OK(h, start, &d.id, NULL);
    OK(h, copy_out, &d.id, on, 2, &quiesced, NULL, NULL, NULL);
    CHECK(file_has_at(on[0].path, 0, "8M 64k"));
    CHECK_INT(SV_HV_CALL(h, copy_in, &d.disks[1], dir, NULL, NULL, NULL), SV_E_IMAGE_REFUSED);
    unmake_two(&d);
    const struct sv_hv_disk fresh = {.id = sv_id_new(), .target = "vda", .size = SV_GIB};
    OK(h, copy_in, &fresh, off[1].path, NULL, NULL, NULL); /* made where none was */
    CHECK(has(&fresh.id, 1));
    OK(h, volume_delete, &fresh.id, NULL);
    OK(h, template_delete, &tmpl, NULL);
    end();
}

static void a_copy_is_cancelled(void)
{
    begin("qemu");
    struct sv_hv_domain d = two_disks();
    struct sv_hv_copy c[2];
    bool quiesced = false;
    copies_of(&d, "cancelled", c);
    SV_AUTOFREE char *path = path_of(&d.disks[1].id);
    fill_at(path, 3, "0 400M");
    OK(h, start, &d.id, NULL);
    told.cancels = true;
    told.cancel = false;
    const struct sv_deadline until = {.cancel = &told.cancel};
    CHECK_INT(SV_HV_CALL(h, copy_out, &d.id, c, 2, &quiesced, on_progress, NULL, &until), SV_E_JOB_CANCELLED);
    told.cancels = false;
    CHECK(access(c[0].path, F_OK) != 0 && access(c[1].path, F_OK) != 0);
    CHECK(!job_of_libvirt(&d));
    const struct sv_deadline soon = sv_deadline_within(NULL, 400);
    const enum sv_err rc = SV_HV_CALL(h, copy_out, &d.id, c, 2, &quiesced, NULL, NULL, &soon);
    CHECK(rc == SV_OK || rc == SV_E_JOB_DEADLINE || rc == SV_E_HOST_TIMEOUT);
    CHECK(!job_of_libvirt(&d) && (rc == SV_OK || access(c[1].path, F_OK) != 0));
    OK(h, copy_abort, &d.id, NULL); /* nothing to do */
    OK(h, copy_out, &d.id, c, 2, &quiesced, NULL, NULL, NULL);
    CHECK(file_has_at(c[1].path, 3, "0 400M"));
    unmake_two(&d);
    OK(h, copy_abort, &d.id, NULL); /* absent */
    end();
}

/* What a server that was killed leaves: a job of libvirt's that nobody waits for. */
static void a_job_that_was_left_behind(void)
{
    begin("qemu");
    struct sv_hv_domain d = two_disks();
    OK(h, copy_abort, &d.id, NULL); /* off */
    OK(h, start, &d.id, NULL);
    SV_AUTOFREE char *path = sv_asprintf("%s/pull.xml", dir);
    FILE *f = fopen(path, "w");
    CHECK(f &&
          fprintf(f,
                  "<domainbackup mode='pull'><server transport='unix' socket='%s/nbd'/><disks>"
                  "<disk name='vdb' backup='yes' type='file'><scratch file='%s/scratch'/></disk>"
                  "</disks></domainbackup>",
                  dir, dir) > 0 &&
          fclose(f) == 0);
    const char *const argv[] = {"virsh", "-q", "-c", uri, "backup-begin", d.id.s, path, NULL};
    output_of(argv, NULL);
    CHECK(job_of_libvirt(&d));
    for (int twice = 0; twice < 2; twice++)
        OK(h, copy_abort, &d.id, NULL);
    CHECK(!job_of_libvirt(&d));
    CHECK_INT(state_of(&d).power, SV_HV_RUNNING);
    unmake_two(&d);
    end();
}

/* --- libvirt dies and comes back --- */

static struct {
    const struct sv_hv_domain *d;
    struct sv_hv_copy c[2];
    enum sv_err rc;
} behind;

static void *copy_behind(void *arg)
{
    struct sv_error e2 = {0};
    bool quiesced = false;
    (void)arg;
    behind.rc = h->ops->copy_out(h, &behind.d->id, behind.c, 2, &quiesced, on_progress, NULL, NULL, &e2);
    return NULL;
}

/* [MiB/s] of the second disk's job; 0 = as fast as can be. An error, as of a job that ended, is only printed. */
static void set_speed(const struct sv_hv_domain *d, int speed)
{
    SV_AUTOFREE char *command = sv_asprintf("block_job_set_speed backup-vdb-libvirt-1-format %d", speed);
    const char *const argv[] = {"virsh", "-q", "-c", uri, "qemu-monitor-command", d->id.s, "--hmp", command, NULL};
    output_of(argv, NULL);
}

static void a_copy_outlives_libvirtd(void)
{
    if (skip("a_copy_outlives_libvirtd", "STARVIRT_TEST_LIBVIRTD_PIDFILE"))
        return;
    begin("qemu");
    struct sv_hv_domain d = two_disks();
    pthread_t t;
    SV_AUTOFREE char *path = path_of(&d.disks[1].id);
    fill_at(path, 3, "0 400M");
    OK(h, start, &d.id, NULL);
    copies_of(&d, "outlives", behind.c);
    behind.d = &d;
    told.times = 0;
    CHECK_INT(pthread_create(&t, NULL, copy_behind, NULL), 0);
    UNTIL(told.times > 0, 30);
    set_speed(&d, 1);
    CHECK(job_of_libvirt(&d));
    unsigned downs = seen.downs;
    CHECK_INT(kill(daemon_pid(), SIGKILL), 0);
    UNTIL(seen.downs > downs, 30);
    const char *const again[] = {"libvirtd", "-d", NULL};
    output_of(again, NULL);
    UNTIL(seen.connected, 90);
    CHECK(job_of_libvirt(&d));
    set_speed(&d, 0);
    CHECK_INT(pthread_join(t, NULL), 0);
    CHECK_INT(behind.rc, SV_OK);
    CHECK(standalone(behind.c[1].path) && file_has_at(behind.c[1].path, 3, "0 400M") && !job_of_libvirt(&d));
    unmake_two(&d);
    end();
}

/* --- a storage without room --- */

static char *small_storage(const char *name, const char *options)
{
    char *path = sv_asprintf("%s/%s", dir, name);
    CHECK(mkdir(path, 0711) == 0 || errno == EEXIST);
    CHECK(mount("tmpfs", path, "tmpfs", 0, options) == 0);
    return path;
}

static unsigned entries(const char *path)
{
    unsigned n = 0;
    DIR *at = opendir(path);
    CHECK(at);
    for (struct dirent *entry; (entry = readdir(at));)
        n += entry->d_name[0] != '.';
    closedir(at);
    return n;
}

static void copies_onto_a_full_storage(void)
{
    begin("qemu");
    struct sv_hv_domain d = two_disks();
    struct sv_hv_copy c[2];
    bool quiesced = false;
    SV_AUTOFREE char *path = path_of(&d.disks[1].id);
    SV_AUTOFREE char *small = small_storage("small", "size=8m");
    copies_of(&d, "small/copy", c);
    fill_at(path, 3, "0 20M");
    CHECK_INT(SV_HV_CALL(h, copy_out, &d.id, c, 2, &quiesced, NULL, NULL, NULL), SV_E_STORAGE_FULL);
    CHECK_INT(entries(small), 0);
    OK(h, start, &d.id, NULL);
    CHECK_INT(SV_HV_CALL(h, copy_out, &d.id, c, 2, &quiesced, NULL, NULL, NULL), SV_E_STORAGE_FULL);
    CHECK_INT(entries(small), 0);
    /* It fills up while QEMU copies. */
    for (int i = 0; i < 2; i++)
        CHECK_INT(lv_qcow2_create(c[i].path, SV_GIB, NULL, err), SV_OK);
    enum sv_err rc = lv_copy_live(lv_host_of(h), &d.id, c, 2, &quiesced, NULL, NULL, NULL, err);
    CHECK_INT(lv_unless_full(c[0].path, rc, err), SV_E_STORAGE_FULL);
    CHECK(!job_of_libvirt(&d));
    CHECK_INT(state_of(&d).power, SV_HV_RUNNING);
    unmake_two(&d);
    CHECK(umount(small) == 0);
    end();
}

static void a_full_image_directory(void)
{
    begin("qemu");
    SV_AUTOFREE char *images = small_storage("images", "size=48m");
    struct sv_hv_domain d = two_disks();
    const struct sv_id s = sv_id_new();
    bool memory = false;
    SV_AUTOFREE char *path = path_of(&d.disks[1].id);
    SV_AUTOFREE char *source = sv_asprintf("%s/big.qcow2", dir);
    CHECK_INT(lv_qcow2_create(source, SV_GIB, NULL, err), SV_OK);
    fill_at(source, 9, "0 60M");
    fill(&d.disks[1].id, 1);
    const unsigned files = entries(images);
    CHECK_INT(SV_HV_CALL(h, copy_in, &d.disks[1], source, NULL, NULL, NULL), SV_E_STORAGE_FULL);
    CHECK(has(&d.disks[1].id, 1) && entries(images) == files);
    OK(h, start, &d.id, NULL);
    CHECK_INT(SV_HV_CALL(h, snapshot_create, &d.id, &s, &memory, NULL), SV_E_STORAGE_FULL);
    CHECK_INT(state_of(&d).power, SV_HV_RUNNING);
    CHECK_INT(count_in_file(&d.disks[0].id, &s), 0);
    CHECK_INT(entries(images), files);
    OK(h, destroy, &d.id, NULL);
    CHECK(!snapshot(&d, &s)); /* without memory there is room enough */
    /* Not a byte is left: the list of snapshots does not get into the file. */
    SV_AUTOFREE char *rest = sv_asprintf("%s/rest", images);
    const struct sv_id full = sv_id_new();
    SV_AUTOFREE char *of = sv_asprintf("of=%s", rest);
    const char *const argv[] = {"dd", "if=/dev/zero", of, "bs=4k", NULL};
    const struct sv_proc p = {.argv = argv};
    int status = 0;
    CHECK_INT(sv_proc_run(&p, &status, err), SV_OK);
    CHECK_INT(SV_HV_CALL(h, snapshot_create, &d.id, &full, &memory, NULL), SV_E_STORAGE_FULL);
    CHECK(unlink(rest) == 0);
    CHECK_INT(count_in_file(&d.disks[0].id, &full), 0);
    CHECK_INT(count_in_file(&d.disks[1].id, &full), 0);
    OK(h, snapshot_restore, &d, &s, false, NULL);
    CHECK(file_has_at(path, 1, PLACE));
    unlink(source);
    unmake_two(&d);
    CHECK(umount(images) == 0);
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
    d.disk_count = 2;
    d.disks[1] = (struct sv_hv_disk){.id = sv_id_new(), .target = "vdb", .size = SV_GIB};
    OK(h, volume_create, &d.disks[1], NULL);
    make(&d);
    unsigned agents = seen.agents;
    OK(h, start, &d.id, NULL);
    UNTIL(seen.agents > agents && seen.agent, 120);
    return d;
}

static char *agent(const struct sv_hv_domain *d, const char *command)
{
    struct sv_buf out = {0};
    const char *const argv[] = {"virsh",     "-q", "-c",    uri,     "qemu-agent-command",
                                "--timeout", "20", d->id.s, command, NULL};
    output_of(argv, &out);
    return sv_buf_steal(&out);
}

/* What a script in the guest says. */
static char *inside(const struct sv_hv_domain *d, const char *script)
{
    char pid[24] = "";
    SV_AUTOFREE char *run =
        sv_asprintf("{\"execute\":\"guest-exec\",\"arguments\":{\"path\":\"/bin/sh\",\"arg\":[\"-c\","
                    "\"%s\"],\"capture-output\":true}}",
                    script);
    SV_AUTOFREE char *began = agent(d, run);
    const char *at = strstr(began, "\"pid\":");
    CHECK(at);
    SV_COPY(pid, at + 6);
    pid[strspn(pid, "0123456789")] = '\0';
    SV_AUTOFREE char *ask = sv_asprintf("{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":%s}}", pid);
    const struct sv_deadline d60 = sv_deadline_within(NULL, 60000);
    for (;;) {
        SV_AUTOFREE char *status = agent(d, ask);
        CHECK(!sv_deadline_over(&d60));
        if (!strstr(status, "\"exited\":true"))
            continue;
        const char *data = strstr(status, "\"out-data\":\"");
        unsigned char text[256] = {0};
        size_t n = 0, bad = 0;
        CHECK(!data || (strcspn(data + 12, "\"") < sizeof(text) &&
                        sv_b64_decode(data + 12, strcspn(data + 12, "\""), text, &n, &bad)));
        text[n] = '\0';
        text[strcspn((char *)text, "\n")] = '\0';
        return sv_strdup((char *)text);
    }
}

static bool says(const struct sv_hv_domain *d, const char *script, const char *word)
{
    SV_AUTOFREE char *got = inside(d, script);
    if (strcmp(got, word) != 0)
        fprintf(stderr, "%s: %s, not %s\n", script, got, word);
    return strcmp(got, word) == 0;
}

static bool is_frozen(const struct sv_hv_domain *d)
{
    SV_AUTOFREE char *status = agent(d, "{\"execute\":\"guest-fsfreeze-status\"}");
    return strstr(status, "frozen") != NULL;
}

#define WRITE(word) "printf " word " | dd of=/dev/vdb bs=512 conv=notrunc,fsync 2>/dev/null"
#define READ        "dd if=/dev/vdb bs=512 count=1 2>/dev/null | head -c 5"

static void a_guest_goes_on_from_where_it_was(void)
{
    if (skip("a_guest_goes_on_from_where_it_was", "STARVIRT_TEST_GUEST"))
        return;
    begin("qemu");
    const struct sv_id tmpl = sv_id_new(), s = sv_id_new();
    struct sv_hv_domain d = boot(&tmpl);
    SV_AUTOFREE char *boot_id = inside(&d, "cat /proc/sys/kernel/random/boot_id");
    free(inside(&d, WRITE("first") "; hostname inside-first"));
    CHECK(snapshot(&d, &s));
    free(inside(&d, WRITE("other") "; hostname inside-other"));
    for (int again = 0; again < 2; again++) {
        unsigned agents = seen.agents;
        OK(h, snapshot_restore, &d, &s, true, NULL);
        UNTIL(seen.agents > agents && seen.agent && seen.power == SV_HV_RUNNING, 60);
        CHECK(says(&d, "hostname", "inside-first") && says(&d, READ, "first"));
        CHECK(says(&d, "cat /proc/sys/kernel/random/boot_id", boot_id));
        free(inside(&d, WRITE("third") "; hostname inside-third"));
    }

    /* Copies are of a file system that is held still, for a moment only. */
    struct sv_hv_copy c[2];
    bool quiesced = false;
    copies_of(&d, "quiesced", c);
    OK(h, copy_out, &d.id, c, 2, &quiesced, NULL, NULL, NULL);
    CHECK(quiesced && !is_frozen(&d) && says(&d, READ, "third"));
    struct sv_image image;
    CHECK_INT(sv_image_check(c[0].path, "qcow2", &image, err), SV_OK);
    CHECK(file_has_at(c[1].path, 't', "0 1"));
    /* Also when the copy cannot begin. */
    SV_COPY(c[1].path, c[0].path);
    CHECK(SV_HV_CALL(h, copy_out, &d.id, c, 2, &quiesced, NULL, NULL, NULL) != SV_OK);
    CHECK(!is_frozen(&d));
    /* Frozen by a server that is gone. */
    const char *const freeze[] = {"virsh", "-q", "-c", uri, "domfsfreeze", d.id.s, NULL};
    output_of(freeze, NULL);
    CHECK(is_frozen(&d));
    OK(h, copy_abort, &d.id, NULL);
    CHECK(!is_frozen(&d));
    OK(h, destroy, &d.id, NULL);
    /* The copy boots. */
    copies_of(&d, "quiesced", c);
    unmake_two(&d);
    OK(h, template_delete, &tmpl, NULL);
    end();
}

/* Another server, which freezes a guest and gets no further: --frozen DIR DOMAIN. */
static int freeze_and_wait(const char *where, const char *domain)
{
    const struct sv_hv_options opt = {.data_dir = where, .domain_type = "qemu"};
    const struct sv_hv_events ev = {.host = on_host, .power = on_power, .agent = on_agent};
    const struct sv_id vm = sv_id_from(domain);
    struct lv_frozen frozen;
    uri = getenv("STARVIRT_TEST_URI");
    CHECK_INT(sv_hv_open(uri, &opt, &ev, &hv, err), SV_OK);
    h = sv_hv_host_at(hv, 0);
    UNTIL(seen.connected, 60);
    lv_freeze(lv_host_of(h), &vm, &frozen, NULL);
    CHECK(write(STDOUT_FILENO, "f", 1) == 1);
    for (;;)
        pause();
}

static pid_t start_other(const struct sv_hv_domain *d, int *ret_fd)
{
    const char *const argv[] = {"/proc/self/exe", "--frozen", dir, d->id.s, NULL};
    posix_spawn_file_actions_t files;
    int ends[2];
    pid_t pid = -1;
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
    CHECK(posix_spawn(&pid, argv[0], &files, NULL, (char *const *)argv, environ) == 0);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    *ret_fd = ends[0];
    return pid;
}

static void the_watchdog_thaws(void)
{
    if (skip("the_watchdog_thaws", "STARVIRT_TEST_GUEST"))
        return;
    begin("qemu");
    const struct sv_id tmpl = sv_id_new();
    struct sv_hv_domain d = boot(&tmpl);
    for (int again = 0; again < 2; again++) {
        int fd = -1;
        char word = 0;
        const pid_t pid = start_other(&d, &fd);
        CHECK(read(fd, &word, 1) == 1 && word == 'f');
        CHECK(is_frozen(&d));
        CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
        close(fd);
        const struct sv_deadline soon = sv_deadline_within(NULL, 60000);
        while (is_frozen(&d))
            CHECK(!sv_deadline_over(&soon));
        CHECK(says(&d, WRITE("again") "; " READ, "again"));
    }
    unmake_two(&d);
    OK(h, template_delete, &tmpl, NULL);
    end();
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {
        T(a_copy_goes_out_and_comes_in),      T(a_copy_is_cancelled),        T(a_job_that_was_left_behind),
        T(a_copy_outlives_libvirtd),          T(copies_onto_a_full_storage), T(a_full_image_directory),
        T(a_guest_goes_on_from_where_it_was), T(the_watchdog_thaws),
    };
    if (argc == 4 && strcmp(argv[1], "--thaw") == 0)
        return sv_hv_thaw(argv[2], argv[3]);
    if (argc == 4 && strcmp(argv[1], "--frozen") == 0)
        return freeze_and_wait(argv[2], argv[3]);
    return run_tests(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
