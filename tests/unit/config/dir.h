/* A directory that is there for one test, and files in it. */
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"

struct dir {
    char path[64];
};

static inline struct dir dir_new(void) {
    struct dir dir = {"/tmp/theseus-config-XXXXXX"};

    assert_non_null(mkdtemp(dir.path));
    return dir;
}

/* Also what lies in it, as deep as these tests go. */
static inline void dir_remove_cleanup(struct dir *dir) {
    CLEANUP(free) char *command = xasprintf("rm -rf '%s'", dir->path);
    int r = system(command);

    assert_int_equal(r, 0);
}

static inline char *dir_file(const struct dir *dir, const char *name, const char *text, mode_t mode) {
    char *path = path_join(dir->path, name);
    CLEANUP(free) char *parent = path_dir(path);

    assert_int_equal(fs_make_private_dir(parent, NULL), 0);
    assert_int_equal(fs_write_file(path, span_of(text), mode, NULL), 0);
    return path;
}
