#include "cli/cli.h"

#include <unistd.h>

/* Follows one job after the other; the worst of their ends. */
static int follow_all(struct sv_settings *s, const struct sv_api *api, const struct sv_node *root)
{
    int code = SV_EXIT_OK;
    const struct sv_node *data = sv_node_get(root, "data");
    const char *startid = sv_node_text(root, "startid");
    if (*startid)
        code = sv_follow(s, api, startid);
    for (const struct sv_node *row = data && data->kind == SV_NODE_LIST ? data->child : NULL; row; row = row->next) {
        startid = sv_node_text(row, "jobstartid");
        if (*startid && sv_follow(s, api, startid) != SV_EXIT_OK)
            code = SV_EXIT_FAILED;
    }
    return code;
}

int sv_run_target(struct sv_settings *s, const struct sv_api *api, const struct sv_target *t,
                  const char *const *columns)
{
    struct sv_answer a;
    if (!sv_client_call(s, t, false, &a))
        return SV_EXIT_FAILED;
    bool ok = a.root && a.ok;
    if (s->json && a.root)
        puts(isatty(STDOUT_FILENO) ? a.pretty : a.json);
    else if (ok)
        sv_show_answer(&a, t->route, columns);
    fflush(stdout);
    if (!ok) {
        sv_show_failure(&a);
        return SV_EXIT_FAILED;
    }
    sv_show_warning(&a, t->dialect->wire);
    return s->wait ? follow_all(s, api, a.root) : SV_EXIT_OK;
}
