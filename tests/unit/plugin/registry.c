#include "test.h"

#include "plugin/registry.h"

#include "plugin/made.h"

static int nothing(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_text(call, "nothing");
}

static const struct theseus_tool a_and_b[] = {{.name = "b", .description = "B", .call = nothing},
                                              {.name = "a", .flags = THESEUS_READ_ONLY, .call = nothing},
                                              {0}};
static const struct theseus_tool b_and_c[] = {{.name = "b", .call = nothing}, {.name = "c", .call = nothing}, {0}};

static void lists(struct made_host *made, const char *names) {
    json_auto_t *list = registry_list_new(made->host.registry);
    CLEANUP(buf_fini) struct buf all = {0};
    json_t *entry;
    size_t i;

    json_array_foreach (list, i, entry)
        assert_int_equal(buf_printf(&all, NULL, "%s ", json_string_value(json_object_get(entry, "name"))), 0);
    assert_true(span_equals(buf_span(&all), names));
}

static struct generation *owner_of(struct made_host *made, const char *name) {
    struct offer *offer = registry_find(made->host.registry, name);
    struct generation *generation = offer ? offer->generation : NULL;

    if (offer)
        registry_release(made->host.registry, offer);
    return generation;
}

static void exchanges_all_tools_at_once(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *first = generation_served(made, "p", a_and_b);
    CLEANUP(generation_made) struct generation *second = generation_made(made, "p", b_and_c);

    (void)state;
    lists(made, "a b ");
    assert_ptr_equal(owner_of(made, "b"), first);
    assert_int_equal(registry_swap(made->host.registry, first, second, NULL), 0);
    lists(made, "b c ");
    assert_ptr_equal(owner_of(made, "b"), second);
    assert_null(owner_of(made, "a"));
    assert_string_equal(registry_late_owner(made->host.registry, "a"), "p");
    assert_null(registry_late_owner(made->host.registry, "z"));
    assert_int_equal(registry_swap(made->host.registry, second, NULL, NULL), 0);
    lists(made, "");
}

static void refuses_a_name_that_is_another_plugins(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *first = generation_served(made, "first", a_and_b);
    CLEANUP(generation_made) struct generation *second = generation_made(made, "second", b_and_c);
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(registry_swap(made->host.registry, NULL, second, &err), -1);
    assert_int_equal(err.code, ERR_BUSY);
    assert_string_equal(err.message, "tool 'b' is already offered by plugin 'first'");
    lists(made, "a b "); /* nothing of the other came in */
    assert_int_equal(registry_swap(made->host.registry, first, NULL, NULL), 0);
    assert_int_equal(registry_swap(made->host.registry, NULL, second, NULL), 0);
    lists(made, "b c ");
}

static void keeps_a_generation_pinned_while_it_is_used(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *first = generation_served(made, "p", a_and_b);
    struct registry *registry = made->host.registry;

    (void)state;
    struct offer *one = registry_find(registry, "a"), *two = registry_find(registry, "a");
    assert_ptr_equal(one, two);
    assert_int_equal(registry_pins(registry, first), 2);
    assert_int_equal(registry_set_waiting(registry, first, true, false), 2);
    assert_int_equal(registry_swap(registry, first, NULL, NULL), 0);
    registry_clear(registry, first);
    assert_string_equal(one->tool->name, "a"); /* still there for whoever has it */
    registry_release(registry, one);
    (void)loop_turn(made->host.loop, 0);
    assert_int_equal(made->idle, 0);
    registry_release(registry, two);
    until(made->host.loop, made->idle == 1);
    registry_pin(registry, first);
    registry_unpin(registry, first);
    until(made->host.loop, made->idle == 2);
}

static void hides_what_patterns_name(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *first = generation_served(made, "p", a_and_b);
    char *patterns[] = {(char[]){"x*"}, (char[]){"[ac]"}, NULL};

    (void)state;
    (void)first;
    registry_hide(made->host.registry, patterns);
    lists(made, "b ");
    assert_null(registry_find(made->host.registry, "a"));
    registry_hide(made->host.registry, NULL);
    lists(made, "a b ");
    registry_hide(made->host.registry, (char *[]){(char[]){"*"}, NULL});
    lists(made, "");
}

static void tells_a_real_change_from_none(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *first = generation_served(made, "p", a_and_b);
    CLEANUP(generation_made) struct generation *same = generation_made(made, "p", a_and_b);
    CLEANUP(generation_made) struct generation *other = generation_made(made, "p", b_and_c);
    char before[33], after[33];

    (void)state;
    registry_digest(made->host.registry, before);
    assert_int_equal(registry_swap(made->host.registry, first, same, NULL), 0);
    registry_digest(made->host.registry, after);
    assert_string_equal(before, after);
    assert_int_equal(registry_swap(made->host.registry, same, other, NULL), 0);
    registry_digest(made->host.registry, after);
    assert_string_not_equal(before, after);
}

