#include "cli/cli.h"

/* Words for the shell: `starvirt complete -- WORD...` prints what the last word may become. */

static const char *const script = "_starvirt() {\n"
                                  "    local line=${COMP_LINE:0:COMP_POINT} words IFS=$' \\t\\n'\n"
                                  "    read -r -a words <<<\"$line\"\n"
                                  "    [[ $line == *' ' ]] && words+=('')\n"
                                  "    IFS=$'\\n' COMPREPLY=($(starvirt complete -- \"${words[@]:1}\" 2>/dev/null))\n"
                                  "    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
                                  "}\n"
                                  "complete -F _starvirt starvirt\n";

struct offer {
    const char *prefix, *method;
    size_t n;
};

static void offer(const char *prefix, const char *word)
{
    if (strncmp(word, prefix, strlen(prefix)) == 0)
        puts(word);
}

static void offer_groups(const char *prefix)
{
    static const char *const others[] = {"call", "operations", "completion", "help", NULL};
    for (const struct sv_command *c = sv_commands; c->group; c++)
        if (c == sv_commands || strcmp(c[-1].group, c->group) != 0)
            offer(prefix, c->group);
    for (const char *const *o = others; *o; o++)
        offer(prefix, *o);
}

static void offer_verbs(const char *group, const char *prefix)
{
    for (const struct sv_command *c = sv_commands; c->group; c++)
        if (strcmp(c->group, group) == 0 && c->verb[0])
            offer(prefix, c->verb);
}

static void offer_route(void *arg, const struct sv_dialect *d, const struct sv_route *r)
{
    const struct offer *o = arg;
    (void)d;
    if (!o->method || strcmp(o->method, r->method) == 0)
        offer(o->prefix, r->path);
}

/* "vm.id=" and, once that is typed, the values there are. */
static void offer_keys(const struct sv_target *t, const char *prefix)
{
    size_t n = strcspn(prefix, "=");
    for (size_t i = 0; i < t->route->param_count; i++) {
        const struct sv_param *p = &t->route->params[i];
        if (!prefix[n]) {
            if (strncmp(p->name, prefix, n) == 0)
                printf("%s=\n", p->name);
            continue;
        }
        for (const char *const *v = strlen(p->name) == n && memcmp(p->name, prefix, n) == 0 ? p->values : NULL; v && *v;
             v++)
            if (strncmp(*v, prefix + n + 1, strlen(prefix + n + 1)) == 0)
                puts(*v); /* the shell breaks words at '=' */
    }
}

static void complete_call(const struct sv_api *api, const char **words, size_t n)
{
    bool named = n > 1 && sv_is_method(words[1]);
    size_t at = named ? 2 : 1;
    struct offer o = {.prefix = words[n - 1], .method = named ? words[1] : NULL};
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    struct sv_target t;
    if (n - 1 == at)
        sv_api_each(api, offer_route, &o);
    else if (n - 1 > at && sv_target_find(api, o.method, words[at], a, &t))
        offer_keys(&t, words[n - 1]);
}

static void complete_command(const struct sv_api *api, const char **words, size_t n)
{
    SV_CLEANUP(sv_arena_freep) struct sv_arena *a = sv_arena_new();
    struct sv_target t;
    for (const struct sv_command *c = sv_commands; c->group; c++)
        if (strcmp(c->group, words[0]) == 0 && strcmp(c->verb, words[1]) == 0 && c->path &&
            sv_target_find(api, c->method, c->path, a, &t))
            offer_keys(&t, words[n - 1]);
}

int sv_complete(const struct sv_api *api, const char **words, size_t n)
{
    if (n == 0) {
        fputs(script, stdout);
        return SV_EXIT_OK;
    }
    if (n == 1)
        offer_groups(words[0]);
    else if (strcmp(words[0], "call") == 0)
        complete_call(api, words, n);
    else if (n == 2)
        offer_verbs(words[0], words[1]);
    else
        complete_command(api, words, n);
    return SV_EXIT_OK;
}
