/* Rules, security groups, and what of them is in force. */
#ifndef CORE_FIREWALL_H
#define CORE_FIREWALL_H

#include "core/network/network.h"
#include "starvirt/store_rule.h"

/* The group that a text names, if the actor may see it: GROUP_NOT_FOUND. */
enum sv_err sv_group_find(struct sv_tx *tx, const struct sv_actor *who, const char *text, struct sv_secgroup *ret,
                          struct sv_error *err);

/* --- asking the engine (core/firewall/look.c) --- */
void sv_rule_looks_init(struct sv_cloud *c, void (*news)(void *arg, const char *key), void *arg);
void sv_rule_looks_free(struct sv_cloud *c);
/* Rules that are in force on each of a VM's NICs, as the engine found them in a look that began at `since_us` or later:
 * sorted ids, the caller's to free. False: not known yet, it is being asked; `key` is told when it has answered. */
bool sv_rules_looked(struct sv_cloud *c, const struct sv_id *vm, const struct sv_id *nics, size_t n, int64_t since_us,
                     struct sv_ids *ret_rules, char key[SV_RULES_KEY_LEN]);

#endif
