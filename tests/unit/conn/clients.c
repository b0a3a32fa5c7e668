#include "test.h"

#include "conn/clients.h"

#include "conn/client.h"

/* A set of connections, and the other ends of those that were accepted. */
struct hall {
    struct client *client; /* owned: loop, ledger, host */
    struct clients *clients;
    int over;
};

static void on_over(void *arg, struct conn *conn) {
    (void)conn;
    ((struct hall *)arg)->over++;
}

static struct hall *present; /* for the operation, which knows the client alone */

static void on_closed(void *arg, struct conn *conn) {
    (void)arg;
    loop_enter();
    clients_closed(present->clients, conn);
}

static void hall_open(struct hall *hall) ON_LOOP {
    hall->clients = clients_new(&(struct clients_origin){.host = &hall->client->host, .over = on_over, .arg = hall});
    present = hall;
}

static void hall_init(struct hall *hall) ON_LOOP {
    *hall = (struct hall){.client = client_made()};
    hall->client->ops.closed = on_closed;
    hall_open(hall);
}

static void hall_fini(struct hall *hall) ON_LOOP {
    hall->clients = clients_free(hall->clients);
    client_forget_calls(hall->client);
    hall->client->ledger = ledger_free(hall->client->ledger);
    hall->client->config = config_free(hall->client->config);
    hall->client->loop = loop_free(hall->client->loop);
    hall->client->shared = conn_shared_free(hall->client->shared);
    buf_fini(&hall->client->got);
    free(hall->client);
}

/* Another one has connected; its end. */
static int comes_of(struct hall *hall, uid_t uid) ON_LOOP {
    struct theseus_error err = {0};
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    client_unblock(pair[1]);
    assert_int_equal(clients_accept(hall->clients, pair[0], uid, &err), 0);
    return pair[1];
}

static int comes(struct hall *hall) ON_LOOP {
    return comes_of(hall, getuid());
}

/* The client that is being looked at: one talks to one at a time. */
static struct client *at(struct hall *hall, int fd) {
    hall->client->to = hall->client->from = fd;
    return hall->client;
}

static void serves_each_for_itself(void **state) {
    struct hall hall;

    (void)state;
    loop_enter();
    hall_init(&hall);
    int first = comes(&hall), second = comes(&hall);
    client_asks(at(&hall, first), "1", "one");
    client_asks(at(&hall, second), "1", "two");
    client_gets_result(at(&hall, second), "1", "two");
    client_gets_result(at(&hall, first), "1", "one");
    assert_int_equal(clients_count(hall.clients), 2);
    assert_int_equal(conn_number(clients_find(hall.clients, 2)), 2);
    assert_null(clients_find(hall.clients, 3));
    assert_true(clients_are_idle(hall.clients));
    (void)close(first);
    (void)close(second);
    hall_fini(&hall);
}

static size_t records(struct hall *hall) {
    return ledger_count(hall->client->ledger);
}

static void forgets_one_that_has_gone_and_no_other(void **state) {
    struct hall hall;

    (void)state;
    loop_enter();
    hall_init(&hall);
    int first = comes(&hall);
    size_t before = records(&hall);
    int second = comes(&hall);
    client_asks(at(&hall, second), "7", "late");
    client_asks(at(&hall, first), "7", "late");
    until(hall.client->loop, hall.client->asked == 2);
    (void)close(second);
    until(hall.client->loop, clients_count(hall.clients) == 1);
    assert_int_equal(hall.over, 1);
    client_flush(hall.client); /* the call of the one that has gone ends, too, and touches nothing */
    client_gets_result(at(&hall, first), "7", "late");
    client_settle(hall.client);
    assert_true(records(&hall) <= before + 1); /* a position */
    (void)close(first);
    hall_fini(&hall);
}

