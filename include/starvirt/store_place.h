/* What placement looks at: hosts as they are in this transaction, groups of VMs that belong together or apart. */
#ifndef STARVIRT_STORE_PLACE_H
#define STARVIRT_STORE_PLACE_H

#include "starvirt/store.h"

struct sv_host_room {
    struct sv_id id;
    const char *labels; /* "key=value", by comma, sorted; until the callback returns */
    bool connected, maintenance;
    bool storage;          /* it reaches one for disks of VMs */
    int64_t vcpus, memory; /* free of what may be placed; less than 0 where it shrank below what it holds */
};
/* All there are, in no order. */
enum sv_err sv_host_rooms(struct sv_tx *tx, void (*row)(void *arg, const struct sv_host_room *h), void *arg,
                          struct sv_error *err);

#endif
