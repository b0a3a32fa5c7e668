#include "test.h"

#include "server/chronicle.h"

#include <sqlite3.h>

#include "base/clock.h"
#include "base/log.h"
#include "ledger/ledger.h"
#include "store/scratch.h"

enum { PATIENCE_MS = 20000 };

static struct history_event restart(bool success) {
    struct history_event event = history_event_of(HISTORY_RESTART, "manual_request", clock_wall_ms());

    event.success = success;
    event.by.name = "somebody";
    event.duration_ms = 10;
    return event;
}

static json_t *events_new(const struct scratch *scratch) {
    const struct history_query query = {0};
    json_t *list = NULL;

    assert_int_equal(history_list(scratch->store, &query, &list, NULL), 0);
    return list;
}

/* How often `text` stands in the log. */
static int logged(const struct scratch *scratch, const char *text) {
    CLEANUP(free) char *path = path_join(scratch->dir, "log");
    CLEANUP(buf_fini) struct buf content = {0};
    int count = 0;

    assert_int_equal(fs_read_file(path, 1 << 20, &content, NULL), 0);
    char *all = buf_take_string(&content);
    for (const char *at = all; (at = strstr(at, text)); at++)
        count++;
    free(all);
    return count;
}

static void open_log(const struct scratch *scratch) {
    CLEANUP(free) char *path = path_join(scratch->dir, "log");

    assert_int_equal(log_open(path, NULL), 0);
}

static void makes_nothing_before_there_is_something_to_write(void **state) {
    const struct scratch *scratch = *state;
    CLEANUP(chronicle_free) struct chronicle *chronicle = chronicle_new(store_of(state), NULL, false, NULL);

    assert_true(chronicle_flush(chronicle, 0));
    assert_int_not_equal(access(scratch->path, F_OK), 0);
}

static void makes_no_database_for_a_sweep(void **state) {
    const struct scratch *scratch = *state;
    CLEANUP(chronicle_free) struct chronicle *chronicle = chronicle_new(scratch->store, NULL, false, NULL);

    chronicle_sweep(chronicle, clock_wall_ms() - 3600000, 100);
    assert_true(chronicle_flush(chronicle, PATIENCE_MS));
    assert_int_not_equal(access(scratch->path, F_OK), 0);
}

static void writes_copies_in_their_order(void **state) {
    const struct scratch *scratch = *state;
    CLEANUP(chronicle_free) struct chronicle *chronicle = chronicle_new(scratch->store, NULL, false, NULL);
    char reason[] = "schema_migration";
    struct history_event event = restart(true);

    event.errors = json_pack("[{s:s}]", "message", "first");
    event.reason = reason;
    chronicle_add(chronicle, &event);
    memset(reason, 'x', strlen(reason)); /* it was copied */
    json_decref(event.errors);
    event = restart(true);
    event.started_ms++;
    chronicle_add(chronicle, &event);
    assert_true(chronicle_flush(chronicle, PATIENCE_MS));
    json_auto_t *list = events_new(scratch);
    assert_int_equal(json_array_size(list), 2);
    const json_t *oldest = json_array_get(list, 1);
    assert_string_equal(json_string_value(json_object_get(oldest, "reason")), "schema_migration");
    assert_int_equal(json_array_size(json_object_get(oldest, "errors")), 1);
}

static void writes_the_rest_before_it_ends(void **state) {
    const struct scratch *scratch = *state;
    struct chronicle *chronicle = chronicle_new(scratch->store, NULL, false, NULL);
    const struct history_event event = restart(true);

    for (int i = 0; i < 20; i++)
        chronicle_add(chronicle, &event);
    chronicle = chronicle_free(chronicle);
    json_auto_t *list = events_new(scratch);
    assert_int_equal(json_array_size(list), 20);
}

static void notes_who_asked_and_what_was_refused(void **state) {
    const struct scratch *scratch = *state;
    CLEANUP(chronicle_free) struct chronicle *chronicle = chronicle_new(scratch->store, NULL, false, NULL);
    const struct asker by = {"client", "2", "stdio", 7};
    json_t *list = NULL;

    chronicle_asked(chronicle, &by, "session", "restart", NULL, "access.restart is no");
    chronicle_asked(chronicle, &by, NULL, "reload", "echo", NULL);
    assert_true(chronicle_flush(chronicle, PATIENCE_MS));
    assert_int_equal(audit_list(scratch->store, 0, 0, &list, NULL), 0);
    json_auto_t *lines = list;
    assert_int_equal(json_array_size(lines), 2);
    const json_t *refused = json_array_get(lines, 1), *accepted = json_array_get(lines, 0);
    assert_string_equal(json_string_value(json_object_get(refused, "result")), "refused");
    assert_string_equal(json_string_value(json_object_get(refused, "detail")), "access.restart is no");
    assert_string_equal(json_string_value(json_object_get(accepted, "result")), "accepted");
    assert_string_equal(json_string_value(json_object_get(accepted, "target")), "echo");
    assert_string_equal(json_string_value(json_object_get(json_object_get(accepted, "requested_by"), "name")),
                        "client");
}