static struct tool *tool_made(const char *name) {
    const struct theseus_tool declared = {.name = name, .call = nothing};
    struct tool *tool = NULL;

    assert_int_equal(tool_new(&tool, &declared, NULL), 0);
    return tool;
}

static void adds_and_removes_while_it_serves(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *first = generation_served(made, "p", a_and_b);
    CLEANUP(generation_made) struct generation *second = generation_served(made, "q", (struct theseus_tool[]){{0}});
    struct registry *registry = made->host.registry;
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(registry_add(registry, second, tool_made("n"), NULL), 0);
    lists(made, "a b n ");
    struct tool *again = tool_made("n"), *others = tool_made("a");
    assert_int_equal(registry_add(registry, second, again, &err), -1);
    assert_string_equal(err.message, "tool 'n' is there already");
    assert_int_equal(registry_add(registry, second, others, NULL), -1);
    (void)tool_free(again);
    (void)tool_free(others);
    err = (struct theseus_error){0};
    assert_int_equal(registry_remove(registry, first, "n", &err), -1); /* it is not its own */
    assert_int_equal(err.code, ERR_MISSING);
    assert_int_equal(registry_remove(registry, second, "n", NULL), 0);
    lists(made, "a b ");
}

static void exchanges_a_tool_without_a_gap(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *first = generation_served(made, "p", a_and_b);
    struct registry *registry = made->host.registry;

    (void)state;
    registry_begin_change(registry, first);
    assert_int_equal(registry_remove(registry, first, "a", NULL), 0);
    assert_int_equal(registry_remove(registry, first, "b", NULL), 0);
    lists(made, "a b ");
    assert_int_equal(registry_remove(registry, first, "b", NULL), -1);
    assert_int_equal(registry_add(registry, first, tool_made("a"), NULL), 0);
    lists(made, "a b ");
    registry_end_change(registry, first);
    lists(made, "a ");
}

static void says_what_a_flag_means(void **state) {
    static const struct {
        unsigned flags;
        const char *annotations;
    } rows[] = {
        {0, "[false,true,false,false]"},
        {THESEUS_READ_ONLY, "[true,false,true,false]"},
        {THESEUS_IDEMPOTENT, "[false,false,true,false]"},
        {THESEUS_DESTRUCTIVE | THESEUS_IDEMPOTENT, "[false,true,true,false]"},
        {THESEUS_OPEN_WORLD, "[false,true,false,true]"},
        {THESEUS_READ_ONLY | THESEUS_OPEN_WORLD, "[true,false,true,true]"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
        const struct theseus_tool tools[] = {{.name = "t", .flags = rows[i].flags, .call = nothing}, {0}};
        CLEANUP(generation_made) struct generation *generation = generation_served(made, "p", tools);
        (void)generation;
        json_auto_t *list = registry_list_new(made->host.registry);
        json_t *said = json_object_get(json_array_get(list, 0), "annotations");
        json_auto_t *flat =
            json_pack("[O,O,O,O]", json_object_get(said, "readOnlyHint"), json_object_get(said, "destructiveHint"),
                      json_object_get(said, "idempotentHint"), json_object_get(said, "openWorldHint"));
        CLEANUP(free) char *text = json_dumps(flat, JSON_COMPACT);
        assert_string_equal(text, rows[i].annotations);
    }
}

static void gives_turns_in_order(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *first = generation_served(made, "p", a_and_b);
    struct registry *registry = made->host.registry;
    struct list second = {0}, third = {0};

    (void)state;
    (void)first;
    struct offer *offer = registry_find(registry, "a");
    assert_true(registry_serial_enter(registry, offer, NULL));
    assert_false(registry_serial_enter(registry, offer, &second));
    assert_false(registry_serial_enter(registry, offer, &third));
    assert_false(registry_serial_enter(registry, offer, NULL));
    assert_ptr_equal(registry_serial_leave(registry, offer), &second);
    assert_ptr_equal(registry_serial_leave(registry, offer), &third);
    assert_false(registry_serial_enter(registry, offer, NULL));
    assert_null(registry_serial_leave(registry, offer));
    assert_true(registry_serial_enter(registry, offer, NULL));
    assert_null(registry_serial_leave(registry, offer));
    registry_release(registry, offer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchanges_all_tools_at_once),
        cmocka_unit_test(refuses_a_name_that_is_another_plugins),
        cmocka_unit_test(keeps_a_generation_pinned_while_it_is_used),
        cmocka_unit_test(hides_what_patterns_name),
        cmocka_unit_test(tells_a_real_change_from_none),
        cmocka_unit_test(adds_and_removes_while_it_serves),
        cmocka_unit_test(exchanges_a_tool_without_a_gap),
        cmocka_unit_test(says_what_a_flag_means),
        cmocka_unit_test(gives_turns_in_order),
    };

    return cmocka_run_group_tests_name("plugin/registry", tests, NULL, NULL);
}
