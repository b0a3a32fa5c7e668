/*
 * Whoever holds the gate allocates nothing and frees nothing: the thread that is about to replace the process image
 * waits for it, and malloc's own locks may be held by a thread that has crashed.
 *
 * Every allocation of the process is looked at: under a sanitizer through its hooks, else by standing in malloc's
 * place.
 */
#include "test.h"

#include <pthread.h>
#include <signal.h>

#include "conn/client.h"
#include "ledger/inner.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

static struct gate *_Atomic watched;
static atomic_int inside; /* allocations by a thread that holds the gate */
static atomic_int all;

static void look(void) {
    static _Thread_local uint32_t id;
    struct gate *gate = atomic_load(&watched);

    if (!gate)
        return;
    if (!id)
        id = (uint32_t)gettid();
    (void)atomic_fetch_add(&all, 1);
    if ((atomic_load(&gate->word) & INT32_MAX) == id)
        (void)atomic_fetch_add(&inside, 1);
}

#ifdef SANITIZED
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));

static void on_malloc(const volatile void *memory, size_t size) {
    (void)memory;
    (void)size;
    look();
}

static void on_free(const volatile void *memory) {
    if (memory)
        look();
}

static void watch_memory(void) {
    assert_true(__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) > 0);
}
#else
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

void *malloc(size_t size) {
    look();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    look();
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
    look();
    return __libc_realloc(memory, size);
}

void free(void *memory) {
    if (memory)
        look();
    __libc_free(memory);
}

static void watch_memory(void) {
}
#endif

static void watch_gate(struct client *client) {
    atomic_store(&inside, 0);
    atomic_store(&all, 0);
    atomic_store(&watched, client ? &client->ledger->journal.gate : NULL);
}

static struct client *opened(struct client *client) {
    watch_gate(client);
    client_open(client);
    return client;
}

static void nothing_was_allocated(void) {
    assert_true(atomic_load(&all) > 0);
    assert_int_equal(atomic_load(&inside), 0);
    watch_gate(NULL);
}

static void notices_an_allocation(void **state) {
    CLEANUP(client_fini) struct client *client = opened(client_on_socket());

    (void)state;
    ledger_enter(client->ledger);
    void *volatile memory = malloc(10);
    ledger_leave(client->ledger);
    assert_int_equal(atomic_load(&inside), 1);
    free(memory);
    assert_int_equal(atomic_load(&inside), 1);
    watch_gate(NULL);
}

/* Small and large, in one piece and in many, with some held, with the restarts between. */
static void allocates_nothing_for_requests_and_answers(void **state) {
    (void)state;
    for (int on_pipes = 0; on_pipes < 2; on_pipes++) {
        CLEANUP(client_fini) struct client *client = opened(on_pipes ? client_on_pipes() : client_on_socket());
        client->config->limits.max_in_flight = 4;
        for (int id = 0; id < 60; id++) {
            CLEANUP(free)
            char *line =
                xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"%s\",\"params\":{\"len\":%d,\"n\":\"%0*d\"}}\n",
                          id, id % 5 == 0 ? "late" : "big", 1 << id % 18, 1 << id % 17, 0);
            client_send_bytes(client, (struct span){line, strlen(line) / 3});
            client_settle(client);
            if (id % 10 == 0)
                client_restart(client);
            client_send(client, line + strlen(line) / 3);
            client_settle(client);
            client_flush(client);
            json_decref(client_next_new(client));
        }
        nothing_was_allocated();
    }
}

static void allocates_nothing_for_many_small_lines_at_once(void **state) {
    CLEANUP(client_fini) struct client *client = opened(client_on_socket());
    enum { COUNT = 500 };

    (void)state;
    for (int id = 0; id < COUNT; id++) {
        CLEANUP(free) char *text = xasprintf("%d", id);
        client_asks(client, text, id % 3 ? "now" : "late");
    }
    client_asks(client, "\"f\"", "flush");
    for (int id = 0; id <= COUNT; id++)
        json_decref(client_next_new(client));
    nothing_was_allocated();
}

static void *let_go(void *arg) {
    client_let_go(arg);
    return NULL;
}

static void allocates_nothing_for_answers_of_other_threads(void **state) {
    CLEANUP(client_fini) struct client *client = opened(client_on_socket());
    enum { COUNT = 200 };
    pthread_t thread;

    (void)state;
    client->config->limits.max_in_flight = COUNT;
    for (int id = 0; id < COUNT; id++) {
        CLEANUP(free) char *text = xasprintf("%d", id);
        client_asks(client, text, "hold");
    }
    until(client->loop, client->hold_count == COUNT);
    for (int id = 0; id < COUNT; id++) {
        client->hold[id]->log_level = 0;
        call_log(client->hold[id], 3, "test", "soon");
    }
    assert_int_equal(pthread_create(&thread, NULL, let_go, client), 0);
    for (int line = 0; line < 2 * COUNT; line++)
        json_decref(client_next_new(client));
    assert_int_equal(pthread_join(thread, NULL), 0);
    nothing_was_allocated();
}

static void allocates_nothing_when_a_client_has_gone_and_left_much_unread(void **state) {
    CLEANUP(client_fini) struct client *client = opened(client_on_pipes());

    (void)state;
    for (int id = 0; id < 300; id++) {
        CLEANUP(free) char *text = xasprintf("%d", id);
        client_asks(client, text, "now");
        client_settle(client);
    }
    loop_enter();
    conn_unknown_position(client->conn);
    conn_forget(client->conn);
    nothing_was_allocated();
    assert_int_equal(ledger_count(client->ledger), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notices_an_allocation),
        cmocka_unit_test(allocates_nothing_for_requests_and_answers),
        cmocka_unit_test(allocates_nothing_for_many_small_lines_at_once),
        cmocka_unit_test(allocates_nothing_for_answers_of_other_threads),
        cmocka_unit_test(allocates_nothing_when_a_client_has_gone_and_left_much_unread),
    };

    log_set_level(LOG_ERROR);
    (void)signal(SIGPIPE, SIG_IGN);
    watch_memory();
    return cmocka_run_group_tests_name("conn/gate", tests, NULL, NULL);
}
