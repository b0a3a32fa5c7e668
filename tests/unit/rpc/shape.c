#include "test.h"

#include "rpc/shape.h"

#include <stdlib.h>

static json_t *json(const char *text) {
    json_t *value = json_loads(text, 0, NULL);

    assert_non_null(value);
    return value;
}

static void became(json_t *shaped, const char *expected) {
    json_auto_t *owned = shaped, *wanted = json(expected);

    if (!json_equal(owned, wanted)) {
        char *text = json_dumps(owned, JSON_COMPACT | JSON_ENCODE_ANY);
        print_error("%s\n", text);
        free(text);
    }
    assert_true(json_equal(owned, wanted));
}

static void tells_a_modern_client_what_a_result_is(void **state) {
    const struct revision *modern = revision_modern();
    json_auto_t *info = json("{\"name\":\"me\"}");

    (void)state;
    became(shape_result(modern, json("{}"), info, false),
           "{\"resultType\":\"complete\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"me\"}}}");
    became(shape_result(modern, json("{\"resultType\":\"task\",\"_meta\":{\"a\":1}}"), info, true),
           "{\"resultType\":\"task\",\"ttlMs\":0,\"cacheScope\":\"private\",\"_meta\":{\"a\":1,"
           "\"io.modelcontextprotocol/serverInfo\":{\"name\":\"me\"}}}");
    became(shape_result(revision_newest_legacy(), json("{\"a\":1}"), info, true), "{\"a\":1}");
    assert_null(shape_result(modern, NULL, info, false));
    assert_int_equal(info->refcount, 1);
}

/* What others still hold is copied, and not changed under them. */
static void leaves_alone_what_others_hold(void **state) {
    json_auto_t *info = json("{}"), *shared = json("{\"_meta\":{\"a\":1}}");
    json_auto_t *tool = json("{\"name\":\"t\",\"title\":\"T\",\"annotations\":{}}");
    json_auto_t *result = json("{\"content\":[{\"type\":\"audio\",\"mimeType\":\"m\"}],\"structuredContent\":{}}");

    (void)state;
    json_decref(shape_result(revision_modern(), json_incref(shared), info, true));
    became(json_incref(shared), "{\"_meta\":{\"a\":1}}");
    json_decref(shape_tool(revision_find("2024-11-05"), json_incref(tool)));
    became(json_incref(tool), "{\"name\":\"t\",\"title\":\"T\",\"annotations\":{}}");
    json_decref(shape_tool_result(revision_find("2024-11-05"), json_incref(result)));
    became(json_incref(result), "{\"content\":[{\"type\":\"audio\",\"mimeType\":\"m\"}],\"structuredContent\":{}}");
}

static void fits_a_tool_to_each_revision(void **state) {
    static const char full[] =
        "{\"name\":\"t\",\"title\":\"T\",\"annotations\":{},\"inputSchema\":{\"type\":\"object\"},"
        "\"outputSchema\":{\"type\":\"object\"}}";
    static const char odd[] = "{\"name\":\"t\",\"outputSchema\":{\"type\":\"array\"}}";

    (void)state;
    became(shape_tool(revision_find("2024-11-05"), json(full)),
           "{\"name\":\"t\",\"inputSchema\":{\"type\":\"object\"}}");
    became(shape_tool(revision_find("2025-03-26"), json(full)),
           "{\"name\":\"t\",\"annotations\":{},\"inputSchema\":{\"type\":\"object\"}}");
    became(shape_tool(revision_find("2025-06-18"), json(full)), full);
    became(shape_tool(revision_modern(), json(full)), full);
    became(shape_tool(revision_find("2025-11-25"), json(odd)), "{\"name\":\"t\"}");
    became(shape_tool(revision_modern(), json(odd)), odd);
}

static void fits_a_result_to_each_revision(void **state) {
    static const char full[] =
        "{\"content\":[{\"type\":\"text\",\"text\":\"t\"},{\"type\":\"audio\",\"mimeType\":\"m\"},"
        "{\"type\":\"resource_link\",\"name\":\"n\",\"uri\":\"u\"}],\"structuredContent\":{}}";
    static const char list[] = "{\"content\":[],\"structuredContent\":[1]}";

    (void)state;
    became(
        shape_tool_result(revision_find("2024-11-05"), json(full)),
        "{\"content\":[{\"type\":\"text\",\"text\":\"t\"},{\"type\":\"text\",\"text\":\"[audio of type m, which this "
        "client cannot take]\"},{\"type\":\"text\",\"text\":\"Resource n (u)\"}]}");
    became(shape_tool_result(revision_find("2025-03-26"), json(full)),
           "{\"content\":[{\"type\":\"text\",\"text\":\"t\"},{\"type\":\"audio\",\"mimeType\":\"m\"},"
           "{\"type\":\"text\",\"text\":\"Resource n (u)\"}]}");
    became(shape_tool_result(revision_find("2025-06-18"), json(full)), full);
    became(shape_tool_result(revision_find("2025-11-25"), json(list)), "{\"content\":[]}");
    became(shape_tool_result(revision_modern(), json(list)), list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_a_modern_client_what_a_result_is),
        cmocka_unit_test(leaves_alone_what_others_hold),
        cmocka_unit_test(fits_a_tool_to_each_revision),
        cmocka_unit_test(fits_a_result_to_each_revision),
    };

    return cmocka_run_group_tests_name("rpc/shape", tests, NULL, NULL);
}
