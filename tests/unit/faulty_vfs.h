/* A VFS above the system's that fails as it is told, the default from faulty_vfs_register() on: for the tests of what
 * becomes of I/O errors. One thread sets it up, any may meet it. */
#ifndef STARVIRT_TESTS_FAULTY_VFS_H
#define STARVIRT_TESTS_FAULTY_VFS_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>

enum { FAULT_READ = 1, FAULT_WRITE = 2, FAULT_SYNC = 4, FAULT_OPEN = 8, FAULT_SHM = 16 };

/* What fails from now on, and as what; `page`: reading fails there only, 0 = everywhere. `met`: how often it did. */
static struct {
    atomic_int what, code, page, met;
} fault;

static sqlite3_vfs faulty, *below;
static sqlite3_io_methods faulty_methods;

/* The real file lies behind ours. */
struct faulty_file {
    sqlite3_file base;
    sqlite3_file *real;
};

static int fault_hits(int what)
{
    if (!(atomic_load(&fault.what) & what))
        return SQLITE_OK;
    atomic_fetch_add(&fault.met, 1);
    return atomic_load(&fault.code);
}

static void fault_set(int what, int code, int page)
{
    atomic_store(&fault.code, code);
    atomic_store(&fault.page, page);
    atomic_store(&fault.what, what);
}

#define REAL(f) (((struct faulty_file *)(f))->real)

static int faulty_close(sqlite3_file *f)
{
    return REAL(f)->pMethods->xClose(REAL(f));
}
static int faulty_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    const int page = atomic_load(&fault.page);
    const int rc = page && at != (sqlite3_int64)(page - 1) * 4096 ? SQLITE_OK : fault_hits(FAULT_READ);
    return rc ? rc : REAL(f)->pMethods->xRead(REAL(f), p, n, at);
}
static int faulty_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    const int rc = fault_hits(FAULT_WRITE);
    return rc ? rc : REAL(f)->pMethods->xWrite(REAL(f), p, n, at);
}
static int faulty_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    const int rc = fault_hits(FAULT_WRITE);
    return rc ? rc : REAL(f)->pMethods->xTruncate(REAL(f), n);
}
static int faulty_sync(sqlite3_file *f, int flags)
{
    const int rc = fault_hits(FAULT_SYNC);
    return rc ? rc : REAL(f)->pMethods->xSync(REAL(f), flags);
}
static int faulty_size(sqlite3_file *f, sqlite3_int64 *n)
{
    return REAL(f)->pMethods->xFileSize(REAL(f), n);
}
static int faulty_lock(sqlite3_file *f, int how)
{
    return REAL(f)->pMethods->xLock(REAL(f), how);
}
static int faulty_unlock(sqlite3_file *f, int how)
{
    return REAL(f)->pMethods->xUnlock(REAL(f), how);
}
static int faulty_reserved(sqlite3_file *f, int *ret)
{
    return REAL(f)->pMethods->xCheckReservedLock(REAL(f), ret);
}
static int faulty_control(sqlite3_file *f, int op, void *arg)
{
    return REAL(f)->pMethods->xFileControl(REAL(f), op, arg);
}
static int faulty_sector(sqlite3_file *f)
{
    return REAL(f)->pMethods->xSectorSize(REAL(f));
}
static int faulty_device(sqlite3_file *f)
{
    return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}
static int faulty_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
    const int rc = fault_hits(FAULT_SHM);
    return rc ? rc : REAL(f)->pMethods->xShmMap(REAL(f), page, size, extend, ret);
}
static int faulty_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return REAL(f)->pMethods->xShmLock(REAL(f), offset, n, flags);
}
static void faulty_shm_barrier(sqlite3_file *f)
{
    REAL(f)->pMethods->xShmBarrier(REAL(f));
}
static int faulty_shm_unmap(sqlite3_file *f, int remove)
{
    return REAL(f)->pMethods->xShmUnmap(REAL(f), remove);
}

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
    struct faulty_file *own = (struct faulty_file *)f;
    (void)vfs;
    own->base.pMethods = NULL;
    own->real = (sqlite3_file *)(own + 1);
    int rc = fault_hits(FAULT_OPEN);
    if (!rc)
        rc = below->xOpen(below, name, own->real, flags, ret_flags);
    if (!rc)
        own->base.pMethods = &faulty_methods;
    return rc;
}

static inline void faulty_vfs_register(void)
{
    below = sqlite3_vfs_find(NULL);
    faulty = *below;
    faulty.zName = "faulty";
    faulty.pNext = NULL;
    faulty.szOsFile = (int)sizeof(struct faulty_file) + below->szOsFile;
    faulty.xOpen = faulty_open;
    faulty_methods = (sqlite3_io_methods){
        .iVersion = 2,
        .xClose = faulty_close,
        .xRead = faulty_read,
        .xWrite = faulty_write,
        .xTruncate = faulty_truncate,
        .xSync = faulty_sync,
        .xFileSize = faulty_size,
        .xLock = faulty_lock,
        .xUnlock = faulty_unlock,
        .xCheckReservedLock = faulty_reserved,
        .xFileControl = faulty_control,
        .xSectorSize = faulty_sector,
        .xDeviceCharacteristics = faulty_device,
        .xShmMap = faulty_shm_map,
        .xShmLock = faulty_shm_lock,
        .xShmBarrier = faulty_shm_barrier,
        .xShmUnmap = faulty_shm_unmap,
    };
    sqlite3_vfs_register(&faulty, 1);
}

#endif
