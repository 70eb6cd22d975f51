/* The driver of a build without libFuzzer: every file of the folders named, once. */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "starvirt/mem.h"
#include "tests/fuzz/fuzz.h"

static void replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    MUST(f);
    MUST(fstat(fileno(f), &st) == 0);
    /* Of exactly the file's size, so that the sanitizer sees one byte too many. */
    size_t size = (size_t)st.st_size;
    SV_AUTOFREE uint8_t *data = sv_realloc(NULL, size);
    MUST(fread(data, 1, size, f) == size);
    fclose(f);
    fprintf(stderr, "%s\n", path);
    MUST(LLVMFuzzerTestOneInput(data, size) == 0);
}

static unsigned replay_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    unsigned n = 0;
    MUST(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        SV_AUTOFREE char *path = sv_asprintf("%s/%s", folder, e->d_name);
        replay_file(path);
        n++;
    }
    closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    unsigned n = 0;
    for (int i = 1; i < argc; i++)
        n += replay_folder(argv[i]);
    printf("%u passed, 0 failed\n", n);
    return n ? 0 : 1;
}
