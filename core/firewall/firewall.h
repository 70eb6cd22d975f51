/* Rules, security groups, and what of them is in force. */
#ifndef CORE_FIREWALL_H
#define CORE_FIREWALL_H

#include "core/network/network.h"
#include "starvirt/store_rule.h"

/* The group that a text names, if the actor may see it: GROUP_NOT_FOUND. */
enum sv_err sv_group_find(struct sv_tx *tx, const struct sv_actor *who, const char *text, struct sv_secgroup *ret,
                          struct sv_error *err);

/* --- asking the engine (core/firewall/rule_look.c) --- */
/* Rules that are in force on each of a VM's NICs, as the engine says: sorted ids, the caller's to free; none where that
 * is not known. Does not block. */
void sv_rules_looked(struct sv_cloud *c, const struct sv_id *vm, const struct sv_id *nics, size_t n,
                     struct sv_look *look, struct sv_ids *ret_rules);

#endif
