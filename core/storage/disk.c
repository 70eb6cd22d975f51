/* What steps note of a disk: whether its volume is there. */
#include "core/storage/storage.h"

struct ready_args {
    struct sv_id disk;
    bool ready;
};

static enum sv_err write_ready(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct ready_args *a = arg;

    return sv_disk_set_ready(tx, &a->disk, a->ready, err);
}

struct posted {
    struct sv_db_work work; /* first: freed as one piece by the database */
    struct ready_args args;
};

/* Making a volume is idempotent, so the mark need not be on disk before the next step; taking it away
 * must, or a crash would leave a disk that claims to be there. */
enum sv_err sv_step_disk_ready(struct sv_cloud *c, const struct sv_id *disk, bool ready, struct sv_error *err)
{
    struct ready_args a = {*disk, ready};
    struct posted *p;

    if (!ready)
        return sv_db_write(c->db, write_ready, &a, err);
    p = sv_alloc(sizeof(*p));
    *p = (struct posted){.work = {.fn = write_ready, .arg = &p->args}, .args = a};
    sv_db_post(c->db, &p->work);
    return SV_OK;
}
