/* Memory that runs out: each allocation in turn fails, the call says so, and nothing is left behind. */
#include "test.h"

#include <stdlib.h>

#include "base/mem.h"
#include "rpc/jsontext.h"

static struct {
    int left; /* allocations that still succeed */
    int live; /* allocations that were not given back */
} supply;

/* What cannot exist is asked for below: the sanitizers must answer as malloc() does. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "allocator_may_return_null=1";
}

static void *limited_malloc(size_t size) {
    if (supply.left == 0)
        return NULL;
    supply.left--;
    supply.live++;
    return malloc(size);
}

static void counted_free(void *memory) {
    supply.live--;
    free(memory);
}

static int limit_jansson(void **state) {
    (void)state;
    json_set_alloc_funcs(limited_malloc, counted_free);
    return 0;
}

static int free_jansson(void **state) {
    (void)state;
    json_set_alloc_funcs(malloc, free);
    return 0;
}

static void survives_every_allocation_that_fails_in_jansson(void **state) {
    static const char text[] =
        "{\"a\":[1,2.5,\"x\\n\",true,[],{}],\"b\\t\":{\"c\":\"\"},\"d\":0,\"e\":0,\"f\":0,\"g\":0,"
        "\"h\":0,\"i\":0,\"j\":[0,1,2,3,4,5,6,7,8,9,10,11,12]}";
    int failures = 0;
    json_t *value = NULL;

    (void)state;
    for (; !value; failures++) {
        struct theseus_error err = {0};
        supply.left = failures;
        value = jsontext_read(span_of(text), &err);
        assert_int_equal(err.code, value ? ERR_UNSET : ERR_MEMORY);
        assert_true(value || supply.live == 0);
    }
    assert_true(failures > 40); /* the text needs at least so many */
    json_decref(value);
    assert_int_equal(supply.live, 0);
}

/* The address space ends before this, so that no machine can have it. */
enum { MORE_THAN_THERE_IS_BITS = 62 };

static void says_that_there_is_no_memory_to_unescape(void **state) {
    static const char text[] = "\"\\n and enough bytes for one look ahead";
    struct theseus_error err = {0};
    json_t *value = jsontext_read((struct span){text, (size_t)1 << MORE_THAN_THERE_IS_BITS}, &err);

    (void)state;
    assert_null(value);
    assert_int_equal(err.code, ERR_MEMORY);
}

static void says_that_there_is_no_memory_to_write(void **state) {
    json_auto_t *value = json_pack("[{s:s}, i, f, b, n]", "key", "text", 1, 2.5, 1);
    size_t items = json_array_size(value);

    (void)state;
    for (size_t i = 0; i <= items; i++) {
        struct buf full = {.len = (size_t)1 << MORE_THAN_THERE_IS_BITS};
        struct theseus_error err = {0};
        const json_t *part = i < items ? json_array_get(value, i) : value;
        assert_int_equal(jsontext_write(part, &full, &err), -1);
        assert_int_equal(err.code, ERR_MEMORY);
        assert_null(full.data);
        assert_int_equal(full.len, (size_t)1 << MORE_THAN_THERE_IS_BITS);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(survives_every_allocation_that_fails_in_jansson, limit_jansson, free_jansson),
        cmocka_unit_test(says_that_there_is_no_memory_to_unescape),
        cmocka_unit_test(says_that_there_is_no_memory_to_write),
    };

    return cmocka_run_group_tests_name("rpc/jsontext_memory", tests, NULL, NULL);
}
