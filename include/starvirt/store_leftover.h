/* Leftovers: things a host may still hold of objects that are gone, because it could not be reached when
 * they went. Reconciliation removes them once the host is back. */
#ifndef STARVIRT_STORE_LEFTOVER_H
#define STARVIRT_STORE_LEFTOVER_H

#include "starvirt/store.h"

enum sv_leftover_kind {
    SV_LEFTOVER_DOMAIN,
    SV_LEFTOVER_VOLUME,
    SV_LEFTOVER_TEMPLATE,
    SV_LEFTOVER_SNAPSHOT,
    SV_LEFTOVER_COPY,
    SV_LEFTOVER_STORAGE
};

struct sv_leftover {
    struct sv_id host, object;
    enum sv_leftover_kind kind;
    struct sv_id vm; /* of a snapshot */
};
/* Known already: success. */
enum sv_err sv_leftover_add(struct sv_tx *tx, const struct sv_leftover *l, struct sv_error *err);
/* Domains first: a volume in use cannot go. */
enum sv_err sv_leftover_list(struct sv_tx *tx, const struct sv_id *host,
                             void (*row)(void *arg, const struct sv_leftover *l), void *arg, struct sv_error *err);
enum sv_err sv_leftover_delete(struct sv_tx *tx, const struct sv_leftover *l, struct sv_error *err);

#endif
