#include "check.h"
#include "server/options.h"
#include "starvirt/dialects.h"

#include <stdlib.h>
#include <unistd.h>

static struct sv_options o;
static struct sv_buf why;

/* Parses argv (ends with NULL, without the program's name). */
static enum sv_err parse(const char *const *args)
{
    char *argv[32] = {(char[]){"starvirtd"}};
    int argc = 1;
    for (; args[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)args[argc - 1];
    sv_options_free(&o);
    sv_buf_free(&why);
    return sv_options_parse(argc, argv, sv_dialects, &o, &why);
}
#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void refused(enum sv_err e, const char *mentions)
{
    CHECK_INT(e, SV_E_CONFIG);
    if (!strstr(why.p, mentions))
        check_failed(__FILE__, __LINE__, "'%s' does not mention '%s'", why.p, mentions);
}

static void defaults(void)
{
    CHECK_INT(parse((const char *const[]){NULL}), SV_OK);
    CHECK_STR(o.listen, "127.0.0.1:18081");
    CHECK_STR(o.network, "none");
    CHECK_INT(o.connect_count, 1);
    CHECK_STR(o.connect[0], "qemu:///system");
    CHECK(o.supernet_base == 0x0a800000u);
    CHECK_INT(o.supernet_prefix, 9);
    CHECK_INT(o.vpc_prefix, 24);
    CHECK_INT(o.slots_per_host, 8);
    CHECK(o.requeue && !o.metrics_public);
    CHECK(o.import_dirs == NULL && o.crash_point == NULL && o.tls_cert == NULL);
}

static void both_spellings(void)
{
    CHECK_INT(PARSE("--listen", "127.0.0.1:0", "--vpc-prefix=26", "--vpc.supernet=192.168.0.0/16"), SV_OK);
    CHECK_STR(o.listen, "127.0.0.1:0");
    CHECK_INT(o.vpc_prefix, 26);
    CHECK(o.supernet_base == 0xc0a80000u);
    CHECK_INT(PARSE("--hv-domain-type", "qemu"), SV_OK);
    CHECK_STR(o.domain_type, "qemu");
}

static void booleans(void)
{
    CHECK_INT(PARSE("--metrics.public"), SV_OK);
    CHECK(o.metrics_public);
    CHECK_INT(PARSE("--metrics.public", "--jobs.requeue", "false", "--threads", "3"), SV_OK);
    CHECK(o.metrics_public && !o.requeue);
    CHECK_INT(o.threads, 3);
    refused(PARSE("--jobs.requeue=maybe"), "maybe");
}

static void lists_start_anew(void)
{
    CHECK_INT(PARSE("--connect", "sim://?hosts=2", "--connect=test:///default"), SV_OK);
    CHECK_INT(o.connect_count, 2);
    CHECK_STR(o.connect[0], "sim://?hosts=2");
    CHECK_STR(o.connect[1], "test:///default");
}

static void refusals(void)
{
    refused(PARSE("--no-such"), "no-such");
    refused(PARSE("stray"), "stray");
    refused(PARSE("--listen"), "needs a value");
    refused(PARSE("--network", "ipx"), "none, sim, linux, ovn");
    refused(PARSE("--vpc.prefix", "8"), "16 to 29");
    refused(PARSE("--vpc.prefix", "24x"), "24x");
    refused(PARSE("--vpc.supernet", "10.1.0.0/9"), "beyond its prefix");
    refused(PARSE("--vpc.supernet", "10.0.0.0"), "10.0.0.0");
    refused(PARSE("--vpc.supernet", "10.0.0.0/28"), "does not fit");
    refused(PARSE("--tls-cert", "x.pem"), "go together");
    refused(PARSE("--data="), "empty");
    refused(PARSE("--version=1"), "takes no value");
}

static void modes(void)
{
    CHECK_INT(PARSE("--dump-routes"), SV_OK);
    CHECK_INT(o.mode, SV_MODE_DUMP_ROUTES);
    CHECK_INT(PARSE("--help"), SV_OK);
    CHECK_INT(o.mode, SV_MODE_HELP);
}

static char path[] = "/tmp/sv-test-options-XXXXXX";

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    fputs(text, f);
    fclose(f);
}

