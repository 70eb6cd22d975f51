/* Which of a VM's disks each disk of its backup becomes. */
#include "core/copy/backup.h"

static const struct sv_disk *same_disk(const struct sv_vm_rows *rows, const struct sv_backup_disk *d)
{
    for (unsigned i = 0; i < rows->disk_count; i++)
        if (sv_id_eq(&rows->disks[i].id, &d->disk))
            return &rows->disks[i];
    return NULL;
}

static bool is_taken(const struct sv_backup_rows *backup, const struct sv_disk *disk)
{
    for (unsigned i = 0; i < backup->disk_count; i++)
        if (sv_id_eq(&backup->disks[i].disk, &disk->id))
            return true;
    return false;
}

static const struct sv_disk *same_name(const struct sv_backup_rows *backup, const struct sv_vm_rows *rows,
                                       const struct sv_backup_disk *d)
{
    for (unsigned i = 0; i < rows->disk_count; i++)
        if (strcmp(rows->disks[i].target, d->target) == 0 && !is_taken(backup, &rows->disks[i]))
            return &rows->disks[i];
    return NULL;
}

enum sv_err sv_backup_match(const struct sv_backup_rows *backup, const struct sv_vm_rows *rows,
                            const struct sv_disk *ret[SV_HV_MAX_DISKS], struct sv_error *err)
{
    for (unsigned i = 0; i < backup->disk_count; i++) {
        const struct sv_backup_disk *d = &backup->disks[i];

        ret[i] = same_disk(rows, d);
        if (!ret[i])
            ret[i] = same_name(backup, rows, d);
        if (!ret[i] || ret[i]->size < d->size)
            return sv_fail(err, SV_E_BACKUP_DISKS, SV_F_BACKUP, d->target);
    }
    return SV_OK;
}
