#include "test.h"

#include "server/keeper.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "ledger/carry.h"
#include "ledger/snapshot.h"
#include "loop/lane.h"
#include "loop/thread.h"
#include "plugin/state.h"
#include "server/chronicle.h"
#include "store/scratch.h"

enum { PATIENCE_MS = 20000 };

/* A keeper and what it works for. */
struct served {
    struct scratch *scratch;
    char *key_file; /* owned */
    struct loop *loop;
    struct lane *lane;
    struct ledger *ledger;
    struct state *state;
    struct chronicle *chronicle;
    struct keeper *keeper;
    struct loop_task back;
    int backs;
};

static void on_back(void *arg) {
    ((struct served *)arg)->backs++;
}

static struct served *served_new(struct scratch *scratch, const char *boot_id) {
    struct served *served = xcalloc(1, sizeof(*served));

    loop_enter();
    served->scratch = scratch;
    served->key_file = path_join(scratch->dir, "key");
    served->loop = loop_new();
    served->lane = lane_new(served->loop, "keeper", "it waits");
    served->ledger = ledger_new();
    served->state = state_new(served->ledger);
    served->chronicle = chronicle_new(scratch->store, NULL, false, NULL);
    served->keeper = keeper_new(&(struct keeper_origin){.loop = served->loop,
                                                        .lane = served->lane,
                                                        .ledger = served->ledger,
                                                        .state = served->state,
                                                        .chronicle = served->chronicle,
                                                        .state_dir = scratch->dir,
                                                        .key_file = served->key_file,
                                                        .boot_id = boot_id});
    served->back = (struct loop_task){.run = on_back, .arg = served};
    return served;
}

static struct served *served_free(struct served *served) {
    if (!served)
        return NULL;
    loop_enter();
    served->lane = lane_free(served->lane);
    served->keeper = keeper_free(served->keeper);
    served->chronicle = chronicle_free(served->chronicle);
    served->state = state_free(served->state);
    served->loop = loop_free(served->loop);
    served->ledger = ledger_free(served->ledger);
    free(served->key_file);
    free(served);
    return NULL;
}
DEFINE_CLEANUP(struct served *, served_free)

static void wake(struct served *served) {
    loop_enter();
    keeper_wake(served->keeper, &served->back);
    while (served->backs == 0)
        (void)loop_turn(served->loop, 10);
    keeper_begin(served->keeper);
}

static void put(const struct served *served, const char *key, const char *text) {
    assert_int_equal(state_put(served->state, "p", key, json_string(text), NULL), 0);
}

static void put_call(const struct served *served, uint64_t offset, const char *tool, bool checkpoint) {
    CLEANUP(free) char *text = xasprintf("{\"params\":{\"name\":\"%s\"}}", tool);
    const struct request_record request = {.conn = 1, .offset = offset, .text = span_of(text)};
    const struct run_record run = {.conn = 1, .offset = offset, .attempts = 1};
    const struct checkpoint_record state = {.conn = 1, .offset = offset, .state = span_of("{}")};

    assert_int_equal(ledger_put(served->ledger, &request_kind, &request, NULL), 0);
    assert_int_equal(ledger_put(served->ledger, &run_kind, &run, NULL), 0);
    if (checkpoint)
        assert_int_equal(ledger_put(served->ledger, &checkpoint_kind, &state, NULL), 0);
}

static void finish(struct served *served) {
    loop_enter();
    keeper_finish(served->keeper, PATIENCE_MS);
}

/* Files in the directory of snapshots whose name ends so; the path of the last one in `path` (owned; may be NULL). */
static int count(const struct scratch *scratch, const char *ending, char **path) {
    CLEANUP(free) char *place = path_join(scratch->dir, "snapshots");
    DIR *dir = opendir(place);
    int n = 0;

    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        size_t len = strlen(entry->d_name), tail = strlen(ending);
        if (len < tail || strcmp(entry->d_name + len - tail, ending) != 0)
            continue;
        n++;
        if (path) {
            free(*path);
            *path = path_join(place, entry->d_name);
        }
    }
    if (dir)
        (void)closedir(dir);
    return n;
}