static void file_and_command_line(void)
{
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    write_file(
        "# a comment\n\n listen = 0.0.0.0:80 \nvpc.prefix=25\nconnect = sim://a\nconnect = sim://b\ndata = \"/a b\"\n");
    CHECK_INT(PARSE("--config", path, "--vpc.prefix", "26"), SV_OK);
    CHECK_STR(o.listen, "0.0.0.0:80");
    CHECK_STR(o.data, "/a b");
    CHECK_INT(o.vpc_prefix, 26);
    CHECK_INT(o.connect_count, 2);
    CHECK_INT(PARSE("--config", path, "--connect", "sim://c"), SV_OK);
    CHECK_INT(o.connect_count, 1);
    CHECK_STR(o.connect[0], "sim://c");
    write_file("listen = 1.2.3.4:5\nnonsense\n");
    refused(PARSE("--config", path), ":2:");
    write_file("what = 1\n");
    refused(PARSE("--config", path), "what");
    write_file("config = x\n");
    refused(PARSE("--config", path), "config");
    write_file("threads = 1\nthreads = 2\n");
    refused(PARSE("--config", path), "twice");
    unlink(path);
    refused(PARSE("--config", path), path);
    refused(PARSE("--config", "/tmp"), "/tmp: Is a directory");
}

/* Every option that is a path, in each place where it may stand. */
static void paths(void)
{
    static const struct {
        const char *name;
        size_t at;
    } all[] = {{"data", offsetof(struct sv_options, data)},
               {"hv.image_dir", offsetof(struct sv_options, image_dir)},
               {"backup.dir", offsetof(struct sv_options, backup_dir)},
               {"tls-cert", offsetof(struct sv_options, tls_cert)},
               {"tls-key", offsetof(struct sv_options, tls_key)},
               {"import.dirs", offsetof(struct sv_options, import_dirs)}};
    char dir[] = "/tmp/sv-test-options-XXXXXX";
    CHECK(mkdtemp(dir) != NULL && chdir("/usr") == 0);
    SV_AUTOFREE char *conf = sv_asprintf("%s/a.conf", dir), *in_dir = sv_asprintf("%s/../a b", dir);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        const char *const *slot = (const char *const *)(void *)((char *)&o + all[i].at);
        SV_AUTOFREE char *flag = sv_asprintf("--%s", all[i].name),
                         *other = sv_asprintf("--tls-%s=/x", strcmp(all[i].name, "tls-key") == 0 ? "cert" : "key");
        const bool tls = strncmp(all[i].name, "tls", 3) == 0; /* both or none */
        CHECK_INT(PARSE(flag, "./new//dir/", tls ? other : NULL), SV_OK);
        CHECK_STR(*slot, "/usr/new/dir");
        CHECK_INT(PARSE(flag, "/x/../y", tls ? other : NULL), SV_OK);
        CHECK_STR(*slot, "/x/../y");
        refused(PARSE(flag, "~/cloud"), "only a shell");
        CHECK(strncmp(why.p, all[i].name, strlen(all[i].name)) == 0);
        FILE *f = fopen(conf, "w");
        CHECK(f != NULL);
        fprintf(f, "%s = \"../a b\"\n", all[i].name);
        fclose(f);
        CHECK_INT(PARSE("--config", conf, tls ? other : NULL), SV_OK);
        CHECK_STR(*slot, in_dir);
        CHECK_INT(PARSE("--config", conf, flag, "won", tls ? other : NULL), SV_OK);
        CHECK_STR(*slot, "/usr/won");
    }
    CHECK(chdir(dir) == 0);
    FILE *f = fopen("a.conf", "w");
    CHECK(f != NULL);
    fputs("data = cloud\n", f);
    fclose(f);
    SV_AUTOFREE char *cloud = sv_asprintf("%s/cloud", dir);
    CHECK_INT(PARSE("--config", "a.conf"), SV_OK);
    CHECK_STR(o.data, cloud);
    CHECK(chdir("/usr") == 0 && unlink(conf) == 0 && rmdir(dir) == 0);
}

static void lists_of_paths(void)
{
    CHECK(chdir("/usr") == 0);
    CHECK_INT(PARSE("--import.dirs", " a , /b//c,, ./d e ,"), SV_OK);
    CHECK_STR(o.import_dirs, "/usr/a,/b/c,/usr/d e");
    refused(PARSE("--import.dirs", " , ,"), "import.dirs: empty");
    refused(PARSE("--import.dirs", "/a,~/b"), "'~/b' only a shell");
    sv_buf_free(&why);
    sv_options_free(&o);
}

CHECK_MAIN(T(defaults), T(both_spellings), T(booleans), T(lists_start_anew), T(refusals), T(modes),
           T(file_and_command_line), T(paths), T(lists_of_paths))
