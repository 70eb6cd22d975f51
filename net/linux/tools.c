#include "net/linux/internal.h"

static enum sv_err tool_failed(const char *name, int status, const struct sv_buf *said, struct sv_error *err)
{
    const char *slash = strrchr(name, '/');
    size_t line = said->p ? strcspn(said->p, "\n") : 0;
    SV_AUTOFREE char *text =
        sv_asprintf("%s ended with %d: %.*s", slash ? slash + 1 : name, status, (int)line, said->p ? said->p : "");
    return sv_fail(err, SV_E_NETWORK, SV_F_NONE, text);
}

static enum sv_err run(const struct work *w, const char *const *argv, const char *input, int netns_fd,
                       struct sv_buf *out, struct sv_error *err)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf said = {0};
    struct sv_deadline limit = sv_deadline_within(&w->deadline, NET_COMMAND_MS);
    struct sv_proc p = {.argv = argv,
                        .input = input,
                        .input_len = input ? strlen(input) : 0,
                        .out = out,
                        .err = &said,
                        .deadline = &limit,
                        .netns_fd = netns_fd};
    int status = 0;
    enum sv_err rc = sv_proc_run(&p, &status, err);
    if (!rc && status != 0)
        rc = tool_failed(argv[0], status, &said, err);
    return rc;
}

enum sv_err tool_run(const struct work *w, const char *const *argv, const char *input, int netns_fd,
                     struct sv_error *err)
{
    return run(w, argv, input, netns_fd, NULL, err);
}

enum sv_err tool_output(const struct work *w, const char *const *argv, struct sv_buf *ret, struct sv_error *err)
{
    return run(w, argv, NULL, 0, ret, err);
}

enum sv_err ip_batch(const struct work *w, const char *netns, const struct sv_buf *batch, struct sv_error *err)
{
    if (batch->n == 0)
        return SV_OK;
    const char *const here[] = {w->net->ip, "-batch", "-", NULL};
    const char *const there[] = {w->net->ip, "-n", netns, "-batch", "-", NULL};
    return tool_run(w, netns ? there : here, batch->p, 0, err);
}
