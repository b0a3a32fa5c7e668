#include "test.h"

#include "../../../plugins/echo/echo.c"
#include "host.h"

static void returns_the_message(void **state) {
    struct fake fake = fake_made();
    json_t *args = json_pack("{s:s}", "message", "hello");

    (void)state;
    assert_int_equal(theseus_plugin.tools[0].call(&fake.call, NULL, args), THESEUS_DONE);
    assert_int_equal(fake.answers, 1);
    assert_string_equal(fake_text(&fake), "hello");
    assert_false(fake_failed(&fake));
    json_decref(args);
    fake_fini(&fake);
}

static void returns_what_stands_behind_a_nul_too(void **state) {
    struct fake fake = fake_made();
    json_t *message = json_stringn("a\0b", 3), *args = json_pack("{s:o}", "message", message);

    (void)state;
    (void)theseus_plugin.tools[0].call(&fake.call, NULL, args);
    const json_t *item = json_array_get(json_object_get(fake.result, "content"), 0);
    assert_true(json_equal(json_object_get(item, "text"), message));
    json_decref(args);
    fake_fini(&fake);
}

static void the_answer_outlives_the_arguments(void **state) {
    struct fake fake = fake_made();
    json_t *args = json_pack("{s:s}", "message", "still here");

    (void)state;
    (void)theseus_plugin.tools[0].call(&fake.call, NULL, args);
    json_decref(args);
    assert_string_equal(fake_text(&fake), "still here");
    fake_fini(&fake);
}

static void has_a_schema_that_is_json(void **state) {
    json_t *schema = json_loads(theseus_plugin.tools[0].input_schema, JSON_REJECT_DUPLICATES, NULL);

    (void)state;
    assert_string_equal(json_string_value(json_object_get(schema, "type")), "object");
    json_decref(schema);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(returns_the_message),
        cmocka_unit_test(returns_what_stands_behind_a_nul_too),
        cmocka_unit_test(the_answer_outlives_the_arguments),
        cmocka_unit_test(has_a_schema_that_is_json),
    };

    return cmocka_run_group_tests_name("plugins/echo", tests, NULL, NULL);
}
