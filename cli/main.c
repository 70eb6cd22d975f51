/* starvirt: the command line of a starvirt server. */
#include "cli/cli.h"
#include "starvirt/dialects.h"
#include "starvirt/std.h"

#include <curl/curl.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>

/* --- help ------------------------------------------------------------------------------------------------- */

static void list_command(const struct sv_command *c)
{
    char left[64];
    snprintf(left, sizeof(left), "%s%s%s %s", c->group, c->verb[0] ? " " : "", c->verb, c->usage);
    printf("  %-52s %s\n", left, c->doc);
}

static int help(void)
{
    puts("usage: starvirt [flags] COMMAND [words] [key=value]...\n\ncommands:");
    for (const struct sv_command *c = sv_commands; c->group; c++)
        list_command(c);
    puts(
        "  call [METHOD] OPERATION key=value...                 any operation; key=@FILE reads a value, @- from stdin\n"
        "  operations [TEXT]                                    the operations there are\n"
        "  help OPERATION | help COMMAND                        their parameters\n"
        "  completion bash                                      source <(starvirt completion bash)\n\nflags:");
    sv_settings_help();
    puts("\nexit codes: 0 done, 1 refused or failed, 2 wrong use");
    return SV_EXIT_OK;
}

static int misused(const char *why, const char *word)
{
    fprintf(stderr, "starvirt: %s%s%s; see 'starvirt --help'\n", why, word ? " " : "", word ? word : "");
    return SV_EXIT_USAGE;
}

/* --- call and the commands over it ------------------------------------------------------------------------ */

static bool add_pairs(struct sv_target *t, const char **words, size_t n, struct sv_arena *a)
{
    for (size_t i = 0; i < n; i++)
        if (!sv_target_add(t, words[i], a))
            return false;
    return true;
}

static int run_call(struct sv_settings *s, const struct sv_api *api, const char **words, size_t n)
{
    bool named = n > 0 && sv_is_method(words[0]);
    const char *method = named ? words[0] : NULL;
    struct sv_target t;
    if (n < (named ? 2u : 1u))
        return misused("call needs an operation", NULL);
    words += named;
    n -= named;
    if (!sv_target_find(api, method, words[0], s->arena, &t))
        return SV_EXIT_USAGE;
    if (s->help) {
        sv_target_help(&t);
        return SV_EXIT_OK;
    }
    return add_pairs(&t, words + 1, n - 1, s->arena) ? sv_run_target(s, api, &t, NULL) : SV_EXIT_USAGE;
}

/* How many of the words are the command's own; what follows is key=value. */
static size_t own_words(const struct sv_command *c, const char **words, size_t n)
{
    size_t i = 0;
    while (i < n && i < SV_MAX_WORDS && c->words[i] && (i < c->needed || !strchr(words[i], '=')))
        i++;
    return i;
}

static int run_over(struct sv_settings *s, const struct sv_api *api, const struct sv_command *c, const char **words,
                    size_t n, size_t own)
{
    struct sv_target t;
    if (!sv_target_find(api, c->method, c->path, s->arena, &t))
        return SV_EXIT_USAGE;
    if (s->help) {
        sv_target_help(&t);
        return SV_EXIT_OK;
    }
    for (size_t i = 0; i < own; i++) {
        if (strcmp(c->words[i], "@") == 0)
            s->file = words[i];
        else
            sv_target_set(&t, c->words[i], words[i], s->arena);
    }
    if (!add_pairs(&t, words + own, n - own, s->arena))
        return SV_EXIT_USAGE;
    return sv_run_target(s, api, &t, c->columns[0] ? c->columns : NULL);
}

static int run_command(struct sv_settings *s, const struct sv_api *api, const struct sv_command *c, const char **words,
                       size_t n)
{
    size_t own = own_words(c, words, n);
    bool over = c->path != NULL;
    if (s->help && !over) {
        list_command(c);
        return SV_EXIT_OK;
    }
    if (!s->help && (own < c->needed || (!over && n > own))) {
        fprintf(stderr, "usage: starvirt %s%s%s %s\n", c->group, c->verb[0] ? " " : "", c->verb, c->usage);
        return SV_EXIT_USAGE;
    }
    return over ? run_over(s, api, c, words, n, own) : c->run(s, api, words, n);
}

