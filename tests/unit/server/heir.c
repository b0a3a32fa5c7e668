#include "test.h"

#include "server/heir.h"

#include "call/keep.h"
#include "server/handover.h"
#include "server/inner.h"

enum { STDIO = 1, PLAIN, AWAITED, WITH_TASK };

static void put(struct ledger *ledger, const struct record_kind *kind, const void *record) {
    assert_int_equal(ledger_put(ledger, kind, record, NULL), 0);
}

/* A connection with two calls, the first of them at work, and with something read and something to be written. */
static void put_client(struct ledger *ledger, uint64_t conn, const char *transport, const char *secret) {
    struct span text =
        span_of("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"dig\"}}");

    put(ledger, &conn_kind,
        &(struct conn_record){
            .conn = conn, .transport = span_of(transport), .fd_in = 7, .fd_out = 7, .secret = span_of(secret)});
    put(ledger, &position_kind, &(struct position_record){.conn = conn, .cut = 200});
    put(ledger, &input_kind, &(struct input_record){.conn = conn, .offset = 200, .bytes = span_of("{")});
    put(ledger, &output_kind, &(struct output_record){.conn = conn, .offset = 50, .bytes = span_of("{}\n")});
    for (uint64_t offset = 100; offset <= 200; offset += 100)
        put(ledger, &request_kind, &(struct request_record){.conn = conn, .offset = offset, .text = text});
    put(ledger, &run_kind, &(struct run_record){.conn = conn, .offset = 100, .attempts = 1});
    put(ledger, &run_kind, &(struct run_record){.conn = conn, .offset = 100, .index = UINT64_C(1) << 32});
    put(ledger, &checkpoint_kind, &(struct checkpoint_record){.conn = conn, .offset = 100, .state = span_of("{}")});
    put(ledger, &progress_kind, &(struct progress_record){.conn = conn, .offset = 100});
    put(ledger, &listen_kind, &(struct listen_record){.conn = conn, .offset = 300, .id = span_of("9")});
}

struct counting {
    uint64_t conn;
    int count;
};

static void count_one(void *arg, const void *record) {
    struct counting *counting = arg;
    uint64_t conn;

    memcpy(&conn, record, sizeof(conn));
    counting->count += conn == counting->conn;
}

static int count(struct ledger *ledger, const struct record_kind *kind, uint64_t conn) {
    struct counting counting = {.conn = conn};

    ledger_each(ledger, kind, count_one, &counting);
    return counting.count;
}

static const struct record_kind *const kinds[] = {&conn_kind,       &position_kind, &input_kind,
                                                  &output_kind,     &request_kind,  &run_kind,
                                                  &checkpoint_kind, &progress_kind, &listen_kind};

static int count_all(struct ledger *ledger, uint64_t conn) {
    int all = 0;

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        all += count(ledger, kinds[i], conn);
    return all;
}

static void read_conn(void *arg, const void *record) {
    *(struct conn_record *)arg = *(const struct conn_record *)record;
}

static struct conn_record conn_record_of(struct ledger *ledger, uint64_t number) {
    struct conn_record record = {.conn = number};

    assert_true(ledger_find(ledger, &conn_kind, &record, read_conn, &record));
    return record;
}

static void parts_with_clients_that_cannot_come_back(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct server server = {.ledger = ledger};

    (void)state;
    loop_enter();
    put_client(ledger, STDIO, "stdio", "");
    put_client(ledger, PLAIN, "unix", "");
    heir_prepare(&server);
    assert_int_equal(count_all(ledger, STDIO), 0);
    assert_int_equal(count_all(ledger, PLAIN), 0);
    assert_int_equal(server.heir.interrupted, 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(server.heir.calls, 0), "tool")), "dig");
    heir_fini(&server);
}

static void awaits_those_with_a_session(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct server server = {.ledger = ledger};

    (void)state;
    loop_enter();
    put_client(ledger, PLAIN, "unix", "");
    put_client(ledger, AWAITED, "unix", "a secret");
    int before = count_all(ledger, AWAITED);
    heir_prepare(&server);
    assert_int_equal(count_all(ledger, AWAITED), before);
    assert_int_equal(conn_record_of(ledger, AWAITED).fd_in, UINT64_MAX);
    assert_int_equal(conn_record_of(ledger, AWAITED).lost, 0);
    assert_int_equal(server.heir.interrupted, 1);
    heir_fini(&server);
}

static void keeps_what_goes_on_as_a_task(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct server server = {.ledger = ledger};

    (void)state;
    loop_enter();
    put_client(ledger, WITH_TASK, "stdio", "");
    put(ledger, &task_kind, &(struct task_record){.conn = WITH_TASK, .offset = 100, .id = span_of("t")});
    heir_prepare(&server);
    assert_int_equal(conn_record_of(ledger, WITH_TASK).lost, 1);
    assert_int_equal(count(ledger, &request_kind, WITH_TASK), 1);
    assert_int_equal(count(ledger, &checkpoint_kind, WITH_TASK), 1);
    assert_int_equal(count(ledger, &output_kind, WITH_TASK), 0);
    assert_int_equal(server.heir.interrupted, 0);
    heir_fini(&server);
}

static void takes_no_descriptor_for_one_that_came_along(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct server server = {.ledger = ledger};

    (void)state;
    loop_enter();
    assert_int_equal(handover_keep(ledger, KEPT_LISTENER, 0, NULL), 0);
    assert_int_equal(handover_keep(ledger, KEPT_SNAPSHOT_LOCK, 1, NULL), 0);
    heir_prepare(&server);
    assert_int_equal(handover_take(ledger, KEPT_LISTENER), -1);
    assert_int_equal(handover_take(ledger, KEPT_SNAPSHOT_LOCK), -1);
    heir_fini(&server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_with_clients_that_cannot_come_back),
        cmocka_unit_test(awaits_those_with_a_session),
        cmocka_unit_test(keeps_what_goes_on_as_a_task),
        cmocka_unit_test(takes_no_descriptor_for_one_that_came_along),
    };

    return cmocka_run_group_tests_name("server/heir", tests, NULL, NULL);
}
