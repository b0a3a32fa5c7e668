#include "test.h"

#include "rpc/codes.h"

static void names_each_kind_as_the_protocol_does(void **state) {
    (void)state;
    assert_int_equal(code_of(ERR_PARSE), -32700);
    assert_int_equal(code_of(ERR_REQUEST), -32600);
    assert_int_equal(code_of(ERR_LIMIT), -32600);
    assert_int_equal(code_of(ERR_NO_METHOD), -32601);
    assert_int_equal(code_of(ERR_PARAMS), -32602);
    assert_int_equal(code_of(ERR_CAPABILITY), -32021);
    assert_int_equal(code_of(ERR_VERSION), -32022);
    assert_int_equal(code_of(ERR_INTERNAL), -32603);
}

static void calls_everything_else_internal(void **state) {
    (void)state;
    assert_int_equal(code_of(ERR_MEMORY), -32603);
    assert_int_equal(code_of(ERR_SYSTEM), -32603);
    assert_int_equal(code_of(ERR_UNSET), -32603);
    assert_int_equal(code_of(ERR_NEWER), -32603); /* a database's version is not the protocol's */
    assert_int_equal(code_of((enum errc)9999), -32603);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_each_kind_as_the_protocol_does),
        cmocka_unit_test(calls_everything_else_internal),
    };

    return cmocka_run_group_tests_name("rpc/codes", tests, NULL, NULL);
}
