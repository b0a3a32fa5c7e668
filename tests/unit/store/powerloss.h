/*
 * A disk that loses its power. While it is watched, everything that SQLite writes through its default file system goes
 * to the files, and into a list; what they would hold had the power gone at any point of it can be made from that list.
 *
 * A write that was not synced may have reached the disk or not, whatever came behind it: cut_at() takes all of those,
 * or none, or some. The shared memory file is rebuilt by whoever comes next, and is left out.
 */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/fs.h"
#include "base/mem.h"

enum op_kind { OP_WRITE, OP_TRUNCATE, OP_SYNC, OP_DELETE };

struct op {
    enum op_kind kind;
    char *path; /* owned */
    sqlite3_int64 at;
    char *bytes; /* owned; OP_WRITE */
    int count;
};

static struct disk {
    sqlite3_vfs vfs, *real;
    struct op *ops; /* owned */
    size_t count;
} disk;

/* What of the writes behind the last sync is there. */
enum survival { SURVIVE_ALL, SURVIVE_NONE, SURVIVE_SOME };

struct disk_file {
    sqlite3_file base;
    const char *path; /* SQLite's, which keeps it as long as the file is open; NULL: a temporary one */
};

static sqlite3_file *real_of(sqlite3_file *file) {
    return (sqlite3_file *)((struct disk_file *)file + 1);
}

static void note_op(const char *path, struct op op) {
    if (!path)
        return;
    op.path = xstrdup(path);
    disk.ops = xreallocarray(disk.ops, disk.count + 1, sizeof(op));
    disk.ops[disk.count++] = op;
}

/* ---- the file system under SQLite ---- */

static int disk_close(sqlite3_file *file) {
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int disk_read(sqlite3_file *file, void *bytes, int count, sqlite3_int64 at) {
    return real_of(file)->pMethods->xRead(real_of(file), bytes, count, at);
}

static int disk_write(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 at) {
    struct op op = {.kind = OP_WRITE, .at = at, .bytes = xcalloc(1, (size_t)count + 1), .count = count};

    memcpy(op.bytes, bytes, (size_t)count);
    if (((struct disk_file *)file)->path)
        note_op(((struct disk_file *)file)->path, op);
    else
        free(op.bytes);
    return real_of(file)->pMethods->xWrite(real_of(file), bytes, count, at);
}

static int disk_truncate(sqlite3_file *file, sqlite3_int64 size) {
    note_op(((struct disk_file *)file)->path, (struct op){.kind = OP_TRUNCATE, .at = size});
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int disk_sync(sqlite3_file *file, int flags) {
    note_op(((struct disk_file *)file)->path, (struct op){.kind = OP_SYNC});
    return real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int disk_size(sqlite3_file *file, sqlite3_int64 *ret_size) {
    return real_of(file)->pMethods->xFileSize(real_of(file), ret_size);
}

static int disk_lock(sqlite3_file *file, int level) {
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int disk_unlock(sqlite3_file *file, int level) {
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int disk_is_reserved(sqlite3_file *file, int *ret_is) {
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), ret_is);
}

static int disk_control(sqlite3_file *file, int what, void *arg) {
    return real_of(file)->pMethods->xFileControl(real_of(file), what, arg);
}

static int disk_sector(sqlite3_file *file) {
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

/* None that would let SQLite leave a sync out. */
static int disk_traits(sqlite3_file *file) {
    (void)file;
    return 0;
}

static int disk_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret_at) {
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, ret_at);
}

static int disk_shm_lock(sqlite3_file *file, int offset, int count, int flags) {
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}

static void disk_shm_barrier(sqlite3_file *file) {
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int disk_shm_unmap(sqlite3_file *file, int remove_it) {
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove_it);
}

static const sqlite3_io_methods disk_methods = {
    .iVersion = 2,
    .xClose = disk_close,
    .xRead = disk_read,
    .xWrite = disk_write,
    .xTruncate = disk_truncate,
    .xSync = disk_sync,
    .xFileSize = disk_size,
    .xLock = disk_lock,
    .xUnlock = disk_unlock,
    .xCheckReservedLock = disk_is_reserved,
    .xFileControl = disk_control,
    .xSectorSize = disk_sector,
    .xDeviceCharacteristics = disk_traits,
    .xShmMap = disk_shm_map,
    .xShmLock = disk_shm_lock,
    .xShmBarrier = disk_shm_barrier,
    .xShmUnmap = disk_shm_unmap,
};

static int disk_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret_flags) {
    (void)vfs;
    file->pMethods = NULL;
    ((struct disk_file *)file)->path = path;
    int r = disk.real->xOpen(disk.real, path, real_of(file), flags, ret_flags);
    if (r == SQLITE_OK)
        file->pMethods = &disk_methods;
    return r;
}

static int disk_delete(sqlite3_vfs *vfs, const char *path, int sync_dir) {
    (void)vfs;
    note_op(path, (struct op){.kind = OP_DELETE});
    return disk.real->xDelete(disk.real, path, sync_dir);
}

static void disk_watch(void) {
    disk.real = sqlite3_vfs_find(NULL);
    disk.vfs = *disk.real;
    disk.vfs.zName = "disk";
    disk.vfs.szOsFile = (int)sizeof(struct disk_file) + disk.real->szOsFile;
    disk.vfs.xOpen = disk_open;
    disk.vfs.xDelete = disk_delete;
    (void)sqlite3_vfs_register(&disk.vfs, 1);
}

static void disk_leave(void) {
    (void)sqlite3_vfs_unregister(&disk.vfs);
    (void)sqlite3_vfs_register(disk.real, 1);
}

static void disk_fini(void) {
    for (size_t i = 0; i < disk.count; i++) {
        free(disk.ops[i].path);
        free(disk.ops[i].bytes);
    }
    free(disk.ops);
    disk = (struct disk){0};
}

/* ---- the files as they would be ---- */

/* Is it on the disk for certain at `cut`: did a sync of its file come behind it? */
static bool is_synced(size_t i, size_t cut) {
    for (size_t later = i + 1; later < cut; later++)
        if (disk.ops[later].kind == OP_SYNC && strcmp(disk.ops[later].path, disk.ops[i].path) == 0)
            return true;
    return false;
}

static bool survives(size_t i, size_t cut, enum survival survival, unsigned *seed) {
    if (survival == SURVIVE_ALL || disk.ops[i].kind == OP_DELETE || is_synced(i, cut))
        return true;
    return survival == SURVIVE_SOME && rand_r(seed) % 2 == 0;
}

static bool apply_op(const struct op *op, const char *path) {
    if (op->kind == OP_DELETE)
        return unlink(path) == 0;
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (op->kind == OP_WRITE)
        return pwrite(fd, op->bytes, (size_t)op->count, op->at) == op->count;
    return op->kind == OP_SYNC || ftruncate(fd, op->at) == 0;
}

/* Puts the database of `from`, as it was when the watch began, and its log, into `to`, as a power loss before the
 * operation `cut` would have left them. Only of that database: a copy elsewhere is another file. */
static bool cut_at(size_t cut, enum survival survival, const char *from, const char *to) {
    unsigned seed = (unsigned)cut + 1;

    for (size_t i = 0; i < cut; i++) {
        const struct op *op = &disk.ops[i];
        if (strncmp(op->path, from, strlen(from)) != 0 || !survives(i, cut, survival, &seed))
            continue;
        CLEANUP(free) char *path = xasprintf("%s%s", to, op->path + strlen(from));
        if (!apply_op(op, path))
            return false;
    }
    return true;
}
