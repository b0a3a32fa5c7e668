#include "call/proc.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"

/* The text behind the name, which stands in parentheses and may hold anything: "S 1 2 …". Owned, all of it. */
static int read_stat(long pid, char **ret_text, const char **ret_behind, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf content = {0};
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    if (fs_read_file(path, 8192, &content, err) < 0)
        return -1;
    CLEANUP(free) char *text = buf_take_string(&content);
    const char *end = text ? strrchr(text, ')') : NULL;
    if (!end || end[1] != ' ')
        return fail(err, ERR_SYSTEM, "'%s' is not as expected", path);
    *ret_behind = end + 2;
    *ret_text = TAKE_PTR(text);
    return 0;
}

int proc_start_time(long pid, uint64_t *ret_start_time, struct theseus_error *err) {
    CLEANUP(free) char *text = NULL;
    const char *field = NULL;

    if (read_stat(pid, &text, &field, err) < 0)
        return -1;
    for (int i = 3; field && i < 22; i++) {
        field = strchr(field, ' ');
        field = field ? field + 1 : NULL;
    }
    if (!field || sscanf(field, "%" SCNu64, ret_start_time) != 1)
        return fail(err, ERR_SYSTEM, "/proc/%ld/stat is not as expected", pid);
    return 0;
}

void proc_boot_id(char boot[static PROC_BOOT_BYTES]) {
    CLEANUP(buf_fini) struct buf content = {0};

    boot[0] = '\0';
    if (fs_read_file("/proc/sys/kernel/random/boot_id", PROC_BOOT_BYTES - 1, &content, NULL) == 0)
        (void)snprintf(boot, PROC_BOOT_BYTES, "%.*s", (int)strcspn(buf_span(&content).data, "\n"),
                       buf_span(&content).data);
}

/* What has just been asked about it has failed: is it, as far as can be told, because there is no such process? */
static bool is_missing(long pid) {
    return kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

bool proc_lives(long pid, uint64_t start_time) {
    CLEANUP(free) char *text = NULL;
    const char *behind = NULL;
    uint64_t its_start = 0;
    char state = 0;

    if (proc_start_time(pid, &its_start, NULL) < 0)
        return !is_missing(pid);
    if (its_start != start_time)
        return false;
    if (read_stat(pid, &text, &behind, NULL) < 0)
        return !is_missing(pid);
    return sscanf(behind, "%c", &state) == 1 && state != 'Z' && state != 'X';
}

static bool is_at_work(long pid, long group) {
    CLEANUP(free) char *text = NULL;
    const char *behind = NULL;
    long its_group = 0;
    char state = 0;

    if (read_stat(pid, &text, &behind, NULL) < 0)
        return !is_missing(pid) && getpgid((pid_t)pid) == (pid_t)group;
    return sscanf(behind, "%c %*d %ld", &state, &its_group) == 2 && its_group == group && state != 'Z' && state != 'X';
}

bool proc_group_lives(long group) {
    DIR *dir = opendir("/proc");
    bool lives = false;

    if (!dir)
        return !is_missing(-group);
    errno = 0;
    for (struct dirent *entry; !lives && (entry = readdir(dir)); errno = 0) {
        long pid = strtol(entry->d_name, NULL, 10);
        lives = pid > 0 && is_at_work(pid, group);
    }
    if (errno && !lives)
        lives = !is_missing(-group);
    (void)closedir(dir);
    return lives;
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
