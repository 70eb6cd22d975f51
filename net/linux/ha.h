/* Routers of two instances (HA). Both are whole: a namespace each, with the same devices, MACs, addresses, routes,
 * rules and balancers.
 *
 *     transit bridge svx… ══ svz… tr0 ─ svr-… ─ out0 svo… ══ --net.outer
 *                                       ha0
 *                                        ║          a pair of their own: VRRP and the state of connections
 *                                       ha0
 *     transit bridge svx… ══ svw… tr0 ─ svs-… ─ out0 svq… ══ --net.outer
 *
 * One speaks. The other has a table of nftables, `netdev standby`, that lets no frame in or out of tr0 and out0, ARP
 * included: nothing on either network knows of it. keepalived decides, over ha0, who leads (VRRP moves one address of
 * ha0, the token); a script that it runs makes the leader the one that speaks: the other is silenced first, so there
 * are never two. The speaker takes over MAC and addresses as they are; it announces them, so that bridges learn its
 * port. conntrackd keeps each one's connections with the other; they are committed before the new one speaks.
 *
 * No instance is preferred: who leads stays leader until it fails. Where nobody leads (ha0 is broken) the one that
 * spoke last goes on.
 *
 * What runs has its files in /run/starvirt/<router id>/, which lives as long as the namespaces do. It is made first and
 * goes last: there are two instances, or what is left of them, where it is there. */
#ifndef STARVIRT_NET_LINUX_HA_H
#define STARVIRT_NET_LINUX_HA_H

#include "net/linux/router.h"

#define HA_DIR   "/run/starvirt"
#define HA_FIRST 0xA9FEF801u /* on ha0: instance 0; instance 1 has the next */
#define HA_TOKEN 0xA9FEF803u
enum { HA_PREFIX = 29 };

/* --- ha_text.c: texts, pure --- */
/* nftables: an instance becomes silent; `outer`: it has a leg there, too. And the other way round. */
void ha_silent_text(bool outer, struct sv_buf *ret);
void ha_speak_text(struct sv_buf *ret);
void ha_keepalived_text(const struct sv_id *router, unsigned instance, bool outer, struct sv_buf *ret);
void ha_conntrackd_text(const struct sv_id *router, unsigned instance, struct sv_buf *ret);
/* The script that makes one speak. */
void ha_turn_text(const struct sv_id *router, bool outer, struct sv_buf *ret);
/* What is there of an instance (nft's listing, `ip addr`) without what tells the two apart, the table `standby` and the
 * token, and whether the other end of ha0 was up by then. In place. */
void ha_common(struct sv_buf *text);

/* --- ha.c --- */
/* r: instance 0 and 1 of the same router, everywhere. */
struct ha_roles {
    bool there[ROUTER_INSTANCES]; /* its namespace and its port on the transit network */
    bool speaks[ROUTER_INSTANCES];
    bool leads[ROUTER_INSTANCES]; /* has the token */
    unsigned active;              /* who speaks, or is to speak when that is nobody or both */
};
char *ha_file(const struct sv_id *router, const char *name, unsigned instance);
bool ha_there(const struct sv_id *router);
enum sv_err ha_look_roles(const struct router *r, struct ha_roles *ret, struct sv_error *err);
/* UNSUPPORTED, naming what is missing, where the machine has not all of them. */
enum sv_err ha_programs(struct sv_error *err);
/* The directory, and in it what does not change. */
enum sv_err ha_prepare(const struct router *r, struct sv_error *err);
enum sv_err ha_silence(const struct router *r, struct sv_error *err); /* one */
/* ha0 is in both namespaces. */
enum sv_err ha_link_ensure(const struct router *r, struct sv_error *err);
/* What a keepalived that was killed has left behind: the next one does not take it away. */
enum sv_err ha_drop_token(const struct router *r, struct sv_error *err);
/* Instance `to` speaks, the other does not; connections move along. */
enum sv_err ha_turn(const struct router *r, unsigned to, struct sv_error *err);
/* Daemons and what they make are gone; the namespaces are not touched but for ha0. */
enum sv_err ha_remove(const struct router *r, struct sv_error *err);
/* How often another came to speak by itself since the directory was made. */
uint64_t ha_failovers(const struct sv_id *router);

/* --- ha_daemon.c --- */
/* keepalived and conntrackd of both run, one leads, the other stands by. Waits for that. */
enum sv_err ha_daemons_ensure(const struct router *r, unsigned active, struct sv_error *err);
bool ha_daemons_whole(const struct router *r);
enum sv_err ha_keepalived_stop(const struct router *r, struct sv_error *err);
enum sv_err ha_conntrackd_stop(const struct router *r, struct sv_error *err);

#endif
