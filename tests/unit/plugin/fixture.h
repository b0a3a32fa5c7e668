/* What the tests of plugin files share: a directory that vanishes, and the fixtures of tests/plugins built beside us.
 */
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

/* cmocka's fail_msg() is gone with the macro that test.h takes away. */
#define test_failed(...)           \
    do {                           \
        print_error(__VA_ARGS__);  \
        print_error("\n");         \
        _fail(__FILE__, __LINE__); \
    } while (0)

static int place_remove(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline void place_fini_cleanup(char **path) {
    (void)nftw(*path, place_remove, 16, FTW_DEPTH | FTW_PHYS);
    free(*path);
}

/* CLEANUP(place_fini) char *place = place_new(); */
static inline char *place_new(void) {
    char *path = xstrdup("/tmp/theseus-unit-XXXXXX");

    assert_non_null(mkdtemp(path));
    return path;
}

/* Where the built fixture is: build/tests/unit/plugin/TEST stands beside build/tests/plugins/NAME.so. */
static inline char *fixture_path(const char *name) {
    char exe[4096] = {0};

    assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
    CLEANUP(free) char *dir = path_dir(exe);
    return xasprintf("%s/../../plugins/%s.so", dir, name);
}

static inline struct buf fixture_bytes(const char *name) {
    CLEANUP(free) char *path = fixture_path(name);
    struct buf bytes = {0};

    assert_int_equal(fs_read_file(path, 64 << 20, &bytes, NULL), 0);
    return bytes;
}

static inline void write_bytes(const char *path, const char *bytes, size_t len) {
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    assert_int_equal(fchmod(fd, 0644), 0);
}

/* A copy in `place` that the test may write. Owned. */
static inline char *fixture_copy(const char *place, const char *name) {
    CLEANUP(buf_fini) struct buf bytes = fixture_bytes(name);
    CLEANUP(free) char *base = xasprintf("%s.so", name);
    char *path = path_join(place, base);

    write_bytes(path, buf_span(&bytes).data, bytes.len);
    return path;
}

/* The real binary, which loads plugins to try them: it stands beside the folder of the tests. */
static inline char *fixture_program(void) {
    char exe[4096] = {0};

    assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
    CLEANUP(free) char *dir = path_dir(exe);
    CLEANUP(free) char *path = xasprintf("%s/../../../theseus", dir);
    char *real = realpath(path, NULL);
    assert_non_null(real);
    return real;
}