/* One that will be back. */
static void comes_and_goes(struct hall *hall, uint64_t number, uid_t uid) ON_LOOP {
    int fd = comes_of(hall, uid);
    struct conn *conn = clients_find(hall->clients, number);

    session_make_secret(conn_session(conn));
    conn_be_resumable(conn);
    (void)close(fd);
    until(hall->client->loop, conn_waits(conn));
}

static void gives_up_those_who_are_awaited_in_vain_of_whoever_has_most(void **state) {
    struct hall hall;

    (void)state;
    loop_enter();
    hall_init(&hall);
    hall.client->config->limits.max_clients = 3;
    comes_and_goes(&hall, 1, getuid());
    for (uint64_t number = 2; number <= 4; number++)
        comes_and_goes(&hall, number, getuid() + 1);
    int fifth = comes(&hall);
    until(hall.client->loop, hall.over == 1);
    client_settle(hall.client);
    assert_non_null(clients_find(hall.clients, 1));
    assert_null(clients_find(hall.clients, 2));
    assert_true(conn_waits(clients_find(hall.clients, 3)) && conn_waits(clients_find(hall.clients, 4)));
    (void)close(fifth);
    hall_fini(&hall);
}

static void answers_who_says_no_more(void **state) {
    struct hall hall;

    (void)state;
    loop_enter();
    hall_init(&hall);
    int fd = comes(&hall);
    client_asks(at(&hall, fd), "1", "late");
    until(hall.client->loop, hall.client->asked == 1);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    client_settle(hall.client);
    assert_int_equal(clients_count(hall.clients), 1);
    client_flush(hall.client);
    client_gets_result(at(&hall, fd), "1", "late");
    until(hall.client->loop, clients_count(hall.clients) == 0);
    (void)close(fd);
    hall_fini(&hall);
}

static void comes_back_as_a_whole(void **state) {
    struct theseus_error err = {0};
    struct hall hall;
    int fds[5], gone;

    (void)state;
    loop_enter();
    hall_init(&hall);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fds[i] = comes(&hall);
    gone = comes(&hall);
    (void)close(gone);
    until(hall.client->loop, clients_count(hall.clients) == ARRAY_SIZE(fds));
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        client_asks(at(&hall, fds[i]), "1", i % 2 ? "late" : "hold");
    client_send(at(&hall, fds[4]), "{\"jsonrpc\":\"2.0\",\"id\":2,");
    until(hall.client->loop, hall.client->asked == (int)ARRAY_SIZE(fds));
    client_settle(hall.client);
    int kept[ARRAY_SIZE(fds)], numbers[ARRAY_SIZE(fds)];
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        numbers[i] = clients_find(hall.clients, i + 1)->in.fd;
        kept[i] = dup(numbers[i]);
    }
    hall.clients = clients_free(hall.clients);
    client_forget_calls(hall.client);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        assert_true(dup2(kept[i], numbers[i]) >= 0);
        (void)close(kept[i]);
    }
    hall.client->asked = 0;
    hall_open(&hall);
    assert_int_equal(clients_restore(hall.clients, -1, -1, &err), 0);
    clients_start(hall.clients);
    assert_int_equal(clients_count(hall.clients), ARRAY_SIZE(fds));
    client_send(at(&hall, fds[4]), "\"method\":\"two\"}\n");
    client_gets_result(at(&hall, fds[4]), "2", "two");
    client_flush(hall.client);
    client_let_go(hall.client);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        client_gets_result(at(&hall, fds[i]), "1", i % 2 ? "late" : "hold");
    int next = comes(&hall);
    assert_non_null(clients_find(hall.clients, ARRAY_SIZE(fds) + 2)); /* a number is given out once */
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        (void)close(fds[i]);
    (void)close(next);
    hall_fini(&hall);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_each_for_itself),
        cmocka_unit_test(forgets_one_that_has_gone_and_no_other),
        cmocka_unit_test(gives_up_those_who_are_awaited_in_vain_of_whoever_has_most),
        cmocka_unit_test(answers_who_says_no_more),
        cmocka_unit_test(comes_back_as_a_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
