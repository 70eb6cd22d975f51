/* What rules of NICs, boundaries and groups share on this wire. */
#ifndef HANDLERS_STARVCENTER_RULE_H
#define HANDLERS_STARVCENTER_RULE_H

#include "handlers/starvcenter/rows.h"

#define PROTOCOLS SV_VALUES("tcp", "udp", "icmp")
#define WAYS      SV_VALUES("in", "out")

/* NULL: any, unsaid. */
enum sv_rule_proto sv_rule_proto_of(const char *word);
const char *sv_rule_proto_word(enum sv_rule_proto proto); /* any: "" */
enum sv_rule_way sv_rule_way_of(const char *word);

#endif
