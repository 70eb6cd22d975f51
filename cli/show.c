#include "cli/cli.h"

#include <stdlib.h>
#include <unistd.h>
#include <wchar.h>

enum { MAX_COLUMNS = 64, MAX_WIDTH = 60 };

/* --- text -------------------------------------------------------------------------------------------------- */

/* C0, DEL, and C1 as UTF-8 (c2 80..9f): what a terminal would obey. */
static bool is_control(const unsigned char *p)
{
    return p[0] < ' ' || p[0] == 0x7f || (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0);
}

void sv_print_clean(FILE *f, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool bad = is_control(p);
        if (bad && p[0] == 0xc2)
            p++;
        fputc(bad ? '?' : *p, f);
    }
}

/* Columns on the screen; a Chinese character takes two. */
static int width_of(const char *text)
{
    mbstate_t st = {0};
    int sum = 0;
    while (*text) {
        wchar_t c;
        size_t n = mbrtowc(&c, text, strlen(text), &st);
        if (n == 0 || n > 4)
            return sum + (int)strlen(text); /* not of this locale */
        int w = wcwidth(c);
        sum += w < 0 ? 1 : w;
        text += n;
    }
    return sum;
}

static void print_cell(const char *text, int width, bool last)
{
    sv_print_clean(stdout, text);
    int pad = width - width_of(text) > 0 ? width - width_of(text) : 0;
    if (!last)
        printf("%*s", pad + 2, ""); /* two blanks also behind what is wider than its column */
}

/* --- tables ------------------------------------------------------------------------------------------------ */

static bool any_has(const struct sv_node *list, const char *key)
{
    for (const struct sv_node *row = list->child; row; row = row->next)
        if (sv_node_get(row, key))
            return true;
    return false;
}

static size_t pick_columns(const struct sv_node *list, const char *const *wanted, const char **ret)
{
    size_t n = 0;
    for (; wanted && *wanted && n < MAX_COLUMNS; wanted++)
        if (any_has(list, *wanted))
            ret[n++] = *wanted;
    return n;
}

static size_t pick_fields(const struct sv_node *list, const struct sv_reply_row *f, const char **ret)
{
    size_t n = 0;
    for (; f && f->name && n < MAX_COLUMNS; f++)
        if (any_has(list, f->name))
            ret[n++] = f->name;
    return n;
}

static void print_row(const struct sv_node *row, const char *const *columns, const int *widths, size_t n)
{
    for (size_t i = 0; i < n; i++)
        print_cell(row ? sv_node_text(row, columns[i]) : columns[i], widths[i], i + 1 == n);
    putchar('\n');
}

static void print_table(const struct sv_node *list, const char *const *columns, size_t n)
{
    int widths[MAX_COLUMNS];
    for (size_t i = 0; i < n; i++) {
        widths[i] = width_of(columns[i]);
        for (const struct sv_node *row = list->child; row; row = row->next) {
            int w = width_of(sv_node_text(row, columns[i]));
            if (w > widths[i])
                widths[i] = w < MAX_WIDTH ? w : MAX_WIDTH;
        }
    }
    print_row(NULL, columns, widths, n);
    for (const struct sv_node *row = list->child; row; row = row->next)
        print_row(row, columns, widths, n);
}

static void print_object(const struct sv_node *obj)
{
    int width = 0;
    for (const struct sv_node *m = obj->child; m; m = m->next)
        if (width_of(m->key) > width)
            width = width_of(m->key);
    for (const struct sv_node *m = obj->child; m; m = m->next) {
        print_cell(m->key, width, false);
        print_cell(m->text, 0, true);
        putchar('\n');
    }
}

static void print_list(const struct sv_node *list, const struct sv_route *route, const char *const *columns)
{
    const char *used[MAX_COLUMNS];
    size_t n = columns ? pick_columns(list, columns, used) : pick_fields(list, route->fields, used);
    if (n > 0) {
        print_table(list, used, n);
        return;
    }
    for (const struct sv_node *v = list->child; v; v = v->next) {
        sv_print_clean(stdout, v->text);
        putchar('\n');
    }
}

/* "30 of 57" when the page is not all. */
static void print_count(const struct sv_node *root, const struct sv_node *list)
{
    int64_t total, shown = 0;
    for (const struct sv_node *v = list->child; v; v = v->next)
        shown++;
    if (sv_parse_int(sv_node_text(root, "dataCount"), &total) && total != shown)
        fprintf(stderr, "%lld of %lld\n", (long long)shown, (long long)total);
}

void sv_show_answer(const struct sv_answer *a, const struct sv_route *route, const char *const *columns)
{
    const struct sv_node *data = sv_node_get(a->root, "data");
    if (data && data->kind == SV_NODE_LIST) {
        print_list(data, route, columns);
        print_count(a->root, data);
    } else if (data && data->kind == SV_NODE_OBJ) {
        print_object(data);
    } else if (data && data->text[0]) {
        sv_print_clean(stdout, data->text);
        putchar('\n');
    }
    const char *startid = sv_node_text(a->root, "startid");
    if (*startid) {
        fputs("startid  ", stdout);
        sv_print_clean(stdout, startid);
        putchar('\n');
    }
}

void sv_show_warning(const struct sv_answer *a, const struct sv_wire *w)
{
    const char *text = w->warning ? sv_node_text(a->root, w->warning) : "";
    if (!*text)
        return;
    fputs("starvirt: ", stderr);
    sv_print_clean(stderr, text);
    fputc('\n', stderr);
}

void sv_show_failure(const struct sv_answer *a)
{
    fputs("starvirt: ", stderr);
    if (a->root) {
        const char *code = sv_node_text(sv_node_get(a->root, "error"), "code");
        sv_print_clean(stderr, code);
        fputs(*code ? ": " : "", stderr);
        sv_print_clean(stderr, sv_node_text(a->root, "resultinfo"));
    } else {
        char line[120];
        size_t n = strcspn(a->raw, "\r\n");
        snprintf(line, sizeof(line), "%.*s", (int)(n < 100 ? n : 100), a->raw);
        fprintf(stderr, "HTTP %ld: ", a->status);
        sv_print_clean(stderr, line);
    }
    fputc('\n', stderr);
}