/* What is sealed in the only snapshot. */
static void open_snapshot(const struct served *served, struct sealed *ret_sealed) {
    CLEANUP(free) char *path = NULL;
    CLEANUP(seal_key_fini) struct seal_key key = {0};

    assert_int_equal(count(served->scratch, ".snap", &path), 1);
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(seal_key_load(served->key_file, &key, NULL), 0);
    assert_int_equal(seal_read(&key, fd, SNAPSHOT_MAX_BYTES, ret_sealed, NULL), 0);
}

static bool sealed_has(const struct served *served, const char *text) {
    CLEANUP(sealed_fini) struct sealed sealed = {0};

    open_snapshot(served, &sealed);
    struct span content = buf_span(&sealed.content);
    return memmem(content.data, content.len, text, strlen(text)) != NULL;
}

static void makes_neither_file_nor_key_while_there_is_nothing_to_carry(void **state) {
    CLEANUP(served_free) struct served *served = served_new(*state, "one");
    const struct request_record held = {.conn = 1, .offset = 1, .text = span_of("{}")};

    wake(served);
    assert_int_equal(ledger_put(served->ledger, &request_kind, &held, NULL), 0);
    finish(served);
    assert_int_equal(count(served->scratch, "", NULL), 0);
    assert_int_not_equal(access(served->key_file, F_OK), 0);
}

/* A moment behind the change, and not only when the time between two of them is over. */
static void seals_soon_what_has_changed(void **state) {
    CLEANUP(served_free) struct served *served = served_new(*state, "one");
    int64_t begin = clock_now_ns();

    loop_enter();
    wake(served);
    put(served, "k", "a value to be carried");
    while (count(served->scratch, ".snap", NULL) == 0 && clock_now_ns() - begin < PATIENCE_MS * INT64_C(1000000))
        (void)loop_turn(served->loop, 10);
    assert_true(clock_now_ns() - begin < 4500 * INT64_C(1000000));
    assert_true(sealed_has(served, "a value to be carried"));
}

static void leaves_a_server_alone_in_which_nothing_changes(void **state) {
    CLEANUP(served_free) struct served *served = served_new(*state, "one");
    int turns = 0;

    loop_enter();
    wake(served);
    put(served, "k", "v");
    finish(served);
    for (int64_t end = clock_now_ns() + 3000 * INT64_C(1000000); clock_now_ns() < end;)
        turns += loop_turn(served->loop, 500);
    assert_true(turns <= 1); /* what the last write had still to say */
}

static void never_seals_a_record_with_a_secret(void **state) {
    CLEANUP(served_free) struct served *served = served_new(*state, "one");
    json_auto_t *secret = json_string("tr\"ustno1");
    const struct checkpoint_record checkpoint = {.conn = 1, .offset = 5, .state = span_of("[\"tr\\u0022ustno1\"]")};

    wake(served);
    keeper_add_secret(served->keeper, secret);
    put(served, "plain", "harmless");
    put(served, "leak", "so it is tr\"ustno1!");
    assert_int_equal(ledger_put(served->ledger, &checkpoint_kind, &checkpoint, NULL), 0);
    put_call(served, 7, "tr\\\"ustno1", false);
    finish(served);
    assert_true(sealed_has(served, "harmless"));
    assert_false(sealed_has(served, "ustno1"));
}

static void takes_back_what_is_a_secret_only_now(void **state) {
    CLEANUP(served_free) struct served *served = served_new(*state, "one");
    json_auto_t *secret = json_string("known later");

    wake(served);
    put(served, "leak", "known later");
    finish(served);
    assert_true(sealed_has(served, "known later"));
    keeper_add_secret(served->keeper, secret);
    put(served, "plain", "harmless");
    finish(served);
    CLEANUP(free) char *path = NULL;
    assert_true(count(served->scratch, ".snap", &path) >= 1);
    CLEANUP(sealed_fini) struct sealed sealed = {0};
    CLEANUP(seal_key_fini) struct seal_key key = {0};
    assert_int_equal(seal_key_load(served->key_file, &key, NULL), 0);
    CLEANUP(free) char *dir = path_join(served->scratch->dir, "snapshots/one.00000002.0.snap");
    CLEANUP(fd_close) int fd = open(dir, O_RDONLY | O_CLOEXEC);
    assert_int_equal(seal_read(&key, fd, SNAPSHOT_MAX_BYTES, &sealed, NULL), 0);
    assert_null(memmem(buf_span(&sealed.content).data, sealed.content.len, "known later", 11));
}

