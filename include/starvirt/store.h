/* Stores: one per entity, all SQL behind them (db/store_*.c). Common ground.
 *
 * Texts in a row struct: in a list callback they live until the callback returns; from a get they live
 * in the arena given. Times are [ms UTC], sizes [bytes], counts plain. Functions that change rows must
 * run in a write closure (asserted). "get" answers the entity's own *_NOT_FOUND with the field that
 * belongs to it, also for rows outside the scope. */
#ifndef STARVIRT_STORE_H
#define STARVIRT_STORE_H

#include "starvirt/actor.h"
#include "starvirt/db.h"
#include "starvirt/mem.h"

/* Rows [offset, offset+limit) in order of creation, then id; limit 0 = all. */
struct sv_page {
    uint64_t offset;
    unsigned limit;
};
/* A search filter field left NULL / empty / unset does not filter. Substrings are literal (% and _ too),
 * case-insensitive for ASCII. */

#endif
