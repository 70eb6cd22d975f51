#include "cli/cli.h"
#include "starvirt/core.h"

static void print_breach(void *arg, const char *line)
{
    (void)arg;
    sv_print_clean(stdout, line);
    putchar('\n');
}

static enum sv_err check(struct sv_db *db, const struct sv_settings *s, unsigned *ret_n, struct sv_error *err)
{
    const struct sv_hv_options hv = {.data_dir = s->data, .domain_type = "qemu", .image_dir = s->image_dir};
    const char *const connect[] = {s->connect};
    unsigned rows = 0, hosts = 0;
    enum sv_err rc = sv_db_fsck(db, print_breach, NULL, &rows, err);
    if (!rc && s->connect)
        rc = sv_audit_hosts(db, connect, 1, &hv, print_breach, NULL, &hosts, err);
    if (!rc)
        *ret_n = rows + hosts;
    return rc;
}

int sv_run_fsck(struct sv_settings *s, const struct sv_api *api, const char **words, size_t n)
{
    const struct sv_db_options how = {.read_only = true};
    struct sv_error err = {0};
    struct sv_db *db = NULL;
    unsigned breaches = 0;
    (void)api;
    (void)words;
    (void)n;
    if (!s->data) {
        fputs("starvirt: fsck needs --data DIR\n", stderr);
        return SV_EXIT_USAGE;
    }
    enum sv_err rc = sv_db_open(s->data, &how, &db, &err);
    if (!rc)
        rc = check(db, s, &breaches, &err);
    sv_db_close(db);
    if (rc) {
        char text[512];
        sv_err_text(&err, SV_LANG_EN, text, sizeof(text));
        fprintf(stderr, "starvirt: %s\n", text);
        return SV_EXIT_FAILED;
    }
    printf("%s: %u %s\n", s->data, breaches, breaches == 1 ? "breach" : "breaches");
    return breaches == 0 ? SV_EXIT_OK : SV_EXIT_FAILED;
}
