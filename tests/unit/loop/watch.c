#include "test.h"

#include "loop/watch.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "loop/dirnotify.h"
#include "loop/until.h"

enum { SETTLE_MS = 20, MANY = 1000 };

/* A temporary directory, a watch, and what it told. */
struct place {
    struct loop *loop;
    struct watch *watch;
    char *root;
    int rescans;     /* with no name */
    int names;       /* with one */
    int of_expected; /* with the name that is expected */
    char expected[64];
    char last_dir[256];
    bool free_it;
};

static void on_change(void *arg, const char *dir, const char *name) {
    struct place *place = arg;

    loop_enter();
    (void)snprintf(place->last_dir, sizeof(place->last_dir), "%s", dir);
    if (!name)
        place->rescans++;
    else
        place->names++;
    if (name && strcmp(name, place->expected) == 0)
        place->of_expected++;
    if (place->free_it)
        place->watch = watch_free(place->watch);
}

static int set_up(void **state) {
    struct place *place = xcalloc(1, sizeof(*place));
    const char *tmp = getenv("TMPDIR");

    loop_enter();
    place->root = xasprintf("%s/theseus-watch-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(place->root));
    place->loop = loop_new();
    place->watch = watch_new(place->loop, SETTLE_MS, on_change, place);
    *state = place;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state) {
    struct place *place = *state;

    loop_enter();
    place->watch = watch_free(place->watch);
    place->loop = loop_free(place->loop);
    (void)nftw(place->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(place->root);
    free(place);
    return 0;
}

/* "%s/…" below the root; the text lasts until the eighth call after this one. */
static const char *below(const struct place *place, const char *name) {
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];

    (void)snprintf(path, sizeof(paths[0]), "%s/%s", place->root, name);
    return path;
}

static void put_text(const char *path, const char *text) {
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void add_dir(struct place *place, const char *path) {
    struct theseus_error err = {0};

    loop_enter();
    int r = watch_add_dir(place->watch, path, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(r, 0);
}

static void expect(struct place *place, const char *name) {
    (void)snprintf(place->expected, sizeof(place->expected), "%s", name);
    place->of_expected = place->names = place->rescans = 0;
}

static void await_name(struct place *place) {
    until(place->loop, place->of_expected > 0);
}

/* Whatever came before it has been told when this has. */
static void await_sentinel(struct place *place, const char *dir) {
    int of_expected = place->of_expected;
    char kept[sizeof(place->expected)];

    (void)snprintf(kept, sizeof(kept), "%s", place->expected);
    (void)snprintf(place->expected, sizeof(place->expected), "sentinel");
    place->of_expected = 0;
    CLEANUP(free) char *path = xasprintf("%s/%s/sentinel", place->root, dir);
    put_text(path, "x");
    await_name(place);
    (void)snprintf(place->expected, sizeof(place->expected), "%s", kept);
    place->of_expected = of_expected;
}

static void tells_of_a_new_file(void **state) {
    struct place *place = *state;

    put_text(below(place, "old"), "was there before");
    add_dir(place, place->root);
    expect(place, "new");
    put_text(below(place, "new"), "1");
    await_name(place);
    assert_string_equal(place->last_dir, place->root);
    assert_int_equal(place->names, 1);
    assert_int_equal(place->rescans, 0);
}

static void tells_of_a_file_changed_in_place(void **state) {
    struct place *place = *state;

    put_text(below(place, "file"), "1");
    add_dir(place, place->root);
    expect(place, "file");
    put_text(below(place, "file"), "2");
    await_name(place);
}

static void tells_of_a_file_renamed_into_place(void **state) {
    struct place *place = *state;

    assert_int_equal(mkdir(below(place, "dir"), 0700), 0);
    put_text(below(place, "elsewhere"), "1");
    add_dir(place, below(place, "dir"));
    expect(place, "file");
    assert_int_equal(rename(below(place, "elsewhere"), below(place, "dir/file")), 0);
    await_name(place);
}

static void tells_of_deletion_and_of_renaming_away(void **state) {
    struct place *place = *state;

    put_text(below(place, "one"), "1");
    put_text(below(place, "two"), "1");
    add_dir(place, place->root);
    expect(place, "one");
    assert_int_equal(unlink(below(place, "one")), 0);
    await_name(place);
    expect(place, "two");
    assert_int_equal(rename(below(place, "two"), below(place, "three")), 0);
    await_name(place);
}

static void tells_of_a_changed_mode(void **state) {
    struct place *place = *state;

    put_text(below(place, "file"), "1");
    add_dir(place, place->root);
    expect(place, "file");
    assert_int_equal(chmod(below(place, "file"), 0400), 0);
    await_name(place);
}

static void tells_of_links(void **state) {
    struct place *place = *state;

    assert_int_equal(mkdir(below(place, "dir"), 0700), 0);
    put_text(below(place, "file"), "1");
    add_dir(place, below(place, "dir"));
    expect(place, "symbolic");
    assert_int_equal(symlink("../file", below(place, "dir/symbolic")), 0);
    await_name(place);
    expect(place, "hard");
    assert_int_equal(link(below(place, "file"), below(place, "dir/hard")), 0);
    await_name(place);
}

/* For longer than it takes to settle, which each piece begins anew. Returns the longest pause, which may settle it. */
static int64_t write_pieces(struct place *place) {
    int64_t begin = clock_now_ns(), before = begin, longest = 0;

    loop_enter();
    while (before - begin < 1200 * (int64_t)1000000) {
        put_text(below(place, "file"), "piece");
        (void)loop_turn(place->loop, 10);
        int64_t now = clock_now_ns();
        longest = now - before > longest ? now - before : longest;
        before = now;
    }
    return longest;
}

static void tells_once_of_a_file_written_in_pieces(void **state) {
    struct place *place = *state;
    int64_t longest = INT64_MAX;

    loop_enter();
    add_dir(place, place->root);
    for (int i = 0; i < 10 && longest >= 900 * (int64_t)1000000; i++) { /* the machine may be slow now and then */
        watch_set_settle(place->watch, 1000);
        expect(place, "file");
        longest = write_pieces(place);
        assert_true(place->names == 0 || longest >= 900 * (int64_t)1000000);
        await_name(place);
        watch_set_settle(place->watch, SETTLE_MS);
        await_sentinel(place, ".");
    }
    assert_true(longest < 900 * (int64_t)1000000);
    assert_int_equal(place->of_expected, 1);
}

static void waits_for_a_writer_to_close(void **state) {
    struct place *place = *state;
    int64_t begin = clock_now_ns();

    loop_enter();
    add_dir(place, place->root);
    expect(place, "file");
    CLEANUP(fd_close) int fd = open(below(place, "file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "half", 4), 4);
    await_sentinel(place, ".");
    until(place->loop, clock_now_ns() - begin > 2500 * (int64_t)1000000); /* a look leaves it alone, too */
    assert_int_equal(place->of_expected, 0);
    assert_int_equal(place->rescans, 0);
    (void)close(fd_take(&fd));
    await_name(place);
}

static void tells_of_every_file_of_a_burst(void **state) {
    struct place *place = *state;
    char name[32];

    add_dir(place, place->root);
    expect(place, "none");
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "file-%d", i);
        put_text(below(place, name), "1");
    }
    until(place->loop, place->names >= MANY);
    await_sentinel(place, ".");
    assert_int_equal(place->names, MANY + 1);
}

static void asks_for_a_look_when_events_were_lost(void **state) {
    struct place *place = *state;
    int rounds = 20000;
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");

    if (file && fscanf(file, "%d", &rounds) != 1)
        rounds = 20000;
    if (file)
        (void)fclose(file);
    add_dir(place, place->root);
    expect(place, "none");
    for (int i = 0; i < rounds; i++) { /* two events each: the same one twice would count as one */
        put_text(below(place, i % 2 ? "a" : "b"), "");
        (void)unlink(below(place, i % 2 ? "a" : "b"));
    }
    until(place->loop, place->rescans > 0);
}

static void finds_a_directory_that_comes_later(void **state) {
    struct place *place = *state;
    CLEANUP(free) char *dir = xasprintf("%s/one//two/three/", place->root);

    loop_enter();
    add_dir(place, dir);
    expect(place, "file");
    assert_int_equal(mkdir(below(place, "one"), 0700), 0);
    (void)loop_turn(place->loop, 20);
    assert_int_equal(mkdir(below(place, "one/two"), 0700), 0);
    assert_int_equal(mkdir(below(place, "one/two/three"), 0700), 0);
    until(place->loop, place->rescans > 0);
    assert_string_equal(place->last_dir, dir);
    put_text(below(place, "one/two/three/file"), "1");
    await_name(place);
    assert_string_equal(place->last_dir, dir);
}

static void finds_a_directory_that_is_renamed_into_place(void **state) {
    struct place *place = *state;

    assert_int_equal(mkdir(below(place, "made"), 0700), 0);
    assert_int_equal(mkdir(below(place, "made/two"), 0700), 0);
    add_dir(place, below(place, "one/two"));
    expect(place, "file");
    assert_int_equal(rename(below(place, "made"), below(place, "one")), 0);
    until(place->loop, place->rescans > 0);
    put_text(below(place, "one/two/file"), "1");
    await_name(place);
}

static void follows_a_directory_that_is_deleted_and_made_again(void **state) {
    struct place *place = *state;

    assert_int_equal(mkdir(below(place, "dir"), 0700), 0);
    add_dir(place, below(place, "dir"));
    for (int i = 0; i < 3; i++) {
        expect(place, "file");
        assert_int_equal(rmdir(below(place, "dir")), 0);
        until(place->loop, place->rescans == 1);
        assert_int_equal(mkdir(below(place, "dir"), 0700), 0);
        until(place->loop, place->rescans == 2);
        put_text(below(place, "dir/file"), "1");
        await_name(place);
        assert_int_equal(unlink(below(place, "dir/file")), 0);
    }
}

static void follows_a_directory_that_is_replaced(void **state) {
    struct place *place = *state;

    assert_int_equal(mkdir(below(place, "dir"), 0700), 0);
    assert_int_equal(mkdir(below(place, "next"), 0700), 0);
    add_dir(place, below(place, "dir"));
    expect(place, "file");
    assert_int_equal(rename(below(place, "dir"), below(place, "before")), 0);
    assert_int_equal(rename(below(place, "next"), below(place, "dir")), 0);
    until(place->loop, place->rescans > 0);
    put_text(below(place, "before/file"), "1"); /* no longer ours */
    await_sentinel(place, "dir");
    assert_int_equal(place->of_expected, 0);
    put_text(below(place, "dir/file"), "1");
    await_name(place);
}

static void follows_a_replaced_parent(void **state) {
    struct place *place = *state;

    assert_int_equal(mkdir(below(place, "a"), 0700), 0);
    assert_int_equal(mkdir(below(place, "a/dir"), 0700), 0);
    assert_int_equal(mkdir(below(place, "b"), 0700), 0);
    assert_int_equal(mkdir(below(place, "b/dir"), 0700), 0);
    add_dir(place, below(place, "a/dir"));
    expect(place, "file");
    assert_int_equal(rename(below(place, "a"), below(place, "before")), 0);
    assert_int_equal(rename(below(place, "b"), below(place, "a")), 0);
    until(place->loop, place->rescans > 0); /* found by looking: no event says so */
    put_text(below(place, "a/dir/file"), "1");
    await_name(place);
}

static void follows_symbolic_links(void **state) {
    struct place *place = *state;

    assert_int_equal(mkdir(below(place, "real"), 0700), 0);
    assert_int_equal(mkdir(below(place, "real/dir"), 0700), 0);
    assert_int_equal(mkdir(below(place, "other"), 0700), 0);
    assert_int_equal(symlink("real", below(place, "parent")), 0);
    assert_int_equal(symlink("real/dir", below(place, "link")), 0);
    add_dir(place, below(place, "parent/dir"));
    add_dir(place, below(place, "link")); /* the same directory twice: both are told */
    expect(place, "file");
    put_text(below(place, "real/dir/file"), "1");
    until(place->loop, place->of_expected == 2);
    loop_enter();
    watch_remove_dir(place->watch, below(place, "parent/dir"));
    expect(place, "file");
    put_text(below(place, "real/dir/file"), "1");
    await_name(place);
    assert_string_equal(place->last_dir, below(place, "link"));
    expect(place, "new");
    assert_int_equal(symlink("other", below(place, "next")), 0);
    assert_int_equal(rename(below(place, "next"), below(place, "link")), 0);
    until(place->loop, place->rescans > 0);
    put_text(below(place, "other/new"), "1");
    await_name(place);
}

static void finds_by_looking_what_no_event_announced(void **state) {
    struct place *place = *state;

    assert_int_equal(mkdir(below(place, "dir"), 0700), 0);
    put_text(below(place, "target"), "1");
    assert_int_equal(symlink("../target", below(place, "dir/link")), 0);
    add_dir(place, below(place, "dir"));
    expect(place, "none");
    put_text(below(place, "target"), "2"); /* seen through the link only */
    until(place->loop, place->rescans == 1);
    assert_int_equal(place->names, 0);
}

static void does_not_find_again_what_it_told(void **state) {
    struct place *place = *state;
    int64_t begin = clock_now_ns();

    loop_enter();
    add_dir(place, place->root);
    expect(place, "file");
    put_text(below(place, "file"), "1");
    assert_int_equal(mkdir(below(place, "subdir"), 0700), 0);
    until(place->loop, clock_now_ns() - begin > 2500 * (int64_t)1000000); /* one look has been taken */
    assert_int_equal(place->of_expected, 1);
    assert_int_equal(place->rescans, 0);
}

static void tells_nothing_of_a_directory_that_was_removed(void **state) {
    struct place *place = *state;

    loop_enter();
    assert_int_equal(mkdir(below(place, "dir"), 0700), 0);
    add_dir(place, below(place, "dir"));
    add_dir(place, place->root);
    watch_set_settle(place->watch, 10000); /* it is not told before */
    put_text(below(place, "dir/file"), "1");
    expect(place, "file");
    (void)loop_turn(place->loop, 5);
    watch_remove_dir(place->watch, below(place, "dir"));
    watch_set_settle(place->watch, SETTLE_MS);
    watch_remove_dir(place->watch, "/never/added");
    await_sentinel(place, ".");
    assert_int_equal(place->of_expected, 0);
}

static void may_be_freed_by_its_own_callback(void **state) {
    struct place *place = *state;

    loop_enter();
    add_dir(place, place->root);
    expect(place, "one");
    put_text(below(place, "one"), "1");
    put_text(below(place, "two"), "1");
    place->free_it = true;
    until(place->loop, !place->watch);
    (void)loop_turn(place->loop, 2 * SETTLE_MS);
    assert_int_equal(place->names, 1);
}

static void refuses_what_is_no_directory(void **state) {
    struct place *place = *state;
    struct theseus_error err = {0};

    loop_enter();
    put_text(below(place, "file"), "1");
    assert_int_equal(watch_add_dir(place->watch, below(place, "file"), &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    assert_non_null(strstr(err.message, "/file' is not a directory"));
    assert_int_equal(watch_add_dir(place->watch, "", NULL), -1);
}

#define WATCH_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* How many directories the descriptor watches, as the system says. */
static int watched_by(int fd) {
    CLEANUP(free) char *path = xasprintf("/proc/self/fdinfo/%d", fd);
    FILE *file = fopen(path, "re");
    char line[512];
    int count = 0;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        count += strncmp(line, "inotify ", 8) == 0;
    assert_int_equal(fclose(file), 0);
    return count;
}

/* As an image before has left it: with directories of its own, and events that nobody has read. */
static void goes_on_with_a_descriptor_that_is_offered(void **state) {
    struct place *place = *state;
    CLEANUP(fd_close) int left = inotify_init1(IN_CLOEXEC);

    assert_int_equal(mkdir(below(place, "theirs"), 0700), 0);
    assert_int_equal(mkdir(below(place, "ours"), 0700), 0);
    assert_true(inotify_add_watch(left, below(place, "theirs"), IN_CREATE) >= 0);
    put_text(below(place, "theirs/unread"), "1");
    loop_enter();
    place->watch = watch_free(place->watch);
    dirnotify_offer(left);
    place->watch = watch_new(place->loop, SETTLE_MS, on_change, place);
    dirnotify_offer_none();
    add_dir(place, below(place, "ours"));
    assert_int_equal(watched_by(left), 2);
    expect(place, "new");
    put_text(below(place, "ours/new"), "1");
    await_name(place);
    assert_int_equal(place->names, 1);
    until(place->loop, watched_by(left) == 1); /* what nobody wants any more */
}

static void makes_its_own_descriptor_where_none_is_offered(void **state) {
    struct place *place = *state;
    CLEANUP(fd_close) int left = inotify_init1(IN_CLOEXEC);

    loop_enter();
    place->watch = watch_free(place->watch);
    dirnotify_offer(left);
    dirnotify_offer_none();
    place->watch = watch_new(place->loop, SETTLE_MS, on_change, place);
    add_dir(place, place->root);
    assert_int_equal(watched_by(left), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WATCH_TEST(tells_of_a_new_file),
        WATCH_TEST(tells_of_a_file_changed_in_place),
        WATCH_TEST(tells_of_a_file_renamed_into_place),
        WATCH_TEST(tells_of_deletion_and_of_renaming_away),
        WATCH_TEST(tells_of_a_changed_mode),
        WATCH_TEST(tells_of_links),
        WATCH_TEST(tells_once_of_a_file_written_in_pieces),
        WATCH_TEST(waits_for_a_writer_to_close),
        WATCH_TEST(tells_of_every_file_of_a_burst),
        WATCH_TEST(asks_for_a_look_when_events_were_lost),
        WATCH_TEST(finds_a_directory_that_comes_later),
        WATCH_TEST(finds_a_directory_that_is_renamed_into_place),
        WATCH_TEST(follows_a_directory_that_is_deleted_and_made_again),
        WATCH_TEST(follows_a_directory_that_is_replaced),
        WATCH_TEST(follows_a_replaced_parent),
        WATCH_TEST(follows_symbolic_links),
        WATCH_TEST(finds_by_looking_what_no_event_announced),
        WATCH_TEST(does_not_find_again_what_it_told),
        WATCH_TEST(tells_nothing_of_a_directory_that_was_removed),
        WATCH_TEST(may_be_freed_by_its_own_callback),
        WATCH_TEST(refuses_what_is_no_directory),
        WATCH_TEST(goes_on_with_a_descriptor_that_is_offered),
        WATCH_TEST(makes_its_own_descriptor_where_none_is_offered),
    };

    return cmocka_run_group_tests_name("loop/watch", tests, NULL, NULL);
}
