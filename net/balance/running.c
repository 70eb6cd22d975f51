#include "net/balance/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "starvirt/text.h"

enum { OFF = 0x63, DRAINS = 0x18 }; /* bits of srv_admin_state: maintenance, whoever wished it; no new connections */

/* --- reading --- */

static void copy_cell(char *dst, size_t size, const struct cell *c)
{
    const size_t n = c->n < size ? c->n : size - 1;
    memcpy(dst, c->p, n);
    dst[n] = '\0';
}

/* The value of a line "name: value". */
static bool info_value(const struct sv_buf *info, const char *name, struct cell *ret)
{
    const size_t n = strlen(name);
    for (const char *p = info->p; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
        if (strncmp(p, name, n) == 0 && p[n] == ':' && p[n + 1] == ' ') {
            *ret = (struct cell){p + n + 2, strcspn(p + n + 2, "\n")};
            return true;
        }
    return false;
}

static char *copy_line(const struct sv_buf *text, const char *within)
{
    const char *from = within, *end = text->p + text->n;
    while (from > text->p && from[-1] != '\n')
        from--;
    const char *line = memchr(within, '\n', (size_t)(end - within));
    return sv_asprintf("%.*s", (int)((line ? line : end) - from), from);
}

static bool read_servers(const struct sv_buf *text, struct running *ret)
{
    static const char *const columns[] = {"be_name", "srv_name", "srv_admin_state", "srv_uweight"};
    struct table t;
    struct cell c[TABLE_COLUMNS];
    if (!table_open(&t, text, ' ', columns, 4))
        return false;
    while (table_next(&t, c)) {
        ret->v = sv_grow(ret->v, ret->n, &ret->cap, sizeof(*ret->v));
        struct running_server *s = &ret->v[ret->n++];
        *s = (struct running_server){.admin = (unsigned)cell_number(&c[2]), .weight = (unsigned)cell_number(&c[3])};
        copy_cell(s->backend, sizeof(s->backend), &c[0]);
        copy_cell(s->name, sizeof(s->name), &c[1]);
        s->line = copy_line(text, c[0].p);
    }
    return true;
}

int64_t running_pid(const struct sv_buf *said)
{
    struct cell pid;
    return info_value(said, "Pid", &pid) ? (int64_t)cell_number(&pid) : 0;
}

bool running_read(const struct sv_buf *said, struct running *ret)
{
    struct cell shape;
    struct running r = {.pid = running_pid(said)};
    if (r.pid == 0 || !info_value(said, "description", &shape) || !read_servers(said, &r))
        return false;
    copy_cell(r.shape, sizeof(r.shape), &shape);
    *ret = r;
    return true;
}

void running_free(struct running *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->v[i].line);
    free(r->v);
    *r = (struct running){0};
}

/* --- comparing --- */

static void backend_name(const struct sv_net_balancer *b, char buf[BALANCE_NAME_MAX])
{
    snprintf(buf, BALANCE_NAME_MAX, "b-%s", b->id.s);
}

static const struct running_server *running_server(const struct running *is, const char *backend, const char *name)
{
    for (size_t i = 0; i < is->n; i++)
        if (strcmp(is->v[i].name, name) == 0 && strcmp(is->v[i].backend, backend) == 0)
            return &is->v[i];
    return NULL;
}

/* The node that runs as this, or NULL. */
static const struct sv_net_node *wanted_node(const struct balancers *want, const struct running_server *s,
                                             const struct sv_net_balancer **ret_balancer)
{
    char name[BALANCE_NAME_MAX];
    for (size_t i = 0; i < want->n; i++) {
        backend_name(want->v[i], name);
        if (strcmp(name, s->backend) != 0)
            continue;
        for (size_t k = 0; k < want->v[i]->node_count; k++) {
            haproxy_server_name(&want->v[i]->nodes[k], name);
            if (strcmp(name, s->name) == 0) {
                *ret_balancer = want->v[i];
                return &want->v[i]->nodes[k];
            }
        }
    }
    return NULL;
}

/* A new one is in maintenance, and unchecked, until it is said otherwise. */
static void add_node(const struct sv_net_balancer *b, const struct sv_net_node *node, const char *name,
                     struct sv_buf *ret)
{
    char ip[SV_IP4_LEN];
    sv_ip4_format(node->ip, ip);
    sv_buf_printf(ret, "add server b-%s/%s %s:%u ", b->id.s, name, ip, node->port);
    haproxy_check_words(b, ret);
    sv_buf_printf(ret, " weight %u\n", haproxy_weight(b, node));
    sv_buf_printf(ret, "enable health b-%s/%s\n", b->id.s, name);
    if (node->on)
        sv_buf_printf(ret, "enable server b-%s/%s\n", b->id.s, name);
}

