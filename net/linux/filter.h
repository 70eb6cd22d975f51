/* The filters of NICs and groups, inside. Texts (filter_text.c) are pure; filter.c gives them to the kernel. */
#ifndef STARVIRT_NET_LINUX_FILTER_H
#define STARVIRT_NET_LINUX_FILTER_H

#include "net/linux/internal.h"

#define FILTER_TABLE "starvirt" /* one of the bridge family, one of ip; everything in them is ours */
#define FILTER_NIC   "nic_"     /* chains: nic_DIGITS_in and so on, with the 32 digits of the NIC's id */
#define FILTER_GROUP "group_"

/* --- filter_text.c: one transaction each, added to *ret --- */
/* What is there for all: hooks, maps, tracking. Nothing of a NIC or a group is touched. */
void filter_base_text(struct sv_buf *ret);
/* Whatever was there of the NIC goes; its groups' chains are made where they are missing. */
void filter_nic_text(const struct sv_net_filter *want, struct sv_buf *ret);
void filter_nic_gone_text(const struct sv_id *nic, struct sv_buf *ret);
void filter_group_text(const struct sv_net_group *want, struct sv_buf *ret);
void filter_group_gone_text(const struct sv_id *group, struct sv_buf *ret);
/* The command that prints the chain with the rules of one NIC or group for one direction. */
void filter_look_text(const char *prefix, const struct sv_id *id, bool in, struct sv_buf *ret);

/* Reading what nft printed; NULL is nothing. */
typedef void filter_id_fn(void *arg, const struct sv_id *id);
void filter_read_chains(const char *text, const char *prefix, filter_id_fn *row, void *arg);
void filter_read_groups(const char *text, filter_id_fn *row, void *arg); /* that a NIC's chain jumps to */
void filter_read_rules(const char *text, filter_id_fn *row, void *arg);  /* each once, whatever its lines */

/* The chains of a NIC or a group, of all that is for all; names are good while *names is. */
enum { FILTER_CHAINS = 8, FILTER_CHAIN_NAME = 64 };
struct filter_chains {
    char names[FILTER_CHAINS][FILTER_CHAIN_NAME];
    struct nft_chain v[FILTER_CHAINS];
    size_t n;
};
void filter_chains_of(const char *prefix, const struct sv_id *id, struct filter_chains *ret);
void filter_base_chains(struct filter_chains *ret);

/* --- filter.c --- */
/* Puts the base into force: from then on a tap of ours without a filter says nothing. CONFIG when this kernel cannot.
 */
enum sv_err filter_open(struct linux_net *net, struct sv_error *err);
/* The rows of the engine's table. */
enum sv_err filter_apply(struct sv_net *net, const struct sv_net_filter *want, const struct sv_deadline *d,
                         struct sv_error *err);
enum sv_err filter_remove(struct sv_net *net, const struct sv_id *nic, const struct sv_deadline *d,
                          struct sv_error *err);
enum sv_err filter_whole(struct sv_net *net, const struct sv_net_filter *want, bool *ret, struct sv_error *err);
enum sv_err group_whole(struct sv_net *net, const struct sv_net_group *want, bool *ret, struct sv_error *err);
enum sv_err filter_look(struct sv_net *net, const struct sv_id *nic, sv_net_rule_fn *row, void *arg,
                        struct sv_error *err);
enum sv_err filter_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *nic), void *arg,
                        struct sv_error *err);
enum sv_err group_apply(struct sv_net *net, const struct sv_net_group *want, const struct sv_deadline *d,
                        struct sv_error *err);
enum sv_err group_remove(struct sv_net *net, const struct sv_id *group, const struct sv_deadline *d,
                         struct sv_error *err);
enum sv_err group_list(struct sv_net *net, void (*row)(void *arg, const struct sv_id *group), void *arg,
                       struct sv_error *err);

#endif
