#include "test.h"

#include "store/history.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

#include <sqlite3.h>

#include "scratch.h"

enum { PROCESSES = 4, EVENTS = 10 }; /* each waits for the disk, and another one for all of them at worst */

static void add(struct store *store, enum history_kind kind, const char *reason, int64_t started_ms, bool success) {
    struct history_event event = history_event_of(kind, reason, started_ms);

    event.success = success;
    assert_int_equal(history_add(store, &event, NULL), 0);
}

static json_t *list(struct store *store, struct history_query query) {
    json_t *all = NULL;

    assert_int_equal(history_list(store, &query, &all, NULL), 0);
    return all;
}

/* A full one: no two numbers are the same, so that no two columns can be mixed up unnoticed. */
static struct history_event full(json_t *errors) {
    return (struct history_event){.kind = HISTORY_RESTART,
                                  .reason = "manual_request",
                                  .mechanism = "reexec",
                                  .phase = "complete",
                                  .subject = "echo",
                                  .success = true,
                                  .graceful = true,
                                  .preserve_state = false,
                                  .by = {"claude \"code\" \xc3\xa4", "1.0", "stdio", 1000},
                                  .boot_before = "b1",
                                  .boot_after = "b2",
                                  .version_before = "0.1",
                                  .version_after = "0.2",
                                  .started_ms = 1763800000123,
                                  .duration_ms = 1500.5,
                                  .blackout_ms = 2.25,
                                  .held_ms = 3.5,
                                  .suspend_ms = 0,
                                  .requests_held = 11,
                                  .calls_resumed = 12,
                                  .calls_interrupted = 13,
                                  .bytes_carried = INT64_C(5000000000),
                                  .records_differing = 14,
                                  .requests_unanswered = 15,
                                  .calls_lost = 16,
                                  .connections_lost = 17,
                                  .connections_resumed = 18,
                                  .errors = errors};
}

static void compare(void *arg, const struct history_event *event) {
    struct history_event want = full(event->errors);

    assert_int_equal(event->kind, want.kind);
    assert_string_equal(event->reason, want.reason);
    assert_string_equal(event->mechanism, want.mechanism);
    assert_string_equal(event->phase, want.phase);
    assert_string_equal(event->subject, want.subject);
    assert_true(event->success && event->graceful && !event->preserve_state);
    assert_string_equal(event->by.name, want.by.name);
    assert_string_equal(event->by.version, want.by.version);
    assert_string_equal(event->by.transport, want.by.transport);
    assert_int_equal(event->by.uid, want.by.uid);
    assert_string_equal(event->boot_before, want.boot_before);
    assert_string_equal(event->boot_after, want.boot_after);
    assert_string_equal(event->version_before, want.version_before);
    assert_string_equal(event->version_after, want.version_after);
    assert_memory_equal(&event->started_ms, &want.started_ms,
                        offsetof(struct history_event, errors) - offsetof(struct history_event, started_ms));
    *(json_t **)arg = json_incref(event->errors);
}

static void gives_back_every_field(void **state) {
    json_auto_t *errors = json_pack("[{s:s, s:i, s:s}]", "file", "a.ini", "line", 3, "text", "unknown key");
    json_auto_t *seen = NULL;
    struct history_event event = full(errors);

    assert_int_equal(history_add(store_of(state), &event, NULL), 0);
    assert_int_equal(history_each(store_of(state), &(struct history_query){0}, compare, &seen, NULL), 0);
    assert_true(json_equal(seen, errors));
}

static void packs_every_field(void **state) {
    json_auto_t *errors = json_pack("[s]", "no");
    struct history_event event = full(errors);
    json_auto_t *packed = history_event_pack(&event);
    json_auto_t *want = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:f, s:f, s:f, s:f, s:i, s:i, s:i, s:I, s:i, s:i, s:i, s:i, s:i, "
        "s:{s:s, s:s}, s:{s:s, s:s}, s:{s:s, s:s, s:s, s:i}, s:[s]}",
        "timestamp", "2025-11-22T08:26:40.123Z", "kind", "restart", "reason", "manual_request", "mechanism", "reexec",
        "phase", "complete", "subject", "echo", "success", 1, "graceful", 1, "preserve_state", 0, "duration", 1.5005,
        "blackout_ms", 2.25, "held_ms", 3.5, "suspend_ms", 0.0, "requests_held", 11, "calls_resumed", 12,
        "calls_interrupted", 13, "bytes_carried", (json_int_t)5000000000, "records_differing", 14,
        "requests_unanswered", 15, "calls_lost", 16, "connections_lost", 17, "connections_resumed", 18, "boot_id",
        "before", "b1", "after", "b2", "server_version", "before", "0.1", "after", "0.2", "requested_by", "name",
        "claude \"code\" \xc3\xa4", "version", "1.0", "transport", "stdio", "uid", 1000, "errors", "no");
    (void)state;

    assert_non_null(want);
    assert_true(json_equal(packed, want));
}

