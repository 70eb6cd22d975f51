#include "cli/cli.h"
#include "starvirt/conf.h"
#include "starvirt/path.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_SERVER "http://127.0.0.1:18081"

enum flag_type { FLAG_BOOL, FLAG_TEXT, FLAG_PATH /* a text, kept from the root */ };

struct flag {
    const char *name;
    size_t offset;
    enum flag_type type;
    const char *env; /* NULL = none */
    bool in_file;    /* may stand in the configuration file */
    const char *arg, *doc;
};

#define AT(m) offsetof(struct sv_settings, m)

static const struct flag flags[] = {
    {"server", AT(server), FLAG_TEXT, "STARVIRT_SERVER", true, "URL", "where the server is [" DEFAULT_SERVER "]"},
    {"token", AT(token), FLAG_TEXT, "STARVIRT_TOKEN", true, "TEXT", "who you are; seen by others in the process list"},
    {"token-file", AT(token_file), FLAG_PATH, "STARVIRT_TOKEN_FILE", true, "FILE",
     "the token, such as DIR/admin.token"},
    {"cacert", AT(cacert), FLAG_PATH, "STARVIRT_CACERT", true, "FILE", "whom to trust with HTTPS (PEM)"},
    {"lang", AT(lang), FLAG_TEXT, NULL, true, "en|zh", "language of the server's texts [from the locale]"},
    {"json", AT(json), FLAG_BOOL, NULL, true, NULL, "print the reply as JSON"},
    {"wait", AT(wait), FLAG_BOOL, NULL, false, NULL, "follow the jobs that were started; fail if one fails"},
    {"file", AT(file), FLAG_PATH, NULL, false, "FILE", "body of an operation that takes a file"},
    {"idempotency-key", AT(idempotency_key), FLAG_TEXT, NULL, false, "KEY", "makes a repeated call harmless"},
    {"data", AT(data), FLAG_PATH, NULL, false, "DIR", "fsck, token reset: the server's data directory"},
    {"connect", AT(connect), FLAG_TEXT, NULL, false, "URI",
     "fsck: also hold this hypervisor's hosts against the rows (stopped server)"},
    {"image-dir", AT(image_dir), FLAG_PATH, NULL, false, "DIR",
     "fsck: the server's hv.image_dir, when it is not DIR/images"},
    {"dot", AT(dot), FLAG_BOOL, NULL, false, NULL, "net show: for Graphviz"},
    {"help", AT(help), FLAG_BOOL, NULL, false, NULL, "this, or about the command named"},
    {"version", AT(version), FLAG_BOOL, NULL, false, NULL, "the version"},
};
enum { FLAG_COUNT = sizeof(flags) / sizeof(flags[0]) };

static bool say(const char *what, const char *why)
{
    fprintf(stderr, "starvirt: %s: %s\n", what, why);
    return false;
}

/* What is no UTF-8 would be another text on its way. */
static bool is_text(const char *name, const char *value)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf shown = {0};
    if (sv_utf8_valid(value, strlen(value)))
        return true;
    sv_utf8_show(&shown, value);
    fprintf(stderr, "starvirt: %s: not UTF-8: %s\n", name, shown.p);
    return false;
}

static bool are_texts(int argc, char *const *argv)
{
    char name[32];
    for (int i = 1; i < argc; i++) {
        snprintf(name, sizeof(name), "argument %d", i);
        if (!is_text(name, argv[i]))
            return false;
    }
    return true;
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

/* `base`: what a path is relative to; NULL: the working directory. False: *ret_why. */
static bool set_text(struct sv_settings *s, const struct flag *f, const char *value, const char *base,
                     const char **ret_why)
{
    SV_AUTOFREE char *path = f->type == FLAG_PATH ? sv_path_absolute(value, base, ret_why) : NULL;
    if (f->type == FLAG_PATH && !path)
        return false;
    *text_slot(s, f) = sv_arena_strdup(s->arena, path ? path : value);
    return true;
}

static bool take_flag(struct sv_settings *s, int argc, char *const *argv, int *i)
{
    const char *a = argv[*i] + 2, *eq = strchr(a, '=');
    const struct flag *f = find(a, eq ? (size_t)(eq - a) : strlen(a));
    if (!f)
        return say(argv[*i], "no such flag, see --help");
    if (f->type == FLAG_BOOL) {
        *((bool *)s + f->offset) = true;
        return eq ? say(argv[*i], "takes no value") : true;
    }
    if (!eq && *i + 1 >= argc)
        return say(argv[*i], "needs a value");
    const char *flag = argv[*i], *why;
    return set_text(s, f, eq ? eq + 1 : argv[++*i], NULL, &why) || say(flag, why);
}

bool sv_settings_flags(struct sv_settings *s, int argc, char *const *argv, const char ***ret_words, size_t *ret_n)
{
    const char **words = sv_arena_alloc(s->arena, (size_t)argc * sizeof(*words) + sizeof(*words));
    size_t n = 0;
    bool only_words = false;
    if (!are_texts(argc, argv))
        return false;
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

struct file {
    struct sv_settings *s;
    const char *dir; /* paths in it are relative to that */
};

static enum sv_err refuse(struct sv_buf *why, const char *name, const char *text)
{
    sv_buf_printf(why, "%s: %s", name, text);
    return SV_E_CONFIG;
}

static enum sv_err from_file(void *arg, const char *name, const char *value, struct sv_buf *why)
{
    struct file *file = arg;
    const struct flag *f = find(name, strlen(name));
    const char *wrong;
    if (f && f->type == FLAG_TEXT && !sv_utf8_valid(value, strlen(value)))
        return refuse(why, name, "not UTF-8");
    if (!f || !f->in_file)
        return refuse(why, name, "unknown name");
    if (f->type == FLAG_BOOL) {
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return refuse(why, name, "neither true nor false");
        bool *slot = (bool *)file->s + f->offset;
        *slot = *slot || strcmp(value, "true") == 0;
        return SV_OK;
    }
    if (*text_slot(file->s, f) || set_text(file->s, f, value, file->dir, &wrong))
        return SV_OK;
    return refuse(why, name, wrong);
}

static bool read_file(struct sv_settings *s)
{
    const char *dir = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    SV_CLEANUP(sv_buf_free) struct sv_buf why = {0};
    const bool named = dir && dir[0] == '/'; /* one that is not from the root counts for nothing, says its standard */
    if (!named && !(home && home[0] == '/'))
        return true;
    const char *path = named ? sv_arena_printf(s->arena, "%s/starvirt/config", dir)
                             : sv_arena_printf(s->arena, "%s/.config/starvirt/config", home);
    if (access(path, F_OK) != 0)
        return true;
    SV_AUTOFREE char *parent = sv_path_parent(path);
    struct file file = {s, parent};
    return !sv_conf_read(path, from_file, &file, &why) || say("configuration", why.p);
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
        const char *why;
        if (!v || !*v || *text_slot(s, &flags[i]) || (is_token && have_token))
            continue;
        if (!is_text(flags[i].env, v))
            return false;
        if (!set_text(s, &flags[i], v, NULL, &why))
            return say(flags[i].env, why);
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
