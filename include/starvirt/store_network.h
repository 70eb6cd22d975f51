/* Networks on a physical interface of the machine (the KVM platform's NetworkHandler). */
#ifndef STARVIRT_STORE_NETWORK_H
#define STARVIRT_STORE_NETWORK_H

#include "starvirt/store.h"

struct sv_host_network {
    struct sv_id id;    /* the caller's own */
    const char *device; /* the physical interface */
    const char *netns;  /* the network namespace that has it; "" = the server's own */
    unsigned vlan;      /* 0 = flat: the interface whole */
    bool ready;         /* false while a job makes or removes it */
    int64_t created;
};
/* HOST_NETWORK_EXISTS: this id, or this tag on the device; HOST_NETWORK_CLASH: flat and a VLAN on one device. */
enum sv_err sv_host_network_insert(struct sv_tx *tx, const struct sv_host_network *n, struct sv_error *err);
enum sv_err sv_host_network_get(struct sv_tx *tx, const struct sv_id *id, struct sv_arena *a,
                                struct sv_host_network *ret, struct sv_error *err);
/* Ready ones, in order of creation. */
enum sv_err sv_host_network_list(struct sv_tx *tx, const struct sv_page *p,
                                 void (*row)(void *arg, const struct sv_host_network *n), void *arg,
                                 uint64_t *ret_total, struct sv_error *err);
enum sv_err sv_host_network_set_ready(struct sv_tx *tx, const struct sv_id *id, bool ready, struct sv_error *err);
enum sv_err sv_host_network_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);

#endif
