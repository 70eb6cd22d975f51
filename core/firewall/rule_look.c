/* What is in force, as the engine says. It may take its time or hang, so a thread of its own asks. */
#include "core/firewall/firewall.h"

/* The NICs of one VM, and the rules in force on each. */
struct looked {
    struct sv_net *net;
    struct sv_id nics[SV_HV_MAX_NICS];
    struct sv_ids rules[SV_HV_MAX_NICS];
    size_t n;
};

struct asked {
    struct sv_net *net;
    const struct sv_id *nics;
    size_t n;
    struct sv_ids *ret_rules;
};

static void add_rule(void *arg, const struct sv_id *rule)
{
    sv_ids_add(arg, rule);
}

/* What cannot be read is not in force. */
static void look_at(void *seen)
{
    struct looked *l = seen;

    for (size_t i = 0; !l->net->ops->books_only && i < l->n; i++) {
        struct sv_error err;

        if (l->net->ops->filter_look(l->net, &l->nics[i], add_rule, &l->rules[i], &err))
            sv_ids_free(&l->rules[i]);
        sv_ids_sort(&l->rules[i]);
    }
}

static void *question(void *arg)
{
    const struct asked *a = arg;
    struct looked *l = sv_alloc(sizeof(*l));

    l->net = a->net;
    l->n = a->n;
    memcpy(l->nics, a->nics, a->n * sizeof(*a->nics));
    return l;
}

/* The VM may have other NICs by now. */
static bool answers(const void *seen, void *arg)
{
    const struct looked *l = seen;
    const struct asked *a = arg;
    bool same = l->n == a->n;

    for (size_t i = 0; same && i < a->n; i++)
        same = sv_id_eq(&l->nics[i], &a->nics[i]);
    for (size_t i = 0; same && i < a->n; i++) {
        for (size_t k = 0; k < l->rules[i].n; k++)
            sv_ids_add(&a->ret_rules[i], &l->rules[i].v[k]);
    }
    return same;
}

static void looked_free(void *seen)
{
    struct looked *l = seen;

    for (size_t i = 0; i < l->n; i++)
        sv_ids_free(&l->rules[i]);
    free(l);
}

void sv_rules_looked(struct sv_cloud *c, const struct sv_id *vm, const struct sv_id *nics, size_t n,
                     struct sv_look *look, struct sv_ids *ret_rules)
{
    static const struct sv_look_kind kind = {
        .news = "rules", .question = question, .look = look_at, .answers = answers, .free = looked_free};
    static const struct sv_id engine = {""};
    struct asked asked = {c->net, nics, n, ret_rules};

    if (n > 0)
        sv_looked(c, &kind, &engine, vm, look, &asked);
}
