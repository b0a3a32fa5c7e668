#include "test.h"

#include "rpc/glimpse.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/limits.h"

/* However the bytes come. */
static void sees(struct span text, const char *id) {
    json_auto_t *wanted = id ? json_loads(id, JSON_DECODE_ANY, NULL) : NULL;

    for (size_t part = 1; part <= text.len; part = part < 8 ? part + 1 : part * 3) {
        CLEANUP(glimpse_free) struct glimpse *glimpse = glimpse_new();
        assert_non_null(glimpse);
        for (size_t at = 0; at < text.len; at += part)
            glimpse_feed(glimpse, (struct span){text.data + at, text.len - at < part ? text.len - at : part});
        json_auto_t *seen = glimpse_id_new(glimpse);
        if (id ? !json_equal(seen, wanted) : seen != NULL)
            print_error("in parts of %zu: %.*s\n", part, (int)text.len, text.data);
        assert_true(id ? json_equal(seen, wanted) : !seen);
    }
}

static void says(const char *text, const char *id) {
    sees(span_of(text), id);
}

static void sees_the_id_wherever_it_stands(void **state) {
    (void)state;
    says("{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"a\",\"params\":{}}", "5");
    says(" { \"method\" : \"a\" , \"params\" : [ { } , [ ] ] , \"id\" : -12 } ", "-12");
    says("{\"params\":{\"id\":1,\"x\":[{\"id\":2}]},\"id\":\"a \\\"b\\u00e9\\\\\",\"method\":\"a\"}",
         "\"a \\\"b\\u00e9\\\\\"");
    says("{\"id\":0,\"method\":\"id\",\"idx\":3,\"i\":4}", "0");
}

static void looks_over_what_the_structure_does_not_need(void **state) {
    (void)state;
    says("{\"method\":\"a\",\"params\":{\"a\":\"\xff\xc3\"},\"id\":5}", "5");
    says("{\"method\":\"a\",\"params\":{\"a\":NaN,\"b\":-Infinity,\"c\":007,\"d\":1e999},\"id\":5}", "5");
    says("{\"method\":\"a\",\"params\":{\"a\":\"\\ud800\\q\t\\\"\"},\"id\":5}", "5");
    says("{\"method\":\"a\",\"params\":{\"a\":1,\"a\":2},\"id\":5}", "5");
    says("{\"method\":\"a\",\"id\":5,\"params\":{,}}", "5");
    says("{\"method\":\"a\",\"id\":5,\"params\":{\"text\":\"cut he", "5");
}

static void looks_as_deep_as_its_limit(void **state) {
    CLEANUP(buf_fini) struct buf text = {0};

    (void)state;
    for (int more = 0; more < 2; more++) {
        int depth = LIMIT_GLIMPSE_DEPTH - 1 + more;
        buf_fini(&text);
        assert_int_equal(buf_printf(&text, NULL, "{\"method\":\"a\",\"p\":"), 0);
        for (int i = 0; i < 2 * depth; i++)
            assert_int_equal(buf_append(&text, span_of(i < depth ? "[" : "]"), NULL), 0);
        assert_int_equal(buf_printf(&text, NULL, ",\"id\":5}"), 0);
        CLEANUP(glimpse_free) struct glimpse *glimpse = glimpse_new();
        assert_non_null(glimpse);
        glimpse_feed(glimpse, buf_span(&text));
        json_auto_t *id = glimpse_id_new(glimpse);
        assert_int_equal(id != NULL, !more);
    }
}

/* Whatever is not certain is no id. */
static void never_guesses(void **state) {
    (void)state;
    says("", NULL);
    says("{\"method\":\"a\",\"id\":12", NULL); /* 123? */
    says("{\"method\":\"a\",\"id\":\"12\"", NULL);
    says("{\"method\":\"a\",\"id\":12 3}", NULL);
    says("{\"id\":5,\"params\":{,},\"method\":\"a\"}", NULL); /* a request? */
    says("{\"id\":5,\"result\":{,}}", NULL);
    says("{\"id\":5,\"method\":1}", NULL);
    says("{\"method\":\"a\",\"id\":5,\"id\":6}", NULL);
    says("{\"method\":\"a\",\"id\":5,\"id\":5}", NULL);
    says("{\"method\":\"a\",\"i\\u0064\":5,\"id\":6}", NULL);
    says("{\"method\":\"a\",\"id\":6,\"\\u0069d\":5}", NULL);
    says("{\"method\":\"a\",\"params\":{,},\"id\":5}", NULL);
    says("{\"method\":\"a\",\"params\":{]],\"id\":5}", NULL);
    says("{\"method\":\"a\",\"params\":{\"t\":\"say \"id\":5},\"id\":5}", NULL);
    says("{\"method\":\"a\" \"id\":5}", NULL);
    says("{\"method\":\"a\",\"params\":{\"id\":5}}", NULL);
    says("{\"method\":\"a\",\"id\":null}", NULL);
    says("{\"method\":\"a\",\"id\":1.5}", NULL);
    says("{\"method\":\"a\",\"id\":[5]}", NULL);
    says("{\"method\":\"a\",\"id\":true}", NULL);
    says("{\"method\":\"a\",\"id\":99999999999999999999}", NULL);
    says("{\"method\":\"a\",\"id\":\"\xff\"}", NULL);
    says("[{\"method\":\"a\",\"id\":5,\"params\":{,}}]", NULL);
    says("x{\"method\":\"a\",\"id\":5}", NULL);
    says("\"method\":\"a\",\"id\":5}", NULL);
}

static void takes_an_id_up_to_its_limit(void **state) {
    (void)state;
    for (int more = 0; more < 2; more++) {
        CLEANUP(free) char *text = xasprintf("{\"method\":\"a\",\"id\":\"%0*d\"}", LIMIT_ID_BYTES + more, 0);
        CLEANUP(free) char *id = xasprintf("\"%0*d\"", LIMIT_ID_BYTES, 0);
        says(text, more ? NULL : id);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sees_the_id_wherever_it_stands), cmocka_unit_test(looks_over_what_the_structure_does_not_need),
        cmocka_unit_test(looks_as_deep_as_its_limit),     cmocka_unit_test(never_guesses),
        cmocka_unit_test(takes_an_id_up_to_its_limit),
    };

    return cmocka_run_group_tests_name("rpc/glimpse", tests, NULL, NULL);
}
