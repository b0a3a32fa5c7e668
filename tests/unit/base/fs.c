#include "test.h"

#include "base/fs.h"

#include "plugin/fixture.h"

static void is(char *path, const char *expected) {
    assert_string_equal(path, expected);
    free(path);
}

static void joins_and_parts_paths(void **state) {
    (void)state;
    is(path_join("a", "b"), "a/b");
    is(path_join("/", "b"), "/b");
    is(path_join("a/", "b"), "a/b");
    is(path_dir("/a/b"), "/a");
    is(path_dir("/a"), "/");
    is(path_dir("a"), ".");
    assert_string_equal(path_base("/a/b"), "b");
    assert_string_equal(path_base("b"), "b");
}

static void makes_paths_absolute(void **state) {
    (void)state;
    assert_int_equal(setenv("HOME", "/home/x", 1), 0);
    is(path_absolute("/base", "a"), "/base/a");
    is(path_absolute("/base", "/a"), "/a");
    is(path_absolute("/base", "~/a"), "/home/x/a");
    is(path_absolute("/base", "~"), "/home/x");
    is(path_absolute("/base", "~a"), "/base/~a");
    assert_int_equal(setenv("HOME", "relative", 1), 0);
    assert_int_equal(*fs_home(), '/'); /* the password database's word */
}

