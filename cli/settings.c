#include "cli/cli.h"
#include "starvirt/conf.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_SERVER "http://127.0.0.1:18081"

struct flag {
    const char *name;
    size_t offset;
    bool is_text;    /* const char *, else bool */
    const char *env; /* NULL = none */
    bool in_file;    /* may stand in the configuration file */
    const char *arg, *doc;
};

#define AT(m) offsetof(struct sv_settings, m)

static const struct flag flags[] = {
    {"server", AT(server), true, "STARVIRT_SERVER", true, "URL", "where the server is [" DEFAULT_SERVER "]"},
    {"token", AT(token), true, "STARVIRT_TOKEN", true, "TEXT", "who you are; seen by others in the process list"},
    {"token-file", AT(token_file), true, "STARVIRT_TOKEN_FILE", true, "FILE", "the token, such as DIR/admin.token"},
    {"cacert", AT(cacert), true, "STARVIRT_CACERT", true, "FILE", "whom to trust with HTTPS (PEM)"},
    {"lang", AT(lang), true, NULL, true, "en|zh", "language of the server's texts [from the locale]"},
    {"json", AT(json), false, NULL, true, NULL, "print the reply as JSON"},
    {"wait", AT(wait), false, NULL, false, NULL, "follow the jobs that were started; fail if one fails"},
    {"file", AT(file), true, NULL, false, "FILE", "body of an operation that takes a file"},
    {"idempotency-key", AT(idempotency_key), true, NULL, false, "KEY", "makes a repeated call harmless"},
    {"data", AT(data), true, NULL, false, "DIR", "fsck: the server's data directory"},
    {"connect", AT(connect), true, NULL, false, "URI",
     "fsck: also hold this hypervisor's hosts against the rows (stopped server)"},
    {"image-dir", AT(image_dir), true, NULL, false, "DIR",
     "fsck: the server's hv.image_dir, when it is not DIR/images"},
    {"help", AT(help), false, NULL, false, NULL, "this, or about the command named"},
    {"version", AT(version), false, NULL, false, NULL, "the version"},
};
enum { FLAG_COUNT = sizeof(flags) / sizeof(flags[0]) };

static bool say(const char *what, const char *why)
{
    fprintf(stderr, "starvirt: %s: %s\n", what, why);
    return false;
}

static const struct flag *find(const char *name, size_t n)
{
    for (size_t i = 0; i < FLAG_COUNT; i++)
        if (strlen(flags[i].name) == n && memcmp(flags[i].name, name, n) == 0)
            return &flags[i];
    return NULL;
}

static const char **text_slot(struct sv_settings *s, const struct flag *f)
{
    return (const char **)(void *)((char *)s + f->offset);
}

static bool take_flag(struct sv_settings *s, int argc, char *const *argv, int *i)
{
    const char *a = argv[*i] + 2, *eq = strchr(a, '=');
    const struct flag *f = find(a, eq ? (size_t)(eq - a) : strlen(a));
    if (!f)
        return say(argv[*i], "no such flag, see --help");
    if (!f->is_text) {
        *((bool *)s + f->offset) = true;
        return eq ? say(argv[*i], "takes no value") : true;
    }
    if (!eq && *i + 1 >= argc)
        return say(argv[*i], "needs a value");
    *text_slot(s, f) = eq ? eq + 1 : argv[++*i];
    return true;
}

bool sv_settings_flags(struct sv_settings *s, int argc, char *const *argv, const char ***ret_words, size_t *ret_n)
{
    const char **words = sv_arena_alloc(s->arena, (size_t)argc * sizeof(*words) + sizeof(*words));
    size_t n = 0;
    bool only_words = false;
    for (int i = 1; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0)
            only_words = true;
        else if (!only_words && strcmp(argv[i], "-h") == 0)
            s->help = true;
        else if (only_words || strncmp(argv[i], "--", 2) != 0)
            words[n++] = argv[i];
        else if (!take_flag(s, argc, argv, &i))
            return false;
    }
    *ret_words = words;
    *ret_n = n;
    return true;
}

static enum sv_err from_file(void *arg, const char *name, const char *value, struct sv_error *err)
{
    struct sv_settings *s = arg;
    const struct flag *f = find(name, strlen(name));
    if (!f || !f->in_file)
        return sv_fail(err, SV_E_CONFIG, SV_F_NONE, "unknown name");
    if (f->is_text && !*text_slot(s, f))
        *text_slot(s, f) = sv_arena_strdup(s->arena, value);
    else if (!f->is_text && strcmp(value, "true") == 0)
        *((bool *)s + f->offset) = true;
    return SV_OK;
}

static bool read_file(struct sv_settings *s)
{
    const char *dir = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    struct sv_error err = {0};
    if (!(dir && *dir) && !home)
        return true;
    const char *path = dir && *dir ? sv_arena_printf(s->arena, "%s/starvirt/config", dir)
                                   : sv_arena_printf(s->arena, "%s/.config/starvirt/config", home);
    if (access(path, F_OK) != 0)
        return true;
    return sv_conf_read(path, from_file, s, &err) == SV_OK || say("configuration", err.arg[0]);
}

static bool read_token(struct sv_settings *s)
{
    char text[512];
    FILE *f = fopen(s->token_file, "re");
    if (!f)
        return say(s->token_file, strerror(errno));
    bool ok = fgets(text, sizeof(text), f) != NULL;
    fclose(f);
    text[ok ? strcspn(text, " \t\r\n") : 0] = '\0';
    if (!text[0])
        return say(s->token_file, "no token in it");
    s->token = sv_arena_strdup(s->arena, text);
    return true;
}

static const char *locale_lang(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *v = getenv(names[i]);
        if (v && *v)
            return strncmp(v, "zh", 2) == 0 ? "zh" : "en";
    }
    return "en";
}

bool sv_settings_rest(struct sv_settings *s)
{
    /* A token given nearer wins over a file given farther away, and the reverse. */
    bool have_token = s->token || s->token_file;
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        const char *v = flags[i].env ? getenv(flags[i].env) : NULL;
        bool is_token = strncmp(flags[i].name, "token", 5) == 0;
        if (v && *v && !*text_slot(s, &flags[i]) && !(is_token && have_token))
            *text_slot(s, &flags[i]) = v;
    }
    have_token = s->token || s->token_file;
    const char *token = s->token, *token_file = s->token_file;
    if (!read_file(s))
        return false;
    if (have_token) {
        s->token = token;
        s->token_file = token_file;
    }
    if (!s->server)
        s->server = DEFAULT_SERVER;
    if (!s->lang)
        s->lang = locale_lang();
    return s->token || !s->token_file || read_token(s);
}

void sv_settings_help(void)
{
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        char left[64];
        snprintf(left, sizeof(left), "--%s%s%s", flags[i].name, flags[i].arg ? " " : "",
                 flags[i].arg ? flags[i].arg : "");
        printf("  %-24s %s%s%s\n", left, flags[i].doc, flags[i].env ? "; also $" : "",
               flags[i].env ? flags[i].env : "");
    }
}
