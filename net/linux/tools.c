#include "net/linux/internal.h"

enum sv_err tool_run(const struct work *w, const char *const *argv, const char *input, int netns_fd,
                     struct sv_error *err)
{
    return program_run(&w->deadline, argv, input, netns_fd, NULL, err);
}

enum sv_err tool_output(const struct work *w, const char *const *argv, struct sv_buf *ret, struct sv_error *err)
{
    return program_run(&w->deadline, argv, NULL, 0, ret, err);
}

enum sv_err ip_batch(const struct work *w, const char *netns, const struct sv_buf *batch, struct sv_error *err)
{
    if (batch->n == 0)
        return SV_OK;
    const char *const here[] = {w->net->ip, "-batch", "-", NULL};
    const char *const there[] = {w->net->ip, "-n", netns, "-batch", "-", NULL};
    return tool_run(w, netns ? there : here, batch->p, 0, err);
}