static void keeps_apart_what_is_zero_and_what_is_unknown(void **state) {
    add(store_of(state), HISTORY_CRASH, "error_recovery", 1000, false);
    json_auto_t *all = list(store_of(state), (struct history_query){0});
    json_t *event = json_array_get(all, 0);
    static const char *const keys[] = {"mechanism",     "phase",         "duration",   "blackout_ms",
                                       "held_ms",       "suspend_ms",    "errors",     "requests_held",
                                       "calls_resumed", "bytes_carried", "calls_lost", "connections_lost"};

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        assert_true(json_is_null(json_object_get(event, keys[i])));
    assert_true(json_is_null(json_object_get(json_object_get(event, "requested_by"), "uid")));
    assert_true(json_is_false(json_object_get(event, "success")));
    assert_string_equal(json_string_value(json_object_get(event, "kind")), "crash");
}

static int64_t started_at(const json_t *all, size_t index) {
    const char *text = json_string_value(json_object_get(json_array_get(all, index), "timestamp"));

    return atoi(text + 17); /* the seconds */
}

static void lists_the_youngest_first_within_the_limit(void **state) {
    struct store *store = store_of(state);

    for (int i = 0; i < 10; i++)
        add(store, i % 2 ? HISTORY_RESTART : HISTORY_RELOAD, "manual_request", ((i * 7) % 10) * 1000, true);
    json_auto_t *all = list(store, (struct history_query){0});
    json_auto_t *three = list(store, (struct history_query){.limit = 3});
    json_auto_t *since = list(store, (struct history_query){.since_ms = 6000});
    json_auto_t *restarts = list(store, (struct history_query){.restarts_only = true});
    assert_int_equal(json_array_size(all), 10);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(started_at(all, i), 9 - i);
    assert_int_equal(json_array_size(three), 3);
    assert_int_equal(started_at(three, 2), 7);
    assert_int_equal(json_array_size(since), 4);
    assert_int_equal(started_at(since, 3), 6);
    assert_int_equal(json_array_size(restarts), 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(json_string_value(json_object_get(json_array_get(restarts, i), "kind")), "restart");
}

static void sums_up(void **state) {
    struct store *store = store_of(state);
    struct history_sums sums = {0};
    json_auto_t *errors = json_array();
    struct history_event event = full(errors);

    event.started_ms = 5000;
    assert_int_equal(history_add(store, &event, NULL), 0);
    add(store, HISTORY_RESTART, "manual_request", 9000, false);
    add(store, HISTORY_RELOAD, "watch", 3000, true);
    add(store, HISTORY_RELOAD, "watch", 3001, false);
    add(store, HISTORY_CRASH, "error_recovery", 4000, true);
    assert_int_equal(history_sum(store, 0, &sums, NULL), 0);
    assert_int_equal(sums.restarts, 2);
    assert_int_equal(sums.restarts_complete, 1);
    assert_int_equal(sums.reloads, 2);
    assert_int_equal(sums.crashes, 1);
    assert_int_equal(sums.requests_held, 11);
    assert_int_equal(sums.calls_resumed, 12);
    assert_int_equal(sums.calls_interrupted, 13);
    assert_int_equal(sums.bytes_carried, 5000000000);
    assert_int_equal(sums.last_complete_ms, 6500);
    assert_int_equal(history_sum(store, 9000, &sums, NULL), 0);
    assert_int_equal(sums.restarts, 1);
    assert_int_equal(sums.last_complete_ms, HISTORY_UNKNOWN);
    assert_int_equal(sums.bytes_carried, 0);
}

static void reads_nothing_and_makes_nothing_without_a_database(void **state) {
    struct scratch *scratch = *state;
    struct history_sums sums = {0};
    int removed = -1;
    json_auto_t *all = list(scratch->store, (struct history_query){0});

    assert_int_equal(json_array_size(all), 0);
    assert_int_equal(history_sum(scratch->store, 0, &sums, NULL), 0);
    assert_int_equal(sums.restarts, 0);
    assert_int_equal(sums.last_complete_ms, HISTORY_UNKNOWN);
    assert_int_equal(history_sweep(scratch->store, INT64_MAX, &removed, NULL), 0);
    assert_int_equal(removed, 0);
    assert_int_equal(access(scratch->path, F_OK), -1);
}

static void forgets_what_is_older(void **state) {
    int removed = -1;

    for (int i = 0; i < 10; i++)
        add(store_of(state), HISTORY_RESTART, "manual_request", i, true);
    assert_int_equal(history_sweep(store_of(state), 4, &removed, NULL), 0);
    assert_int_equal(removed, 4);
    json_auto_t *rest = list(store_of(state), (struct history_query){0});
    assert_int_equal(json_array_size(rest), 6);
}

static void leaves_no_transaction_open(void **state) {
    sqlite3 *db = NULL;

    add(store_of(state), HISTORY_RESTART, "manual_request", 1, true);
    json_auto_t *all = list(store_of(state), (struct history_query){.limit = 1});
    assert_int_equal(store_db(store_of(state), &db, NULL), 0);
    for (sqlite3_stmt *s = sqlite3_next_stmt(db, NULL); s; s = sqlite3_next_stmt(db, s))
        assert_false(sqlite3_stmt_busy(s));
    assert_int_equal(json_array_size(all), 1);
}

static void reports_a_database_that_is_none(void **state) {
    struct scratch *scratch = *state;
    struct history_event event = history_event_of(HISTORY_RESTART, "manual_request", 1);
    struct history_sums sums;
    struct theseus_error add_err = {0}, sum_err = {0};
    char text[4096];

    memset(text, 'x', sizeof(text));
    CLEANUP(free) char *dir = path_dir(scratch->path);
    assert_int_equal(fs_make_private_dir(dir, NULL), 0);
    assert_int_equal(fs_write_file(scratch->path, (struct span){text, sizeof(text)}, 0600, NULL), 0);
    assert_int_equal(history_add(scratch->store, &event, &add_err), -1);
    assert_non_null(strstr(add_err.message, scratch->path));
    assert_int_equal(history_sum(scratch->store, 0, &sums, &sum_err), -1);
}

/* A process of its own, which opens the database by itself. */
static void write_in_a_process(const char *path, int number) {
    CLEANUP(store_free) struct store *store = store_new(path);

    for (int i = 0; i < EVENTS; i++) {
        struct history_event event = history_event_of(HISTORY_RESTART, "manual_request", number * 1000 + i);
        if (history_add(store, &event, NULL) < 0)
            _exit(1);
    }
    store = store_free(store);
    _exit(0);
}

static void takes_events_from_several_processes_at_once(void **state) {
    struct scratch *scratch = *state;
    struct history_sums sums = {0};
    int status;

    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0)
            write_in_a_process(scratch->path, i);
    for (int i = 0; i < PROCESSES; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(history_sum(scratch->store, 0, &sums, NULL), 0);
    assert_int_equal(sums.restarts, PROCESSES * EVENTS);
}

static void finds_what_a_process_wrote_that_was_killed(void **state) {
    struct scratch *scratch = *state;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct store *store = store_new(scratch->path);
        struct history_event event = history_event_of(HISTORY_CRASH, "error_recovery", 7);
        if (history_add(store, &event, NULL) == 0)
            (void)kill(getpid(), SIGKILL);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    json_auto_t *all = list(scratch->store, (struct history_query){0});
    assert_int_equal(json_array_size(all), 1);
}

static void *write_on_a_thread(void *store) {
    for (int i = 0; i < EVENTS; i++) {
        struct history_event event = history_event_of(HISTORY_RELOAD, "watch", i);
        if (history_add(store, &event, NULL) < 0)
            return NULL;
    }
    return store;
}

static void takes_events_from_several_threads(void **state) {
    pthread_t threads[PROCESSES];
    struct history_sums sums = {0};
    void *result;

    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_on_a_thread, store_of(state)), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_non_null(result);
    }
    assert_int_equal(history_sum(store_of(state), 0, &sums, NULL), 0);
    assert_int_equal(sums.reloads, PROCESSES * EVENTS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(gives_back_every_field),
        WITH_SCRATCH(packs_every_field),
        WITH_SCRATCH(keeps_apart_what_is_zero_and_what_is_unknown),
        WITH_SCRATCH(lists_the_youngest_first_within_the_limit),
        WITH_SCRATCH(sums_up),
        WITH_SCRATCH(reads_nothing_and_makes_nothing_without_a_database),
        WITH_SCRATCH(forgets_what_is_older),
        WITH_SCRATCH(leaves_no_transaction_open),
        WITH_SCRATCH(reports_a_database_that_is_none),
        WITH_SCRATCH(takes_events_from_several_processes_at_once),
        WITH_SCRATCH(finds_what_a_process_wrote_that_was_killed),
        WITH_SCRATCH(takes_events_from_several_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
