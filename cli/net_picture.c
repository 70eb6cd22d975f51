#include "cli/net.h"
#include "starvirt/text.h"

enum { MAX_DEPTH = 8 };

/* --- a tree ------------------------------------------------------------------------------------------------ */

struct edge {
    bool last[MAX_DEPTH]; /* of each level: nothing follows */
    unsigned depth;
};

static void print_line(const struct sv_net_item *item, const struct edge *e)
{
    for (unsigned i = 0; i + 1 < e->depth; i++)
        fputs(e->last[i] ? "   " : "│  ", stdout);
    if (e->depth)
        fputs(e->last[e->depth - 1] ? "└─ " : "├─ ", stdout);
    printf("%s ", item->kind);
    sv_print_clean(stdout, item->label);
    putchar('\n');
}

/* What hangs on the top stands at the margin. */
static void print_below(const struct sv_net_item *item, struct edge *e, bool top)
{
    for (const struct sv_net_item *c = item->child; c; c = c->next) {
        struct edge inner = *e;

        if (!top && inner.depth < MAX_DEPTH)
            inner.last[inner.depth++] = !c->next;
        print_line(c, &inner);
        print_below(c, &inner, false);
    }
}

void sv_net_print_tree(const struct sv_net_item *top)
{
    struct edge e = {.depth = 0};

    if (!top->child)
        puts("no networks");
    print_below(top, &e, true);
}

/* --- JSON -------------------------------------------------------------------------------------------------- */

static void put_below(struct sv_json *j, const struct sv_net_item *item)
{
    for (const struct sv_net_item *c = item->child; c; c = c->next) {
        sv_json_obj(j, NULL);
        sv_json_str(j, "kind", c->kind);
        sv_json_str(j, "id", c->id);
        sv_json_str(j, "label", c->label);
        sv_json_str(j, "serves", c->serves ? c->serves->id : NULL);
        sv_json_arr(j, "holds");
        put_below(j, c);
        sv_json_end_arr(j);
        sv_json_end_obj(j);
    }
}

void sv_net_print_json(const struct sv_net_item *top)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    struct sv_json j;

    sv_json_init(&j, &out);
    sv_json_arr(&j, NULL);
    put_below(&j, top);
    sv_json_end_arr(&j);
    puts(out.p);
}

/* --- Graphviz ---------------------------------------------------------------------------------------------- */

/* Inside double quotes. */
static void print_quoted(const char *text)
{
    char one[2] = "";

    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        /* Bytes of one character stay together: they are all above what is cleaned here. */
        one[0] = *text;
        if ((unsigned char)*text >= 0x80)
            putchar(*text);
        else
            sv_print_clean(stdout, one);
    }
}

static void print_name(const struct sv_net_item *item)
{
    printf("\"%s ", item->kind);
    print_quoted(item->id);
    putchar('"');
}

static void print_edge(const struct sv_net_item *from, const struct sv_net_item *to, const char *style)
{
    fputs("  ", stdout);
    print_name(from);
    fputs(" -> ", stdout);
    print_name(to);
    printf("%s;\n", style);
}

static void print_graph(const struct sv_net_item *item, bool top)
{
    for (const struct sv_net_item *c = item->child; c; c = c->next) {
        fputs("  ", stdout);
        print_name(c);
        printf(" [label=\"%s\\n", c->kind);
        print_quoted(c->label);
        fputs("\"];\n", stdout);
        if (!top)
            print_edge(item, c, "");
        if (c->serves)
            print_edge(c, c->serves, " [style=dashed]");
        print_graph(c, false);
    }
}

void sv_net_print_dot(const struct sv_net_item *top)
{
    puts("digraph networks {\n  rankdir=LR;\n  node [shape=box];");
    print_graph(top, true);
    puts("}");
}
