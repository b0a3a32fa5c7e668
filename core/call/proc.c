#include "call/proc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"

int proc_start_time(long pid, uint64_t *ret_start_time, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf content = {0};
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    if (fs_read_file(path, 8192, &content, err) < 0)
        return -1;
    CLEANUP(free) char *text = buf_take_string(&content);
    /* The second field is the program's name in parentheses and may hold anything; the third begins behind the last
     * one. */
    const char *field = text ? strrchr(text, ')') : NULL;
    for (int i = 2; field && i < 22; i++)
        field = strchr(field + 1, ' ');
    if (!field || sscanf(field, "%" SCNu64, ret_start_time) != 1)
        return fail(err, ERR_SYSTEM, "'%s' is not as expected", path);
    return 0;
}

int proc_memory(long pid, uint64_t *ret_bytes, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf content = {0};
    uint64_t pages;
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%ld/statm", pid);
    if (fs_read_file(path, 8192, &content, err) < 0)
        return -1;
    CLEANUP(free) char *text = buf_take_string(&content);
    if (!text || sscanf(text, "%*u %" SCNu64, &pages) != 1)
        return fail(err, ERR_SYSTEM, "'%s' is not as expected", path);
    *ret_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}
