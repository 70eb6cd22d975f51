/* Rows of rules on their way to an engine. */
#ifndef CORE_NETWORK_RULES_H
#define CORE_NETWORK_RULES_H

#include "core/network/wanted.h"
#include "starvirt/store_rule.h"

/* Collects what a store hands to sv_rule_rows_add(), in that order. */
struct sv_rule_rows {
    struct sv_arena *arena;
    struct sv_error *err;
    enum sv_err rc; /* the first failure */
    struct sv_net_rule *v;
    size_t n, cap;
};
void sv_rule_rows_add(void *rows, const struct sv_rule *r);
/* Its rules, in the arena. The store's failure goes before its own. */
enum sv_err sv_rule_rows_end(const struct sv_rule_rows *rows, enum sv_err rc, struct sv_net_rules *ret);

#endif
