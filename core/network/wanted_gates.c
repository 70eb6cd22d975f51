/* What passes between a router's VPCs and anything else. */
#include "core/network/rules.h"

struct gates {
    struct sv_arena *arena;
    struct sv_net_gate *v;
    size_t n, cap;
};

static void add_gate(void *arg, const struct sv_id *vpc, bool closed)
{
    struct gates *g = arg;

    g->v = sv_arena_grow(g->arena, g->v, g->n, &g->cap, sizeof(*g->v));
    g->v[g->n++] = (struct sv_net_gate){.vpc = *vpc, .closed = closed};
}

/* Open ones without rules are left out: there is nothing to be said of them. */
static enum sv_err put_rules(struct sv_tx *tx, struct gates *g, struct sv_error *err)
{
    size_t kept = 0;

    for (size_t i = 0; i < g->n; i++) {
        struct sv_rule_rows rows = {.arena = g->arena, .err = err};
        struct sv_net_gate gate = g->v[i];
        enum sv_err rc = sv_rule_list_gate(tx, &gate.vpc, sv_rule_rows_add, &rows, err);

        rc = sv_rule_rows_end(&rows, rc, &gate.rules);
        if (rc)
            return rc;
        if (gate.closed || gate.rules.n > 0)
            g->v[kept++] = gate;
    }
    g->n = kept;
    return SV_OK;
}

enum sv_err sv_want_gates(struct sv_tx *tx, struct sv_arena *a, struct sv_net_router *ret, struct sv_error *err)
{
    struct gates g = {.arena = a};
    enum sv_err rc = sv_gate_list(tx, &ret->id, add_gate, &g, err);

    if (!rc)
        rc = put_rules(tx, &g, err);
    ret->gates = g.v;
    ret->gate_count = g.n;
    return rc;
}
