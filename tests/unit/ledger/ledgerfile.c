#include "test.h"

#include "ledger/ledgerfile.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "ledger/ledger.h"

#define SOCKET "/nowhere/theseus.sock"

/* A directory in memory. */
struct dir {
    char path[64];
};

static int make_dir(void **state) {
    struct dir *dir = xcalloc(1, sizeof(*dir));

    (void)snprintf(dir->path, sizeof(dir->path), "/dev/shm/theseus-unit-XXXXXX");
    assert_non_null(mkdtemp(dir->path));
    *state = dir;
    return 0;
}

static int remove_dir(void **state) {
    struct dir *dir = *state;

    fs_remove_dir(dir->path);
    free(dir);
    return 0;
}

static int open_in(const struct dir *dir, int *ret_fd, struct theseus_error *err) {
    return ledgerfile_open(dir->path, SOCKET, false, ret_fd, err);
}

/* Opened, and its path. */
static char *opened(const struct dir *dir, int *ret_fd) {
    char link[32], path[128] = "";

    assert_int_equal(open_in(dir, ret_fd, NULL), 0);
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", *ret_fd);
    assert_true(readlink(link, path, sizeof(path) - 1) > 0);
    return xstrdup(path);
}

static void expect_refused(const struct dir *dir, enum errc code, const char *text) {
    struct theseus_error err = {0};
    int fd = -1;

    assert_int_equal(open_in(dir, &fd, &err), -1);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.message, text));
}

static void is_private_and_found_again_once_it_is_a_ledger(void **state) {
    struct ledger *ledger = NULL;
    struct stat st;
    int fd = -1;

    CLEANUP(free) char *path = opened(*state, &fd);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    (void)close(fd);
    assert_int_equal(open_in(*state, &fd, NULL), 0); /* whoever made it has not come far */
    assert_int_equal(ledger_create(&ledger, fd, NULL), 0);
    ledger = ledger_free(ledger);
    assert_int_equal(open_in(*state, &fd, NULL), LEDGERFILE_LEFT);
    assert_int_equal(ledger_open(&ledger, fd, NULL), 0);
    assert_int_equal(ledger_damaged(ledger), 0);
    (void)ledger_free(ledger);
}

static void is_another_one_for_another_socket(void **state) {
    const struct dir *dir = *state;
    int fd = -1, other = -1;

    CLEANUP(free) char *path = opened(dir, &fd);
    assert_int_equal(ledgerfile_open(dir->path, "/elsewhere/theseus.sock", false, &other, NULL), 0);
    (void)close(fd);
    (void)close(other);
}

static void is_refused_while_somebody_has_it(void **state) {
    int fd = -1;

    CLEANUP(free) char *path = opened(*state, &fd);
    expect_refused(*state, ERR_BUSY, "a server has '");
    (void)close(fd);
}

static void is_refused_where_others_may_have_written(void **state) {
    CLEANUP(free) char *away = NULL;
    int fd = -1;

    CLEANUP(free) char *path = opened(*state, &fd);
    assert_int_equal(fchmod(fd, 0620), 0);
    (void)close(fd);
    expect_refused(*state, ERR_ACCESS, "is open to others");
    assert_int_equal(chmod(path, 0600), 0);
    away = xasprintf("%s.away", path);
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(symlink(away, path), 0);
    expect_refused(*state, ERR_ACCESS, "is a symbolic link");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refused(*state, ERR_ACCESS, "is no regular file");
    if (getuid() == 0) {
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rename(away, path), 0);
        assert_int_equal(chown(path, 65534, 65534), 0);
        expect_refused(*state, ERR_ACCESS, "belongs to another user");
    }
}

static void is_not_made_on_a_disk(void **state) {
    (void)state;
    CLEANUP(free) char *why = ledgerfile_obstacle("/proc");
    assert_non_null(strstr(why, "'/proc' is not on a tmpfs"));
    CLEANUP(free) char *none = ledgerfile_obstacle("/dev/shm");
    assert_null(none);
}

static void is_removed_only_where_it_is_still_the_one_of_that_name(void **state) {
    int fd = -1, other = -1;

    CLEANUP(free) char *path = opened(*state, &fd);
    assert_true(ledgerfile_is_found(fd));
    ledgerfile_remove(fd);
    assert_false(ledgerfile_is_found(fd));
    assert_int_equal(access(path, F_OK), -1);
    CLEANUP(free)
    char *again = opened(*state, &other); /* whoever waited for the lock of a file that goes begins anew */
    assert_string_equal(again, path);
    ledgerfile_remove(fd);
    assert_int_equal(access(path, F_OK), 0);
    (void)close(fd);
    (void)close(other);
}

static void harms_no_ledger_without_a_file(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    assert_false(ledgerfile_is_found(ledger_fd(ledger)));
    ledgerfile_remove(ledger_fd(ledger));
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_DIR(is_private_and_found_again_once_it_is_a_ledger),
        IN_DIR(is_another_one_for_another_socket),
        IN_DIR(is_refused_while_somebody_has_it),
        IN_DIR(is_refused_where_others_may_have_written),
        IN_DIR(is_not_made_on_a_disk),
        IN_DIR(is_removed_only_where_it_is_still_the_one_of_that_name),
        cmocka_unit_test(harms_no_ledger_without_a_file),
    };

    return cmocka_run_group_tests_name("ledger/ledgerfile", tests, NULL, NULL);
}