static const struct sv_command *find(const char **words, size_t n, bool *ret_group)
{
    *ret_group = false;
    for (const struct sv_command *c = sv_commands; c->group; c++) {
        if (strcmp(c->group, words[0]) != 0)
            continue;
        *ret_group = true;
        if (!c->verb[0] || (n > 1 && strcmp(c->verb, words[1]) == 0))
            return c;
    }
    return NULL;
}

/* --- the list of operations -------------------------------------------------------------------------------- */

static void list_operation(void *arg, const struct sv_dialect *d, const struct sv_route *r)
{
    const char *text = arg;
    (void)d;
    if (!text || strstr(r->path, text) || (r->doc_en && strstr(r->doc_en, text)))
        printf("%-6s %-44s %s\n", r->method, r->path, r->doc_en ? r->doc_en : "");
}

static int run_operations(const struct sv_api *api, const char **words, size_t n)
{
    sv_api_each(api, list_operation, n > 0 ? (void *)(uintptr_t)words[0] : NULL);
    return SV_EXIT_OK;
}

/* --- choosing ------------------------------------------------------------------------------------------------ */

static int run_group_help(const char *group, bool asked)
{
    for (const struct sv_command *c = sv_commands; c->group; c++)
        if (strcmp(c->group, group) == 0)
            list_command(c);
    return asked ? SV_EXIT_OK : SV_EXIT_USAGE;
}

static int run_words(struct sv_settings *s, const struct sv_api *api, const char **words, size_t n)
{
    bool group;
    if (n > 0 && strcmp(words[0], "help") == 0) {
        s->help = true;
        words++;
        n--;
    }
    if (n == 0)
        return s->help ? help() : misused("no command", NULL);
    if (strcmp(words[0], "complete") == 0)
        return sv_complete(api, words + 1, n - 1);
    if (strcmp(words[0], "completion") == 0)
        return n == 2 && strcmp(words[1], "bash") == 0 ? sv_complete(api, NULL, 0) : misused("only for bash", NULL);
    if (strcmp(words[0], "operations") == 0)
        return run_operations(api, words + 1, n - 1);
    const struct sv_command *c = find(words, n, &group);
    if (!c && group)
        return run_group_help(words[0], s->help);
    bool call = strcmp(words[0], "call") == 0;
    if (!c && !call && !s->help)
        return misused("no command", words[0]);
    if (!s->help && !sv_settings_rest(s))
        return SV_EXIT_USAGE;
    if (c)
        return run_command(s, api, c, words + (c->verb[0] ? 2 : 1), n - (c->verb[0] ? 2 : 1));
    return run_call(s, api, words + call, n - call);
}

/* What we print is UTF-8, whatever the locale: it only tells how wide characters are. */
static void set_locale(void)
{
    if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static int run(int argc, char **argv)
{
    SV_CLEANUP(sv_arena_freep) struct sv_arena *arena = sv_arena_new();
    struct sv_settings s = {.arena = arena};
    struct sv_error err = {0};
    struct sv_api *api = NULL;
    const char **words;
    size_t n;
    if (!sv_settings_flags(&s, argc, argv, &words, &n))
        return SV_EXIT_USAGE;
    if (s.version) {
        puts("starvirt " STARVIRT_VERSION);
        return SV_EXIT_OK;
    }
    if (sv_api_new(sv_dialects, &api, &err) != SV_OK) {
        fprintf(stderr, "starvirt: %s\n", err.arg[0]);
        return SV_EXIT_FAILED;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int code = run_words(&s, api, words, n);
    curl_global_cleanup();
    sv_api_free(api);
    return code;
}

int main(int argc, char **argv)
{
    sv_std_open();
    set_locale();
    const int code = run(argc, argv);
    return sv_std_close("starvirt") || code != SV_EXIT_OK ? code : SV_EXIT_FAILED;
}
