#include "store/draft.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"

static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"}; /* what SQLite has beside a database */

char *draft_path(const char *path) {
    return xasprintf("%s.%d.new", path, (int)getpid());
}

void draft_remove(const char *draft) {
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        CLEANUP(free) char *path = xasprintf("%s%s", draft, suffixes[i]);
        (void)unlink(path);
    }
}

static bool is_suffix(const char *text) {
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
        if (strcmp(text, suffixes[i]) == 0)
            return true;
    return false;
}

static bool is_gone(long pid) {
    return pid > 0 && pid <= INT_MAX && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

/* `base` is the name of the file that it was to become. */
static bool is_left(const char *name, const char *base) {
    const size_t len = strlen(base);
    char *end = NULL;

    if (strncmp(name, base, len) != 0 || name[len] != '.')
        return false;
    long pid = strtol(name + len + 1, &end, 10);
    return strncmp(end, ".new", strlen(".new")) == 0 && is_suffix(end + strlen(".new")) && is_gone(pid);
}

void draft_sweep(const char *path) {
    CLEANUP(free) char *parent = path_dir(path);
    DIR *dir = opendir(parent);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (is_left(entry->d_name, path_base(path)))
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        (void)closedir(dir);
}