static void removes_the_file_when_there_is_nothing_to_carry_any_more(void **state) {
    CLEANUP(served_free) struct served *served = served_new(*state, "one");

    wake(served);
    put(served, "k", "v");
    finish(served);
    assert_int_equal(count(served->scratch, ".snap", NULL), 1);
    assert_int_equal(state_put(served->state, "p", "k", json_null(), NULL), 0);
    finish(served);
    assert_int_equal(count(served->scratch, ".snap", NULL), 0);
}

struct calling {
    struct served *served;
    struct thread *thread;
    atomic_int count;
    atomic_bool ends;
};

static void drop_run(const struct served *served, uint64_t offset) {
    const struct run_record run = {.conn = 1, .offset = offset};

    assert_int_equal(ledger_drop(served->ledger, &run_kind, &run, NULL), 0);
}

/* Short calls, one after the other. */
static void call_on_thread(void *arg) {
    struct calling *calling = arg;

    for (; !atomic_load(&calling->ends); atomic_fetch_add(&calling->count, 1)) {
        put_call(calling->served, 10, "short", false);
        drop_run(calling->served, 10);
    }
}

/* A call that begins while a snapshot is being made may be in it, and must not stay there when it is over. */
static void leaves_no_call_behind_that_began_and_ended_meanwhile(void **state) {
    CLEANUP(served_free) struct served *served = served_new(*state, "one");

    loop_enter();
    wake(served);
    finish(served);
    for (int i = 0; i < 20; i++) {
        struct calling calling = {.served = served};
        assert_int_equal(thread_start(&calling.thread, "calling", call_on_thread, &calling, NULL), 0);
        while (atomic_load(&calling.count) == 0)
            (void)loop_turn(served->loop, 1);
        keeper_finish(served->keeper, 5); /* writes while calls come and go */
        atomic_store(&calling.ends, true);
        (void)thread_join(calling.thread);
        finish(served);
        assert_int_equal(count(served->scratch, ".snap", NULL), 0);
    }
}

/* A server that had this, and died. */
static void leave(void **state, const char *boot_id) {
    CLEANUP(served_free) struct served *served = served_new(*state, boot_id);

    wake(served);
    put(served, "k", "before");
    put(served, "only", "before");
    put_call(served, 10, "slow", true);
    put_call(served, 20, "quick", false);
    finish(served);
}

static void assert_value(const struct served *served, const char *key, const char *want) {
    json_auto_t *value = state_get(served->state, "p", key);

    assert_non_null(value);
    assert_string_equal(json_string_value(value), want);
}

static void brings_state_back_that_is_not_there_yet(void **state) {
    leave(state, "one");
    CLEANUP(served_free) struct served *served = served_new(*state, "two");
    put(served, "k", "now");
    wake(served);
    assert_value(served, "k", "now");
    assert_value(served, "only", "before");
}

static void reports_interrupted_calls_once_in_the_history(void **state) {
    const struct history_query query = {0};
    json_t *list = NULL;

    leave(state, "one");
    CLEANUP(served_free) struct served *served = served_new(*state, "two");
    wake(served);
    assert_true(chronicle_flush(served->chronicle, PATIENCE_MS));
    assert_int_equal(history_list(store_of(state), &query, &list, NULL), 0);
    json_auto_t *events = list;
    assert_int_equal(json_array_size(events), 1);
    const json_t *event = json_array_get(events, 0), *errors = json_object_get(event, "errors");
    assert_string_equal(json_string_value(json_object_get(event, "reason")), "interrupted");
    assert_int_equal(json_array_size(errors), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(errors, 0), "tool")), "slow");
    assert_true(json_is_true(json_object_get(json_array_get(errors, 0), "checkpoint")));
    assert_string_equal(json_string_value(json_object_get(json_array_get(errors, 1), "tool")), "quick");
    assert_true(json_is_false(json_object_get(json_array_get(errors, 1), "checkpoint")));
}

