#include "check.h"
#include "starvirt/mem.h"
#include "starvirt/path.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void is(const char *path, const char *base, const char *want)
{
    const char *why = NULL;
    char *got = sv_path_absolute(path, base, &why);
    CHECK(got != NULL);
    CHECK_STR(got, want);
    free(got);
}

static void refused(const char *path, const char *base, const char *want)
{
    const char *why = NULL;
    CHECK(sv_path_absolute(path, base, &why) == NULL);
    CHECK_STR(why, want);
}

static void below_a_base(void)
{
    is("/a/b", "/base", "/a/b");
    is("a b/ü", "/base", "/base/a b/ü");
    is("./a", "/base", "/base/a");
    is("../a/../b", "/base", "/base/../a/../b");
    is("..", "/", "/..");
    is(".", "/base", "/base");
    is("a//b/./c/", "/base/", "/base/a/b/c");
    is("/", "/base", "/");
    is("///", NULL, "/");
    is(".hidden", "/base", "/base/.hidden");
    is("...", "/base", "/base/...");
    is("a~", "/base", "/base/a~");
    is("~user", "/base", "/base/~user");
    is("./~", "/base", "/base/~");
}

static void unfit(void)
{
    refused("", "/base", "empty");
    refused("~", "/base", "only a shell knows what ~ is");
    refused("~/cloud", "/base", "only a shell knows what ~ is");
    refused("/a\nb", NULL, "has a control character");
    refused("/a\x7f", NULL, "has a control character");
    refused("/a\xff", NULL, "is not UTF-8");
}

static void length(void)
{
    char path[SV_PATH_MAX + 2];
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[SV_PATH_MAX] = '\0';
    is(path, NULL, path);
    path[SV_PATH_MAX] = 'x';
    path[SV_PATH_MAX + 1] = '\0';
    refused(path, NULL, "is longer than 400 bytes");
    is(path + 1 + SV_PATH_MAX - 5, "/b", "/b/xxxxx");
}

/* Links stay as they are, in the working directory's name, too, as the kernel gives it. */
static void below_the_working_directory(void)
{
    char dir[] = "/tmp/sv-test-path-XXXXXX";
    CHECK(mkdtemp(dir) != NULL);
    CHECK(chdir(dir) == 0 && mkdir("real", 0700) == 0 && symlink("real", "link") == 0);
    SV_AUTOFREE char *link = sv_asprintf("%s/link", dir), *real = sv_asprintf("%s/real", dir);
    SV_AUTOFREE char *below = sv_asprintf("%s/new", real), *up = sv_asprintf("%s/..", real);
    is("link", NULL, link);
    is("link/.", NULL, link);
    CHECK(chdir("link") == 0);
    is("new", NULL, below);
    is("..", NULL, up);
    CHECK(rmdir(real) == 0);
    refused("new", NULL, "is relative, and the working directory is gone");
    is("/new", NULL, "/new");
    CHECK(chdir("/") == 0 && unlink(link) == 0 && rmdir(dir) == 0);
}

static void parents(void)
{
    SV_AUTOFREE char *top = sv_path_parent("/a"), *two = sv_path_parent("/a/b.conf");
    CHECK_STR(top, "/");
    CHECK_STR(two, "/a");
}

static void in_errors(void)
{
    struct sv_error err = {0};
    CHECK_INT(sv_fail_path(&err, SV_E_SYSTEM, NULL, "/a/b", "Permission denied"), SV_E_SYSTEM);
    CHECK_STR(err.arg[0], "/a/b: Permission denied");
    char path[300];
    memset(path, 'x', sizeof(path));
    memcpy(path + sizeof(path) - 12, "/server.key", 12);
    CHECK_INT(sv_fail_path(&err, SV_E_CONFIG, "tls-key", path, "Permission denied"), SV_E_CONFIG);
    CHECK_INT(strlen(err.arg[0]), SV_ERR_ARG_MAX - 1);
    CHECK(strncmp(err.arg[0], "tls-key …x", strlen("tls-key …x")) == 0);
    CHECK(strstr(err.arg[0], "xx/server.key: Permission denied") != NULL);
    for (size_t i = 0; i + 14 < sizeof(path); i++) /* of two bytes each: cut between them */
        path[i] = i % 2 ? '\xbc' : '\xc3';
    sv_fail_path(&err, SV_E_CONFIG, "tls-key", path, "Permission denied!");
    CHECK(sv_utf8_valid(err.arg[0], strlen(err.arg[0])));
    CHECK(strstr(err.arg[0], "/server.key: Permission denied!") != NULL);
}

CHECK_MAIN(T(below_a_base), T(unfit), T(length), T(below_the_working_directory), T(parents), T(in_errors))
