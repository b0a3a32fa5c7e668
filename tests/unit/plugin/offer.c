#include "test.h"

#include "plugin/offer.h"

#include <theseus/plugin.h>

static int nothing(struct theseus_call *call, void *self, const json_t *args) {
    (void)call;
    (void)self;
    (void)args;
    return THESEUS_DONE;
}

/* Each combination of the first four that a tool may have. */
static void says_what_a_flag_means(void **state) {
    static const struct {
        unsigned flags;
        const char *annotations;
    } rows[] = {
        {0, "[false,true,false,false]"},
        {THESEUS_READ_ONLY, "[true,false,true,false]"},
        {THESEUS_IDEMPOTENT, "[false,false,true,false]"},
        {THESEUS_DESTRUCTIVE | THESEUS_IDEMPOTENT, "[false,true,true,false]"},
        {THESEUS_IDEMPOTENT | THESEUS_KEYED, "[false,false,false,false]"},
        {THESEUS_DESTRUCTIVE, "[false,true,false,false]"},
        {THESEUS_OPEN_WORLD, "[false,false,false,true]"},
        {THESEUS_READ_ONLY | THESEUS_IDEMPOTENT, "[true,false,true,false]"},
        {THESEUS_READ_ONLY | THESEUS_OPEN_WORLD, "[true,false,true,true]"},
        {THESEUS_READ_ONLY | THESEUS_IDEMPOTENT | THESEUS_OPEN_WORLD, "[true,false,true,true]"},
        {THESEUS_IDEMPOTENT | THESEUS_OPEN_WORLD, "[false,false,true,true]"},
        {THESEUS_DESTRUCTIVE | THESEUS_OPEN_WORLD, "[false,true,false,true]"},
        {THESEUS_DESTRUCTIVE | THESEUS_IDEMPOTENT | THESEUS_OPEN_WORLD, "[false,true,true,true]"},
        {THESEUS_SERIAL | THESEUS_LONG, "[false,true,false,false]"},
    };

    (void)state;
    loop_enter();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct theseus_tool declared = {.name = "t", .flags = rows[i].flags, .call = nothing};
        struct tool *tool = NULL;
        assert_int_equal(tool_new(&tool, &declared, NULL), 0);
        struct offer *offer = offer_new(NULL, tool);
        json_t *said = json_object_get(offer_entry(offer), "annotations");
        json_auto_t *flat =
            json_pack("[O,O,O,O]", json_object_get(said, "readOnlyHint"), json_object_get(said, "destructiveHint"),
                      json_object_get(said, "idempotentHint"), json_object_get(said, "openWorldHint"));
        CLEANUP(free) char *text = json_dumps(flat, JSON_COMPACT);
        assert_string_equal(text, rows[i].annotations);
        assert_null(offer_free(offer));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_a_flag_means),
    };

    return cmocka_run_group_tests_name("plugin/offer", tests, NULL, NULL);
}