static void keeps_the_claimed_one_until_its_own_is_on_disk(void **state) {
    leave(state, "one");
    CLEANUP(served_free) struct served *served = served_new(*state, "two");
    wake(served);
    assert_int_equal(count(served->scratch, ".00000000.1.snap", NULL), 1);
    finish(served);
    assert_int_equal(count(served->scratch, ".00000000.1.snap", NULL), 0);
    assert_int_equal(count(served->scratch, ".snap", NULL), 1);
    assert_false(sealed_has(served, "quick")); /* its calls were not ours */
}

static void claims_nothing_when_another_image_came_before(void **state) {
    leave(state, "one");
    CLEANUP(served_free) struct served *served = served_new(*state, "two");
    loop_enter();
    assert_int_equal(keeper_adopt(served->keeper, -1, NULL), 0);
    wake(served);
    json_auto_t *value = state_get(served->state, "p", "only");
    assert_null(value);
    assert_int_equal(count(served->scratch, ".snap", NULL), 1);
}

static void goes_on_with_the_lock_of_the_image_before(void **state) {
    struct served *before = served_new(*state, "one");

    loop_enter();
    wake(before);
    put(before, "k", "v");
    finish(before);
    int fd = dup(keeper_lock_fd(before->keeper));
    assert_true(fd >= 0);
    CLEANUP(served_free) struct served *served = served_new(*state, "one");
    assert_int_equal(keeper_adopt(served->keeper, fd, NULL), 0);
    assert_int_equal(keeper_lock_fd(served->keeper), fd);
    assert_int_equal(keeper_adopt(before->keeper, fcntl(0, F_DUPFD_CLOEXEC, 3), NULL), -1);
    put(served, "k", "after");
    wake(served);
    finish(served);
    assert_int_equal(count(served->scratch, ".snap", NULL), 2);
    (void)served_free(before);
}

static void sets_aside_what_a_newer_version_wrote(void **state) {
    const struct scratch *scratch = *state;
    CLEANUP(free) char *dir = path_join(scratch->dir, "snapshots"), *key_file = path_join(scratch->dir, "key");
    struct snapshot *snapshot = snapshot_new(&(struct snapshot_origin){dir, key_file, "old", "9.9.9"});

    assert_int_equal(
        snapshot_write(snapshot, (struct span){"thcarry\n\x7f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24}, 1, NULL), 0);
    (void)snapshot_free(snapshot);
    CLEANUP(served_free) struct served *served = served_new(*state, "two");
    wake(served);
    assert_int_equal(count(scratch, ".snap.refused", NULL), 1);
    assert_int_equal(count(scratch, ".snap", NULL), 0);
}

static void goes_on_where_nothing_can_be_written(void **state) {
    const struct scratch *scratch = *state;
    CLEANUP(free) char *dir = path_join(scratch->dir, "snapshots");
    CLEANUP(served_free) struct served *served = served_new(*state, "one");

    wake(served);
    put(served, "k", "v");
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(chmod(dir, 0755), 0); /* refused: open to others */
    finish(served);
    assert_int_equal(count(scratch, ".snap", NULL), 0);
    assert_value(served, "k", "v");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(makes_neither_file_nor_key_while_there_is_nothing_to_carry),
        WITH_SCRATCH(seals_soon_what_has_changed),
        WITH_SCRATCH(leaves_a_server_alone_in_which_nothing_changes),
        WITH_SCRATCH(never_seals_a_record_with_a_secret),
        WITH_SCRATCH(takes_back_what_is_a_secret_only_now),
        WITH_SCRATCH(removes_the_file_when_there_is_nothing_to_carry_any_more),
        WITH_SCRATCH(leaves_no_call_behind_that_began_and_ended_meanwhile),
        WITH_SCRATCH(brings_state_back_that_is_not_there_yet),
        WITH_SCRATCH(reports_interrupted_calls_once_in_the_history),
        WITH_SCRATCH(keeps_the_claimed_one_until_its_own_is_on_disk),
        WITH_SCRATCH(claims_nothing_when_another_image_came_before),
        WITH_SCRATCH(goes_on_with_the_lock_of_the_image_before),
        WITH_SCRATCH(sets_aside_what_a_newer_version_wrote),
        WITH_SCRATCH(goes_on_where_nothing_can_be_written),
    };

    return cmocka_run_group_tests_name("server/keeper", tests, NULL, NULL);
}
