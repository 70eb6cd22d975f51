/* What is in force, as the engine says. An engine may take its time or hang, so a thread of its own asks, while there
 * is something to ask, and whoever waits is told. What it said is kept for a while. */
#include <stdio.h>

#include "core/firewall/firewall.h"
#include "starvirt/thread.h"

enum { KEEP_US = 60 * 1000 * 1000 };

/* The NICs of one VM, and the rules in force on each. */
struct looked {
    struct sv_id nics[SV_HV_MAX_NICS];
    struct sv_ids rules[SV_HV_MAX_NICS];
    size_t n;
};

struct item {
    struct sv_id vm;
    struct looked want, have; /* the former without rules */
    bool asked, busy;
    int64_t since; /* [us] when the look at `have` began; 0 = there was none */
    struct item *next;
};

struct sv_rule_looks {
    struct sv_crew crew; /* its mutex guards all of it; not held while the engine is asked */
    struct sv_net *net;
    bool running;
    struct item *items;
    void (*news)(void *arg, const char *key);
    void *news_arg;
};

static void looked_free(struct looked *l)
{
    for (size_t i = 0; i < l->n; i++)
        sv_ids_free(&l->rules[i]);
    l->n = 0;
}

/* --- the thread --------------------------------------------------------------------------------------- */

static void add_rule(void *arg, const struct sv_id *rule)
{
    sv_ids_add(arg, rule);
}

/* What cannot be read is not in force. */
static void ask_engine(struct sv_net *net, struct looked *l)
{
    for (size_t i = 0; !net->ops->books_only && i < l->n; i++) {
        struct sv_error err;

        if (net->ops->filter_look(net, &l->nics[i], add_rule, &l->rules[i], &err))
            sv_ids_free(&l->rules[i]);
        sv_ids_sort(&l->rules[i]);
    }
}

static struct item *due(const struct sv_rule_looks *s)
{
    struct item *i = s->items;

    while (i && !i->asked)
        i = i->next;
    return i;
}

static void key_of(const struct sv_id *vm, char key[SV_RULES_KEY_LEN])
{
    snprintf(key, SV_RULES_KEY_LEN, "rules:%s", vm->s);
}

/* An item that is busy stays where it is. */
static void look(struct sv_rule_looks *s, struct item *i)
{
    struct looked l = i->want;
    const int64_t began = sv_mono_us();
    char key[SV_RULES_KEY_LEN];

    key_of(&i->vm, key);
    i->asked = false;
    i->busy = true;
    pthread_mutex_unlock(&s->crew.mutex);
    ask_engine(s->net, &l);
    pthread_mutex_lock(&s->crew.mutex);
    looked_free(&i->have);
    i->have = l;
    i->since = began;
    i->busy = false;
    if (s->crew.stop || !s->news)
        return;
    pthread_mutex_unlock(&s->crew.mutex);
    s->news(s->news_arg, key);
    pthread_mutex_lock(&s->crew.mutex);
}

static void *look_main(void *arg)
{
    struct sv_rule_looks *s = arg;
    struct item *i;

    pthread_mutex_lock(&s->crew.mutex);
    while (!s->crew.stop && (i = due(s)))
        look(s, i);
    sv_crew_leave(&s->crew, &s->running);
    pthread_mutex_unlock(&s->crew.mutex);
    return NULL;
}

/* --- asking ------------------------------------------------------------------------------------------- */

static void forget_old(struct sv_rule_looks *s, int64_t now)
{
    for (struct item **at = &s->items; *at;) {
        struct item *i = *at;

        if (i->asked || i->busy || i->since > now - KEEP_US) {
            at = &i->next;
            continue;
        }
        *at = i->next;
        looked_free(&i->have);
        free(i);
    }
}

static struct item *item_of(struct sv_rule_looks *s, const struct sv_id *vm)
{
    struct item *i = s->items;

    while (i && !sv_id_eq(&i->vm, vm))
        i = i->next;
    if (i)
        return i;
    i = sv_alloc(sizeof(*i));
    *i = (struct item){.vm = *vm, .next = s->items};
    s->items = i;
    return i;
}

static bool same_nics(const struct looked *l, const struct sv_id *nics, size_t n)
{
    bool same = l->n == n;

    for (size_t i = 0; same && i < n; i++)
        same = sv_id_eq(&l->nics[i], &nics[i]);
    return same;
}

static void ask(struct sv_rule_looks *s, struct item *i, const struct sv_id *nics, size_t n)
{
    i->want.n = n;
    memcpy(i->want.nics, nics, n * sizeof(*nics));
    i->asked = true;
    forget_old(s, sv_mono_us());
    sv_crew_wake(&s->crew, &s->running, look_main, s);
}

static void copy_rules(const struct looked *l, struct sv_ids *ret)
{
    for (size_t i = 0; i < l->n; i++) {
        for (size_t k = 0; k < l->rules[i].n; k++)
            sv_ids_add(&ret[i], &l->rules[i].v[k]);
    }
}

bool sv_rules_looked(struct sv_cloud *c, const struct sv_id *vm, const struct sv_id *nics, size_t n, int64_t since_us,
                     struct sv_ids *ret_rules, char key[SV_RULES_KEY_LEN])
{
    struct sv_rule_looks *s = c->rule_looks;
    struct item *i;
    bool known = n == 0;

    key_of(vm, key);
    if (known)
        return true;
    pthread_mutex_lock(&s->crew.mutex);
    i = item_of(s, vm);
    known = i->since >= since_us && same_nics(&i->have, nics, n);
    if (known)
        copy_rules(&i->have, ret_rules);
    else
        ask(s, i, nics, n);
    pthread_mutex_unlock(&s->crew.mutex);
    return known;
}

/* --- life --------------------------------------------------------------------------------------------- */

void sv_rule_looks_init(struct sv_cloud *c, void (*news)(void *arg, const char *key), void *arg)
{
    struct sv_rule_looks *s = sv_alloc(sizeof(*s));

    sv_crew_init(&s->crew);
    s->net = c->net;
    s->news = news;
    s->news_arg = arg;
    c->rule_looks = s;
}

void sv_rule_looks_free(struct sv_cloud *c)
{
    struct sv_rule_looks *s = c->rule_looks;

    if (!s)
        return;
    c->rule_looks = NULL;
    sv_crew_stop(&s->crew);
    for (struct item *i = s->items, *next; i; i = next) {
        next = i->next;
        looked_free(&i->have);
        free(i);
    }
    sv_crew_free(&s->crew);
    free(s);
}
