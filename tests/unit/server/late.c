#include "test.h"

#include "server/late.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "ledger/records.h"
#include "loop/until.h"
#include "loop/watch.h"
#include "server/handover.h"

struct kept {
    int fds[8];
    int count;
};

static void note(void *arg, const void *recorded) {
    struct kept *kept = arg;

    assert_true(kept->count < (int)ARRAY_SIZE(kept->fds));
    kept->fds[kept->count++] = (int)((const struct kept_record *)recorded)->fd;
}

static struct kept kept_in(struct ledger *ledger) {
    struct kept kept = {.count = 0};

    ledger_each(ledger, &kept_kind, note, &kept);
    return kept;
}

static bool is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

static int watch_something(void) {
    int fd = inotify_init1(IN_CLOEXEC);

    assert_true(fd >= 0);
    assert_true(inotify_add_watch(fd, "/proc", IN_CREATE) >= 0); /* where nothing is ever told of */
    return fd;
}

/* Descriptors of that kind that are open, and the directories that all of them watch. */
static int count_notify(int *ret_watched) {
    DIR *dir = opendir("/proc/self/fdinfo");
    int count = 0;

    *ret_watched = 0;
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        CLEANUP(free) char *path = xasprintf("/proc/self/fd/%s", entry->d_name);
        CLEANUP(free) char *info = xasprintf("/proc/self/fdinfo/%s", entry->d_name);
        char text[64] = "", line[512];
        if (readlink(path, text, sizeof(text) - 1) < 0 || strcmp(text, "anon_inode:inotify") != 0)
            continue;
        FILE *file = fopen(info, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file))
            *ret_watched += strncmp(line, "inotify ", 8) == 0;
        (void)fclose(file);
        count++;
    }
    (void)closedir(dir);
    return count;
}

static void keeps_what_would_be_closed_slowly_and_nothing_else(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(fd_close) int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int watching = watch_something();
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(late_keep(ledger, &err), 0);
    struct kept kept = kept_in(ledger);
    assert_int_equal(kept.count, 1);
    assert_int_not_equal(kept.fds[0], watching);
    assert_int_equal(close(watching), 0); /* its owner closes it when it likes */
    assert_true(is_open(kept.fds[0]));
    assert_true(fcntl(kept.fds[0], F_GETFD) & FD_CLOEXEC); /* until the exec itself */
    late_drop(ledger);
    assert_false(is_open(kept.fds[0]));
}

static void leaves_nothing_behind_when_there_was_no_exec(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(fd_close) int watching = watch_something();
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(handover_keep(ledger, "another", watching, &err), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(late_keep(ledger, &err), 0);
        struct kept kept = kept_in(ledger);
        assert_int_equal(kept.count, 2);
        late_drop(ledger);
        assert_int_equal(kept_in(ledger).count, 1);
        for (int j = 0; j < kept.count; j++)
            assert_int_equal(is_open(kept.fds[j]), kept.fds[j] == watching);
    }
    assert_int_equal(handover_take(ledger, "another"), watching);
}

static void closes_beside_the_loop_what_came_along(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(fd_close) int watching = watch_something();
    struct theseus_error err = {0};

    (void)state;
    loop_enter();
    struct loop *loop = loop_new();
    struct lane *lane = lane_new(loop, "late", "it waits");
    struct late *late = late_new(lane);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(late_keep(ledger, &err), 0);
        struct kept kept = kept_in(ledger);
        assert_int_equal(kept.count, 1);
        late_close(late, ledger);
        late_close(late, ledger); /* the second finds nothing */
        assert_int_equal(kept_in(ledger).count, 0);
        until(loop, lane_pending(lane) == 0);
        assert_false(is_open(kept.fds[0]));
    }
    assert_true(is_open(watching));
    lane = lane_free(lane);
    late = late_free(late);
    loop = loop_free(loop);
}

static void offers_what_came_along_until_it_is_closed(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    int left = watch_something(), watched;
    struct theseus_error err = {0};

    (void)state;
    loop_enter();
    struct loop *loop = loop_new();
    struct lane *lane = lane_new(loop, "late", "it waits");
    struct late *late = late_new(lane);
    assert_int_equal(handover_keep(ledger, "late.99", 99, &err), 0); /* as in a copy of another process's ledger */
    assert_int_equal(late_keep(ledger, &err), 0);
    assert_int_equal(close(left), 0);
    late_offer(ledger);
    struct watch *first = watch_new(loop, 0, NULL, NULL), *second = watch_new(loop, 0, NULL, NULL);
    assert_int_equal(count_notify(&watched), 3); /* what came along, once more under another number, and a new one */
    late_close(late, ledger);
    until(loop, lane_pending(lane) == 0);
    assert_int_equal(kept_in(ledger).count, 0);
    assert_int_equal(count_notify(&watched), 2);
    assert_int_equal(watched, 1); /* still the one that came along */
    first = watch_free(first);
    second = watch_free(second);
    assert_int_equal(count_notify(&watched), 0);
    lane = lane_free(lane);
    late = late_free(late);
    loop = loop_free(loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_would_be_closed_slowly_and_nothing_else),
        cmocka_unit_test(leaves_nothing_behind_when_there_was_no_exec),
        cmocka_unit_test(closes_beside_the_loop_what_came_along),
        cmocka_unit_test(offers_what_came_along_until_it_is_closed),
    };

    return cmocka_run_group_tests_name("server/late", tests, NULL, NULL);
}