static void makes_private_directories_and_refuses_open_ones(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *deep = path_join(place, "a/b/c"), *file = path_join(place, "file");
    struct theseus_error err = {0};
    struct stat st;

    (void)state;
    assert_int_equal(fs_make_private_dir(deep, NULL), 0);
    assert_int_equal(fs_make_private_dir(deep, NULL), 0);
    assert_int_equal(stat(deep, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(chmod(deep, 0750), 0);
    assert_int_equal(fs_make_private_dir(deep, &err), -1);
    assert_int_equal(err.code, ERR_ACCESS);
    assert_non_null(strstr(err.message, "chmod 700 '"));
    write_bytes(file, "x", 1);
    assert_int_equal(fs_make_private_dir(file, NULL), -1);
}

static int trusts(const char *path, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    *err = (struct theseus_error){0};
    return fs_check_trusted(fd, path, err);
}

static void trusts_what_nobody_else_may_write(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *dir = path_join(place, "dir"), *file = path_join(dir, "file");
    struct theseus_error err;

    (void)state;
    assert_int_equal(mkdir(dir, 0755), 0);
    write_bytes(file, "x", 1);
    assert_int_equal(trusts(file, &err), 0);
    assert_int_equal(chmod(file, 0646), 0);
    assert_int_equal(trusts(file, &err), -1);
    assert_non_null(strstr(err.message, "chmod go-w '"));
    assert_int_equal(chmod(file, 0644), 0);
    assert_int_equal(chmod(dir, 0777), 0); /* a parent counts as well */
    assert_int_equal(trusts(file, &err), -1);
    assert_non_null(strstr(err.message, dir));
    assert_int_equal(chmod(dir, 01777), 0); /* a sticky one is fine, as /tmp is */
    assert_int_equal(trusts(file, &err), 0);
}

static void reads_up_to_a_limit(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *file = path_join(place, "file");
    CLEANUP(buf_fini) struct buf content = {0}, untouched = {0};
    struct theseus_error err = {0};

    (void)state;
    write_bytes(file, "12345", 5);
    assert_int_equal(fs_read_file(file, 5, &content, NULL), 0);
    assert_true(span_equals(buf_span(&content), "12345"));
    assert_int_equal(fs_read_file(file, 4, &untouched, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_null(untouched.data);
    err = (struct theseus_error){0};
    assert_int_equal(fs_read_file(place, 100, &untouched, &err), -1); /* a directory */
    assert_int_equal(err.code, ERR_SYSTEM);
}

static void writes_whole_files_and_leaves_no_draft(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *file = path_join(place, "file"), *nowhere = path_join(place, "no/file");
    CLEANUP(buf_fini) struct buf content = {0};
    struct theseus_error err = {0};
    struct stat st;

    (void)state;
    write_bytes(file, "old content", 11);
    assert_int_equal(fs_write_file(file, span_of("new"), 0600, NULL), 0);
    assert_int_equal(fs_read_file(file, 100, &content, NULL), 0);
    assert_true(span_equals(buf_span(&content), "new"));
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(fs_write_file(nowhere, span_of("new"), 0600, &err), -1);
    assert_int_equal(err.code, ERR_SYSTEM);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(place), 0); /* nothing else was in it */
    assert_int_equal(mkdir(place, 0700), 0);
}

static void copies_what_is_behind_a_descriptor(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *from = path_join(place, "from"), *to = path_join(place, "to");
    CLEANUP(buf_fini) struct buf content = {0};
    struct stat st;

    (void)state;
    write_bytes(from, "12345", 5);
    CLEANUP(fd_close) int fd = open(from, O_RDONLY | O_CLOEXEC);
    assert_int_equal(lseek(fd, 3, SEEK_SET), 3); /* all of it all the same */
    assert_int_equal(fs_copy_fd(fd, to, 0700, NULL), 0);
    assert_int_equal(fs_read_file(to, 100, &content, NULL), 0);
    assert_true(span_equals(buf_span(&content), "12345"));
    assert_int_equal(stat(to, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void gives_a_name_that_is_free(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *draft = path_join(place, "draft"), *file = path_join(place, "file");
    CLEANUP(buf_fini) struct buf content = {0};
    struct theseus_error err = {0};

    (void)state;
    write_bytes(draft, "first", 5);
    assert_int_equal(fs_publish_new(draft, file, NULL), 0);
    assert_int_equal(access(draft, F_OK), -1);
    write_bytes(draft, "other", 5);
    assert_int_equal(fs_publish_new(draft, file, &err), -1);
    assert_non_null(strstr(err.message, "File exists"));
    assert_int_equal(fs_read_file(file, 100, &content, NULL), 0);
    assert_true(span_equals(buf_span(&content), "first"));
    assert_int_equal(fs_publish(draft, file, NULL), 0);
    CLEANUP(buf_fini) struct buf other = {0};
    assert_int_equal(fs_read_file(file, 100, &other, NULL), 0);
    assert_true(span_equals(buf_span(&other), "other"));
}

static void tells_what_is_missing_from_what_cannot_be_seen(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *loop = path_join(place, "loop"), *under = path_join(loop, "file");
    struct theseus_error err = {0};
    bool exists = false;

    (void)state;
    assert_int_equal(fs_exists(place, &exists, NULL), 0);
    assert_true(exists);
    assert_int_equal(fs_exists(under, &exists, NULL), 0);
    assert_false(exists);
    assert_int_equal(symlink(loop, loop), 0);
    assert_int_equal(fs_exists(under, &exists, &err), -1);
    assert_non_null(strstr(err.message, under));
}

static void removes_a_directory_with_its_files(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *dir = path_join(place, "dir"), *file = path_join(dir, "file");

    (void)state;
    assert_int_equal(mkdir(dir, 0700), 0);
    write_bytes(file, "x", 1);
    fs_remove_dir(dir);
    assert_int_equal(access(dir, F_OK), -1);
    fs_remove_dir(dir); /* that it is gone is fine */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_and_parts_paths),
        cmocka_unit_test(makes_paths_absolute),
        cmocka_unit_test(makes_private_directories_and_refuses_open_ones),
        cmocka_unit_test(trusts_what_nobody_else_may_write),
        cmocka_unit_test(reads_up_to_a_limit),
        cmocka_unit_test(writes_whole_files_and_leaves_no_draft),
        cmocka_unit_test(copies_what_is_behind_a_descriptor),
        cmocka_unit_test(gives_a_name_that_is_free),
        cmocka_unit_test(tells_what_is_missing_from_what_cannot_be_seen),
        cmocka_unit_test(removes_a_directory_with_its_files),
    };

    return cmocka_run_group_tests_name("base/fs", tests, NULL, NULL);
}
