/* starvirt net show: a tenant's networks as a picture. net_show.c asks the server and hangs each object on another,
 * net_picture.c prints. All memory is the settings' arena's. */
#ifndef STARVIRT_CLI_NET_H
#define STARVIRT_CLI_NET_H

#include "cli/cli.h"

struct sv_net_item {
    const char *kind, *id;
    const char *label;
    const struct sv_net_item *serves; /* the NIC that it leads to, as a mapping and a node do; NULL = none */
    const struct sv_net_item *child, *next;
};

/* `top`: its children and theirs, each under what it hangs on. */
void sv_net_print_tree(const struct sv_net_item *top);
/* The same as a list of objects that hold lists. */
void sv_net_print_json(const struct sv_net_item *top);
/* A digraph for Graphviz: solid lines for what hangs on what, dashed ones for `serves`. */
void sv_net_print_dot(const struct sv_net_item *top);

#endif
