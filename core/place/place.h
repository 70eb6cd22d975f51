/* Which host a VM goes to: filters rule hosts out, weights rank the others (docs/ARCHITECTURE.md, "Placement"). */
#ifndef CORE_PLACE_PLACE_H
#define CORE_PLACE_PLACE_H

#include "core/run/run.h"
#include "starvirt/store_place.h"

/* --- the rule: a function of hosts and a wish, nothing else (core/place/rank.c) --- */
struct sv_place_host {
    struct sv_id id;
    const char *labels; /* "key=value", by comma */
    bool ready, maintenance, storage;
    int64_t vcpus, memory;    /* free; memory [bytes] */
    unsigned apart, together; /* strict groups of the wish that have a VM here, by policy */
    int64_t liked;            /* VMs here of its soft groups: those to be with less those to keep apart from */
};
struct sv_place_wish {
    int64_t vcpus, memory, disks; /* the latter two [bytes] */
    const char *labels;           /* that the host must have, "key=value", by comma; "" none */
    unsigned together;            /* strict groups to be with that have a VM somewhere */
    enum sv_place_policy policy;
};
/* Filters and weights by their place among the rows; a host ruled out by one of the first two is not looked at by
 * others. */
enum sv_place_filter {
    SV_PLACE_READY,
    SV_PLACE_MAINTENANCE,
    SV_PLACE_LABELS,
    SV_PLACE_STORAGE,
    SV_PLACE_VCPUS,
    SV_PLACE_MEMORY,
    SV_PLACE_APART,
    SV_PLACE_TOGETHER,
    SV_PLACE_FILTERS
};
enum sv_place_weight { SV_PLACE_LIKED, SV_PLACE_ROOM, SV_PLACE_ID /* no weight tells them apart */, SV_PLACE_WEIGHTS };
struct sv_place_verdict {
    const struct sv_place_host *host;
    unsigned against;         /* bit a filter; 0 = it fits */
    enum sv_place_weight why; /* of one that fits: what puts it before the next one that does */
};
/* Verdicts on all of them, best first: those that fit by weight, then by id; then the others, by id. Returns how many
 * fit. ret has room for n. */
size_t sv_place_rank(const struct sv_place_host *hosts, size_t n, const struct sv_place_wish *w,
                     struct sv_place_verdict *ret);
/* "12 short of memory (4096 MB > 3584 MB), 5 in maintenance": how many each filter ruled out, the most first; for
 * resources what was wanted, and the most that one has. The rest is "and 3 more" where it does not fit. */
void sv_place_against(const struct sv_place_verdict *v, size_t n, const struct sv_place_wish *w, char *buf,
                      size_t size);
/* "most free memory" */
const char *sv_place_why(enum sv_place_weight why, enum sv_place_policy policy, size_t fit);
/* The one text of what such a list means: sorted, each once; "" for none. PARAM_FORMAT, PARAM_RANGE. */
enum sv_err sv_labels_read(const char *text, enum sv_field field, struct sv_arena *a, const char **ret,
                           struct sv_error *err);
/* Do the labels of a host have all that are wanted? Both by comma. */
bool sv_labels_have(const char *labels, const char *wanted);

/* --- affinity groups (core/place/affinity.c) --- */
enum sv_err sv_affinity_find(struct sv_tx *tx, struct sv_scope scope, const char *text, struct sv_affinity *ret,
                             struct sv_error *err);

/* --- in a transaction (core/place/book.c) --- */
struct sv_place; /* the hosts as the transaction that made it has them; lives in its arena */
struct sv_place_order {
    int64_t vcpus, memory, disks; /* of each VM; [bytes] */
    const char *labels;           /* NULL none */
    const struct sv_affinity *groups;
    size_t group_count;
};
struct sv_placed {
    struct sv_id host;
    size_t fit, total;
    enum sv_place_weight why;
    char against[SV_ERR_ARG_MAX]; /* of the others; "" = none was ruled out */
};
/* Reads the hosts, once for all VMs that the request makes. On the writer thread, as all that follows. */
enum sv_err sv_place_begin(struct sv_cloud *c, struct sv_tx *tx, const struct sv_place_order *o, struct sv_place **ret,
                           struct sv_error *err);
/* Picks a host for one more, and reserves there. NO_CAPACITY with what was short on how many hosts. */
enum sv_err sv_place_take(struct sv_place *p, struct sv_tx *tx, struct sv_placed *ret, struct sv_error *err);
/* The reasons, into the log of the job that makes the VM. */
enum sv_err sv_place_note(const struct sv_place *p, struct sv_tx *tx, const struct sv_id *job,
                          const struct sv_placed *placed, struct sv_error *err);

#endif
