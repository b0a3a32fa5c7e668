#include "test.h"

#include "conn/session.h"

#include <stdlib.h>

#include "base/mem.h"

static void has_an_id_of_its_own(void **state) {
    struct session a, b;

    (void)state;
    session_init(&a);
    session_init(&b);
    assert_int_equal(strlen(a.id), SESSION_ID_BYTES - 1);
    assert_int_equal(strspn(a.id, "0123456789abcdef"), SESSION_ID_BYTES - 1);
    assert_string_not_equal(a.id, b.id);
    assert_null(a.revision);
    assert_int_equal(a.log_level, -1);
    session_fini(&a);
    session_fini(&b);
}

static void forgets_the_handshake_before(void **state) {
    json_auto_t *client = json_pack("{s:s}", "name", "x");
    struct session session;
    char id[SESSION_ID_BYTES];

    (void)state;
    session_init(&session);
    memcpy(id, session.id, sizeof(id));
    session_begin(&session, revision_find("2024-11-05"), client, client);
    session.initialized = true;
    session.log_level = 4;
    session.directory = xstrdup("/d");
    session_begin(&session, revision_find("2025-11-25"), NULL, NULL);
    assert_string_equal(session.revision->name, "2025-11-25");
    assert_false(session.initialized);
    assert_null(session.client);
    assert_null(session.capabilities);
    assert_null(session.directory);
    assert_int_equal(session.log_level, -1);
    assert_string_equal(session.id, id);
    session_fini(&session);
    assert_int_equal(client->refcount, 1);
}

static void pack_and_unpack(const struct session *from, struct session *to) {
    struct buf texts[SESSION_TEXTS] = {0};
    struct conn_record record = {0};

    assert_int_equal(session_pack(from, &record, texts, NULL), 0);
    session_init(to);
    session_unpack(to, &record);
    for (size_t i = 0; i < SESSION_TEXTS; i++)
        buf_fini(&texts[i]);
}

static void comes_back_as_it_was(void **state) {
    json_auto_t *client = json_pack("{s:s, s:s}", "name", "\xc3\xa4", "version", "");
    json_auto_t *capabilities = json_pack("{s:{}}", "roots");
    struct session session, back;

    (void)state;
    session_init(&session);
    session_begin(&session, revision_find("2025-03-26"), client, capabilities);
    session.initialized = true;
    session.directory = xstrdup("/home/x");
    for (session.log_level = -1; session.log_level <= 7; session.log_level++) {
        pack_and_unpack(&session, &back);
        assert_string_equal(back.id, session.id);
        assert_ptr_equal(back.revision, session.revision);
        assert_true(back.initialized);
        assert_int_equal(back.log_level, session.log_level);
        assert_true(json_equal(back.client, client));
        assert_true(json_equal(back.capabilities, capabilities));
        assert_string_equal(back.directory, "/home/x");
        session_fini(&back);
    }
    session_fini(&session);
}

static void comes_back_empty_too(void **state) {
    struct session session, back;

    (void)state;
    session_init(&session);
    pack_and_unpack(&session, &back);
    assert_string_equal(back.id, session.id);
    assert_null(back.revision);
    assert_false(back.initialized);
    assert_null(back.client);
    assert_null(back.directory);
    assert_int_equal(back.log_level, -1);
    session_fini(&back);
    session_fini(&session);
}

static void takes_a_record_that_says_nothing(void **state) {
    const struct conn_record record = {.client = span_of("{broken"), .revision = span_of("1999-01-01")};
    struct session session;

    (void)state;
    session_init(&session);
    session_unpack(&session, &record);
    assert_string_equal(session.id, "");
    assert_null(session.revision);
    assert_null(session.client);
    session_fini(&session);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_an_id_of_its_own),
        cmocka_unit_test(forgets_the_handshake_before),
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(comes_back_empty_too),
        cmocka_unit_test(takes_a_record_that_says_nothing),
    };

    return cmocka_run_group_tests_name("conn/session", tests, NULL, NULL);
}