static void says_an_alert_once_when_it_appears_and_once_when_it_ends(void **state) {
    const struct scratch *scratch = *state;
    CLEANUP(chronicle_free) struct chronicle *chronicle = chronicle_new(scratch->store, NULL, false, NULL);
    const struct history_event good = restart(true), bad = restart(false);

    open_log(scratch);
    chronicle_add(chronicle, &good);
    assert_true(chronicle_flush(chronicle, PATIENCE_MS));
    assert_int_equal(logged(scratch, "alert"), 0);
    chronicle_add(chronicle, &bad);
    chronicle_add(chronicle, &bad);
    chronicle_sweep(chronicle, clock_wall_ms() - 3600000, 100);
    assert_true(chronicle_flush(chronicle, PATIENCE_MS));
    assert_int_equal(logged(scratch, "alert: fewer than 95 %"), 1);
    assert_int_equal(logged(scratch, "alert ended"), 0);
    for (int i = 0; i < 60; i++)
        chronicle_add(chronicle, &good);
    assert_true(chronicle_flush(chronicle, PATIENCE_MS));
    assert_int_equal(logged(scratch, "alert ended: it is not so any more that fewer than 95 %"), 1);
    assert_int_equal(logged(scratch, "alert"), 2);
    log_close();
}

static void does_not_repeat_an_alert_that_the_image_before_has_told(void **state) {
    const struct scratch *scratch = *state;
    CLEANUP(chronicle_free) struct chronicle *before = chronicle_new(scratch->store, NULL, false, NULL);
    CLEANUP(chronicle_free) struct chronicle *chronicle = chronicle_new(scratch->store, NULL, true, NULL);
    const struct history_event bad = restart(false);

    open_log(scratch);
    chronicle_add(before, &bad);
    assert_true(chronicle_flush(before, PATIENCE_MS));
    chronicle_add(chronicle, &bad);
    assert_true(chronicle_flush(chronicle, PATIENCE_MS));
    assert_int_equal(logged(scratch, "alert"), 1);
    log_close();
}

static void count_record(void *arg, const void *record) {
    (void)record;
    ++*(int *)arg;
}

static int kept(struct ledger *ledger) {
    int count = 0;

    ledger_each(ledger, &event_kind, count_record, &count);
    return count;
}

static void finish(json_t *errors) {
    (void)json_array_append_new(errors, json_string("found out"));
}

/* The first image ends in the middle of that: its chronicle is not asked to write. */
static void writes_what_the_image_before_did_not_come_to_write(void **state) {
    const struct scratch *scratch = *state;
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct history_event event = restart(true);
    json_auto_t *errors = json_pack("[s]", "first");

    event.errors = errors;
    event.boot_after = "boot";
    event.calls_lost = 7;
    json_auto_t *packed = history_event_keep_new(&event);
    CLEANUP(free) char *text = json_dumps(packed, 0);
    for (uint64_t number = 5; number < 7; number++) /* the same one twice: one of them was written already */
        assert_int_equal(
            ledger_put(ledger, &event_kind, &(struct event_record){.number = number, .text = span_of(text)}, NULL), 0);
    CLEANUP(chronicle_free) struct chronicle *chronicle = chronicle_new(scratch->store, ledger, true, finish);
    chronicle_go_on(chronicle);
    event.started_ms++;
    chronicle_add(chronicle, &event);
    assert_true(chronicle_flush(chronicle, PATIENCE_MS));
    assert_int_equal(kept(ledger), 0);
    json_auto_t *list = events_new(scratch);
    assert_int_equal(json_array_size(list), 2);
    const json_t *first = json_array_get(list, 1);
    assert_string_equal(json_string_value(json_object_get(first, "reason")), "manual_request");
    assert_int_equal(json_integer_value(json_object_get(first, "calls_lost")), 7);
    assert_true(json_is_null(json_object_get(first, "blackout_ms")));
    assert_string_equal(json_string_value(json_array_get(json_object_get(first, "errors"), 1)), "found out");
    assert_int_equal(json_array_size(errors), 1); /* that was a copy */
}

static void keeps_an_event_until_it_is_written(void **state) {
    const struct scratch *scratch = *state;
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(chronicle_free) struct chronicle *chronicle = chronicle_new(scratch->store, ledger, false, NULL);
    const struct history_event event = restart(true);
    sqlite3 *other = NULL;

    chronicle_add(chronicle, &event);
    assert_true(chronicle_flush(chronicle, PATIENCE_MS));
    assert_int_equal(sqlite3_open(scratch->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    chronicle_add(chronicle, &event);
    assert_int_equal(kept(ledger), 1);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_true(chronicle_flush(chronicle, PATIENCE_MS));
    assert_int_equal(kept(ledger), 0);
}

static void removes_what_is_older_than_the_limit(void **state) {
    const struct scratch *scratch = *state;
    CLEANUP(chronicle_free) struct chronicle *chronicle = chronicle_new(scratch->store, NULL, false, NULL);
    struct history_event event = restart(true);

    chronicle_add(chronicle, &event);
    event.started_ms -= INT64_C(86400000);
    chronicle_add(chronicle, &event);
    chronicle_sweep(chronicle, clock_wall_ms() - 3600000, 100);
    assert_true(chronicle_flush(chronicle, PATIENCE_MS));
    json_auto_t *list = events_new(scratch);
    assert_int_equal(json_array_size(list), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(makes_nothing_before_there_is_something_to_write),
        WITH_SCRATCH(makes_no_database_for_a_sweep),
        WITH_SCRATCH(writes_copies_in_their_order),
        WITH_SCRATCH(writes_the_rest_before_it_ends),
        WITH_SCRATCH(notes_who_asked_and_what_was_refused),
        WITH_SCRATCH(says_an_alert_once_when_it_appears_and_once_when_it_ends),
        WITH_SCRATCH(does_not_repeat_an_alert_that_the_image_before_has_told),
        WITH_SCRATCH(writes_what_the_image_before_did_not_come_to_write),
        WITH_SCRATCH(keeps_an_event_until_it_is_written),
        WITH_SCRATCH(removes_what_is_older_than_the_limit),
    };

    return cmocka_run_group_tests_name("server/chronicle", tests, NULL, NULL);
}