static void change_node(const struct sv_net_balancer *b, const struct sv_net_node *node,
                        const struct running_server *is, struct sv_buf *ret)
{
    const unsigned weight = haproxy_weight(b, node);
    if (is->weight != weight)
        sv_buf_printf(ret, "set server %s/%s weight %u\n", is->backend, is->name, weight);
    if (node->on != !(is->admin & OFF) || (is->admin & DRAINS))
        sv_buf_printf(ret, "set server %s/%s state %s\n", is->backend, is->name, node->on ? "ready" : "maint");
}

/* Those that come before those that go: a balancer is never without. */
void running_changes(const struct running *is, const struct balancers *want, struct sv_buf *ret)
{
    for (size_t i = 0; i < want->n; i++)
        for (size_t k = 0; k < want->v[i]->node_count; k++) {
            const struct sv_net_node *node = &want->v[i]->nodes[k];
            char backend[BALANCE_NAME_MAX], name[BALANCE_NAME_MAX];
            backend_name(want->v[i], backend);
            haproxy_server_name(node, name);
            const struct running_server *there = running_server(is, backend, name);
            if (there)
                change_node(want->v[i], node, there, ret);
            else
                add_node(want->v[i], node, name, ret);
        }
    for (size_t i = 0; i < is->n; i++) {
        const struct sv_net_balancer *b;
        if (!wanted_node(want, &is->v[i], &b))
            sv_buf_printf(ret, "set server %s/%s state maint\ndel server %s/%s\n", is->v[i].backend, is->v[i].name,
                          is->v[i].backend, is->v[i].name);
    }
}

/* --- what the next one is to know --- */

/* Of be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight: the last three are
 * the text's, whatever commands have made of them. */
static void state_line(const char *line, unsigned weight, struct sv_buf *ret)
{
    const char *p = line, *rest;
    for (int i = 0; i < 6 && p; i++)
        p = strchr(p, ' ') ? strchr(p, ' ') + 1 : NULL;
    rest = p;
    for (int i = 0; i < 3 && rest; i++)
        rest = strchr(rest, ' ') ? strchr(rest, ' ') + 1 : NULL;
    if (rest)
        sv_buf_printf(ret, "%.*s0 %u %u %s\n", (int)(p - line), line, weight, weight, rest);
}

void running_state(const struct running *is, const struct balancers *want, struct sv_buf *ret)
{
    sv_buf_puts(ret, "1\n");
    for (size_t i = 0; i < is->n; i++) {
        const struct sv_net_balancer *b;
        const struct sv_net_node *node = wanted_node(want, &is->v[i], &b);
        if (node && node->on && !(is->v[i].admin & OFF))
            state_line(is->v[i].line, haproxy_weight(b, node), ret);
    }
}

/* --- facts --- */

static bool id_in(const struct cell *c, const char *prefix, struct sv_id *ret)
{
    const size_t n = strlen(prefix);
    char text[SV_ID_LEN + 1];
    if (c->n < n + SV_ID_LEN || memcmp(c->p, prefix, n) != 0)
        return false;
    memcpy(text, c->p + n, SV_ID_LEN);
    text[SV_ID_LEN] = '\0';
    *ret = sv_id_from(text);
    return !sv_id_empty(ret);
}

static enum sv_net_node_state state_of(const struct cell *c)
{
    static const struct {
        const char *word; /* "UP", and "UP 1/3" on its way down */
        enum sv_net_node_state state;
    } words[] = {{"UP", SV_NET_NODE_UP}, {"DOWN", SV_NET_NODE_DOWN}, {"MAINT", SV_NET_NODE_OFF}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const size_t n = strlen(words[i].word);
        if (c->n >= n && memcmp(c->p, words[i].word, n) == 0 && (c->n == n || c->p[n] == ' '))
            return words[i].state;
    }
    return SV_NET_NODE_UNKNOWN;
}

void running_facts(const struct sv_buf *stat, sv_net_node_fn *row, void *arg)
{
    static const char *const columns[] = {"pxname", "svname", "scur", "stot", "bin", "bout", "status"};
    struct table t;
    struct cell c[TABLE_COLUMNS];
    if (!table_open(&t, stat, ',', columns, 7))
        return;
    while (table_next(&t, c)) {
        struct sv_net_node_fact f = {.state = state_of(&c[6]),
                                     .connections = cell_number(&c[2]),
                                     .sessions = cell_number(&c[3]),
                                     .bytes_in = cell_number(&c[4]),
                                     .bytes_out = cell_number(&c[5])};
        if (id_in(&c[0], "b-", &f.balancer) && id_in(&c[1], "", &f.node))
            row(arg, &f);
    }
}
