#include "server/program.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

#define OWN "/proc/self/exe"
#define DELETED " (deleted)" /* what the kernel writes behind the name of a file that is gone */

static char *without_suffix(char *path, const char *suffix) {
    size_t len = strlen(path), suffix_len = strlen(suffix);

    if (len > suffix_len && strcmp(path + len - suffix_len, suffix) == 0)
        path[len - suffix_len] = '\0';
    return path;
}

char *program_path(void) {
    char path[4096];
    ssize_t len = readlink(OWN, path, sizeof(path) - 1);

    if (len < 0)
        return xstrdup(OWN);
    path[len] = '\0';
    return xstrdup(without_suffix(path, DELETED));
}

int program_open(void) {
    return open(OWN, O_RDONLY | O_CLOEXEC);
}

static bool is_ours(const char *path) {
    struct stat there, ours;

    return stat(path, &there) == 0 && stat(OWN, &ours) == 0 && there.st_dev == ours.st_dev &&
           there.st_ino == ours.st_ino;
}

/* As a shell finds a word without a slash. */
static char *search(const char *name) {
    const char *path = getenv("PATH");
    CLEANUP(free) char *dirs = xstrdup(path ? path : "");
    char *rest = NULL;

    for (char *dir = strtok_r(dirs, ":", &rest); dir; dir = strtok_r(NULL, ":", &rest)) {
        CLEANUP(free) char *candidate = path_join(dir, name);
        if (is_ours(candidate))
            return TAKE_PTR(candidate);
    }
    return NULL;
}

char *program_started_by(const char *argument, const char *path) {
    CLEANUP(free) char *directory = getcwd(NULL, 0);
    CLEANUP(free) char *found = NULL;

    if (argument && strchr(argument, '/') && directory)
        found = path_absolute(directory, argument);
    else if (argument && *argument)
        found = search(argument);
    return found && *found == '/' && is_ours(found) ? TAKE_PTR(found) : xstrdup(path);
}
