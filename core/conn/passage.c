#include "conn/passage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

enum { PRIVATE_DIR = 0700, OPEN_DIR = 0711, MODE_BITS = 0777, MARK_MODE = 0600 };

static const char suffix[] = ".open";

static char *mark_of(const char *path) {
    return xasprintf("%s%s", path, suffix);
}

static bool is_mark(const char *name) {
    size_t len = strlen(name), end = strlen(suffix);

    return len > end && strcmp(name + len - end, suffix) == 0;
}

/* Is there a mark beside `except`, which may be NULL? */
static int find_mark(const char *dir, const char *except, bool *ret_found, struct theseus_error *err) {
    DIR *listing = opendir(dir);
    bool found = false;

    if (!listing)
        return fail_errno(err, "cannot read the directory '%s'", dir);
    errno = 0;
    for (const struct dirent *entry; !found && (entry = readdir(listing)); errno = 0)
        found = is_mark(entry->d_name) && (!except || strcmp(entry->d_name, except) != 0);
    int r = !found && errno ? fail_errno(err, "cannot read the directory '%s'", dir) : 0;
    (void)closedir(listing);
    *ret_found = found;
    return r;
}

bool passage_is_ours(const char *path) {
    CLEANUP(free) char *mark = mark_of(path);

    return access(mark, F_OK) == 0;
}

int passage_enter(const char *path, bool open_to_all, int *ret_fd, struct theseus_error *err) {
    CLEANUP(free) char *dir = path_dir(path);
    CLEANUP(fd_close) int fd = -1;

    if (fs_make_dir(dir, open_to_all || passage_is_ours(path) ? OPEN_DIR : PRIVATE_DIR, err) < 0)
        return -1;
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) < 0)
        return fail_errno(err, "cannot lock the directory '%s'", dir);
    *ret_fd = fd_take(&fd);
    return 0;
}

/* The mark comes first and goes last: a directory that we have opened is never without it. */
static int open_up(const char *dir, const char *mark, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = -1;
    struct stat st;
    bool marked = false;

    if (stat(dir, &st) < 0)
        return fail_errno(err, "cannot examine the directory '%s'", dir);
    if (find_mark(dir, NULL, &marked, err) < 0)
        return -1;
    if ((st.st_mode & MODE_BITS) == OPEN_DIR && !marked)
        return 0; /* somebody else's doing */
    fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, MARK_MODE);
    if (fd < 0 || chmod(dir, OPEN_DIR) < 0)
        return fail_errno(err, "cannot open the directory '%s' to others", dir);
    return 0;
}

static int close_up(const char *dir, const char *mark, struct theseus_error *err) {
    struct stat st;
    bool others = false;

    if (access(mark, F_OK) < 0)
        return errno == ENOENT ? 0 : fail_errno(err, "cannot examine '%s'", mark);
    if (stat(dir, &st) < 0)
        return fail_errno(err, "cannot examine the directory '%s'", dir);
    if (find_mark(dir, path_base(mark), &others, err) < 0)
        return -1;
    if (!others && (st.st_mode & MODE_BITS) == OPEN_DIR && chmod(dir, PRIVATE_DIR) < 0)
        return fail_errno(err, "cannot close the directory '%s' to others", dir);
    if (unlink(mark) < 0)
        return fail_errno(err, "cannot remove '%s'", mark);
    return 0;
}

int passage_set(const char *path, bool open, struct theseus_error *err) {
    CLEANUP(free) char *dir = path_dir(path);
    CLEANUP(free) char *mark = mark_of(path);

    return open ? open_up(dir, mark, err) : close_up(dir, mark, err);
}
