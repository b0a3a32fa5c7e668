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
    CLEANUP(free) char *late = registry_late_owner(made->host.registry, "a");
    assert_string_equal(late, "p");
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

static void says_the_flags_of_a_tool_that_is_offered(void **state) {
    char name[] = "a", *const hidden[] = {name, NULL};
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", a_and_b);
    unsigned flags = 77;

    (void)state;
    assert_false(registry_tool_flags(made->host.registry, "c", &flags));
    assert_int_equal(flags, 77);
    assert_true(registry_tool_flags(made->host.registry, "a", &flags));
    assert_int_equal(flags, THESEUS_READ_ONLY);
    assert_true(registry_tool_flags(made->host.registry, "b", &flags));
    assert_int_equal(flags, 0);
    assert_int_equal(registry_pins(made->host.registry, plugin), 0);
    registry_hide(made->host.registry, hidden);
    assert_false(registry_tool_flags(made->host.registry, "a", &flags));
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

static void names_the_rule_that_is_against_a_call(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    char yes[] = "yes", listed[] = "uid:7", denied[] = "a*@uid:8", hidden[] = "a@uid:9";
    char *everybody[] = {yes, NULL}, *one[] = {listed, NULL}, *deny[] = {denied, NULL}, *hide[] = {hidden, NULL};
    struct config config = {.access = {.call = everybody, .deny = deny, .hide = hide}};
    struct registry *registry = made->host.registry;
    char *rule = NULL;

    (void)state;
    assert_int_equal(registry_access(registry, "ab", 8, &rule), REGISTRY_FREE);
    registry_set_access(registry, &config);
    assert_int_equal(registry_access(registry, "b", 8, &rule), REGISTRY_FREE);
    assert_null(rule);
    assert_int_equal(registry_access(registry, "ab", 8, &rule), REGISTRY_DENIED);
    assert_string_equal(rule, "a*@uid:8");
    free(rule);
    assert_int_equal(registry_access(registry, "a://b", 8, &rule), REGISTRY_FREE);
    assert_int_equal(registry_access(registry, "a", 9, &rule), REGISTRY_HIDDEN);
    free(rule);
    assert_true(registry_hides_from(registry, "a", 9));
    assert_false(registry_hides_from(registry, "a", 8));
    config.access.call = one;
    registry_set_access(registry, &config);
    assert_int_equal(registry_access(registry, "b", 8, &rule), REGISTRY_NO_CALLS);
    assert_int_equal(registry_access(registry, "a://b", 8, &rule), REGISTRY_NO_CALLS);
    assert_int_equal(registry_access(registry, "b", 7, &rule), REGISTRY_FREE);
}

static void digest_of(struct made_host *made, char text[static 33]) {
    loop_enter();
    registry_tools_digest(made->host.registry, text);
}

static void tells_a_real_change_from_none(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *first = generation_served(made, "p", a_and_b);
    CLEANUP(generation_made) struct generation *same = generation_made(made, "p", a_and_b);
    CLEANUP(generation_made) struct generation *other = generation_made(made, "p", b_and_c);
    char before[33], after[33];

    (void)state;
    digest_of(made, before);
    assert_int_equal(registry_swap(made->host.registry, first, same, NULL), 0);
    digest_of(made, after);
    assert_string_equal(before, after);
    assert_int_equal(registry_swap(made->host.registry, same, other, NULL), 0);
    digest_of(made, after);
    assert_string_not_equal(before, after);
}

/* What is not listed is not missed: with the rest goes on who asks. */
static void leaves_a_tool_out_whose_schemas_cannot_be_read(void **state) {
    const struct theseus_tool bad = {.name = "ab", .call = nothing, .input_schema = "{"};
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *first = generation_served(made, "p", a_and_b);
    struct tool *tool = NULL;

    (void)state;
    assert_int_equal(tool_new_trusted(&tool, &bad, NULL), 0);
    assert_int_equal(registry_add(made->host.registry, first, tool, NULL), 0);
    log_set_level(LOG_ERROR + 1);
    lists(made, "a b ");
    lists(made, "a b ");
}

static void makes_the_list_ahead_tool_by_tool(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *first = generation_served(made, "p", a_and_b);
    struct tool *trusted = NULL;

    (void)state;
    assert_int_equal(tool_new_trusted(&trusted, &(struct theseus_tool){.name = "t", .call = nothing}, NULL), 0);
    assert_int_equal(registry_add(made->host.registry, first, trusted, NULL), 0);
    assert_null(trusted->input);
    for (int i = 0; i < 3; i++)
        assert_true(registry_list_ahead(made->host.registry));
    assert_non_null(trusted->input);
    assert_false(registry_list_ahead(made->host.registry));
    lists(made, "a b t ");
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

static void makes_a_change_as_a_whole(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *first = generation_served(made, "p", a_and_b);
    struct registry *registry = made->host.registry;

    (void)state;
    registry_begin_change(registry, first);
    assert_int_equal(registry_remove(registry, first, "a", NULL), 0);
    assert_int_equal(registry_remove(registry, first, "b", NULL), 0);
    assert_int_equal(registry_remove(registry, first, "b", NULL), -1);
    struct offer *before = registry_find(registry, "a");
    assert_int_equal(registry_add(registry, first, tool_made("a"), NULL), 0);
    assert_int_equal(registry_add(registry, first, tool_made("n"), NULL), 0);
    assert_int_equal(registry_add(registry, first, tool_made("o"), NULL), 0);
    assert_int_equal(registry_remove(registry, first, "o", NULL), 0);
    lists(made, "a b ");
    struct offer *still = registry_find(registry, "a");
    assert_ptr_equal(still, before);
    assert_null(registry_find(registry, "n"));
    json_auto_t *names = registry_names_new(registry, first);
    assert_int_equal(json_array_size(names), 2);
    registry_end_change(registry, first, true);
    lists(made, "a n ");
    struct offer *after = registry_find(registry, "a");
    assert_ptr_not_equal(after, before);
    registry_release(registry, before);
    registry_release(registry, still);
    registry_release(registry, after);
}

static void drops_a_change_as_a_whole(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *first = generation_served(made, "p", a_and_b);
    CLEANUP(generation_made) struct generation *second = generation_served(made, "q", (struct theseus_tool[]){{0}});
    struct registry *registry = made->host.registry;

    (void)state;
    registry_begin_change(registry, first);
    assert_int_equal(registry_remove(registry, first, "a", NULL), 0);
    assert_int_equal(registry_add(registry, first, tool_made("a"), NULL), 0);
    assert_int_equal(registry_remove(registry, first, "b", NULL), 0);
    assert_int_equal(registry_add(registry, first, tool_made("n"), NULL), 0);
    registry_end_change(registry, first, false);
    lists(made, "a b ");
    assert_int_equal(registry_add(registry, second, tool_made("n"), NULL), 0); /* the name was not kept */
    lists(made, "a b n ");
}

static void keeps_the_names_of_a_change_free(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *first = generation_served(made, "p", a_and_b);
    CLEANUP(generation_made) struct generation *second = generation_served(made, "q", (struct theseus_tool[]){{0}});
    struct registry *registry = made->host.registry;

    (void)state;
    registry_begin_change(registry, first);
    assert_int_equal(registry_add(registry, first, tool_made("n"), NULL), 0);
    struct tool *late = tool_made("n");
    assert_int_equal(registry_add(registry, second, late, NULL), -1);
    (void)tool_free(late);
    assert_true(registry_is_changing(registry, first));
    assert_false(registry_is_changing(registry, second));
    registry_end_change(registry, first, true);
    lists(made, "a b n ");
}

static void takes_no_more_tools_than_a_plugin_may_have(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *first = generation_served(made, "p", a_and_b);
    struct registry *registry = made->host.registry;
    struct theseus_error err = {0};

    (void)state;
    for (int i = 2; i < LIMIT_TOOLS_PER_PLUGIN; i++) {
        CLEANUP(free) char *name = xasprintf("t%d", i);
        assert_int_equal(registry_add(registry, first, tool_made(name), NULL), 0);
    }
    struct tool *more = tool_made("more");
    assert_int_equal(registry_add(registry, first, more, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_string_equal(err.message, "tool 'more' is one too many: plugin 'p' has 1024, and that is the most");
    assert_int_equal(registry_remove(registry, first, "a", NULL), 0);
    assert_int_equal(registry_add(registry, first, more, NULL), 0);
}

static void count(void *arg) {
    ++*(int *)arg;
}

static void tells_once_of_names_that_somebody_was_refused(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *first = generation_served(made, "p", a_and_b);
    CLEANUP(generation_made) struct generation *second = generation_made(made, "q", b_and_c);
    struct registry *registry = made->host.registry;
    int freed = 0;
    struct loop_task task = {.run = count, .arg = &freed};

    (void)state;
    registry_on_free(registry, made->host.loop, &task);
    assert_int_equal(registry_swap(registry, NULL, second, NULL), -1); /* wants b */
    CLEANUP(free) char *owner = registry_other_owner(registry, "a", "q");
    assert_string_equal(owner, "p");
    assert_null(registry_other_owner(registry, "a", "p"));
    assert_null(registry_other_owner(registry, "z", "p"));
    assert_false(registry_has_freed(registry));
    assert_int_equal(registry_swap(registry, first, NULL, NULL), 0);
    assert_true(registry_has_freed(registry));
    until(made->host.loop, freed == 1);
    registry_take_freed(registry);
    assert_int_equal(registry_swap(registry, NULL, first, NULL), 0); /* nobody wants anything */
    assert_int_equal(registry_swap(registry, first, NULL, NULL), 0);
    (void)loop_turn(made->host.loop, 0);
    assert_false(registry_has_freed(registry));
    assert_int_equal(freed, 1);
    registry_on_free(registry, NULL, NULL);
}

static void released(void *data) {
    ++*(int *)data;
}

static void gives_data_back_when_the_last_call_is_over(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *first = generation_served(made, "p", a_and_b);
    struct registry *registry = made->host.registry;
    struct tool *tool = tool_made("n");
    int times = 0;

    (void)state;
    tool->data = &times;
    tool->release = released;
    assert_int_equal(registry_add(registry, first, tool, NULL), 0);
    struct offer *offer = registry_find(registry, "n");
    assert_int_equal(registry_remove(registry, first, "n", NULL), 0);
    assert_int_equal(times, 0);
    registry_release(registry, offer);
    assert_int_equal(times, 1);
    assert_int_equal(registry_pins(registry, first), 0);
}

/* One tool "t", whose data is the one word that its schema takes. */
struct version {
    const char *word, *schema;
    atomic_int refs;
};

static struct version versions[] = {
    {.word = "one", .schema = "{\"type\":\"object\",\"properties\":{\"w\":{\"enum\":[\"one\",\"both\"]}}}"},
    {.word = "two", .schema = "{\"type\":\"object\",\"properties\":{\"w\":{\"enum\":[\"two\",\"both\"]}}}"},
};

static void release_version(void *data) {
    (void)atomic_fetch_sub(&((struct version *)data)->refs, 1);
}

static int says_mismatch(struct theseus_call *call, void *self, const json_t *args) {
    const struct version *version = theseus_tool_data(call);
    const char *word = json_string_value(json_object_get(args, "w"));

    (void)self;
    if (version->refs <= 0 || (strcmp(word, "both") != 0 && strcmp(word, version->word) != 0))
        return theseus_reply_text(call, "mismatch");
    return theseus_reply_text(call, "ran");
}

static void add_version(struct generation *generation, struct version *version) {
    const struct theseus_tool declared = {.name = "t",
                                          .input_schema = version->schema,
                                          .call = says_mismatch,
                                          .data = version,
                                          .release = release_version};

    (void)atomic_fetch_add(&version->refs, 1);
    assert_int_equal(theseus_tool_add(&generation->ctx, &declared), 0);
}

struct changing {
    struct generation *generation;
    atomic_bool stop;
    atomic_int changes;
};

/* As a plugin's `configure` does it, on a thread that is not the loop's. Each third change is dropped. */
static void *keep_changing(void *arg) {
    struct changing *changing = arg;
    struct generation *generation = changing->generation;
    int present = 0;

    while (!atomic_load(&changing->stop)) {
        bool make = (atomic_fetch_add(&changing->changes, 1) + 1) % 3 > 0;
        registry_begin_change(generation->host->registry, generation);
        (void)theseus_tool_remove(&generation->ctx, "t");
        add_version(generation, &versions[!present]);
        registry_end_change(generation->host->registry, generation, make);
        present = make ? !present : present;
    }
    return NULL;
}

static void never_runs_a_call_with_what_its_arguments_were_not_checked_for(void **state) {
    static const char *const words[] = {"{\"w\":\"one\"}", "{\"w\":\"two\"}", "{\"w\":\"both\"}"};
    CLEANUP(made_host_free) struct made_host *made = made_host_new(4);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", (struct theseus_tool[]){{0}});
    struct changing changing = {.generation = plugin};
    int ran = 0, refused = 0;
    pthread_t thread;

    (void)state;
    made->host.tools_touched = count;
    made->host.arg = &(int){0};
    plugin->ctx.host = &host_table;
    add_version(plugin, &versions[0]);
    assert_int_equal(pthread_create(&thread, NULL, keep_changing, &changing), 0);
    for (int i = 0; i < 10000 || atomic_load(&changing.changes) <= 100; i++) {
        const char *args = words[i % ARRAY_SIZE(words)];
        made_end(made, made_call_args(made, "t", args));
        CLEANUP(free) char *said = owner_said(made->owner);
        bool did_run = strstr(said, "\"ran\"") != NULL;
        ran += did_run;
        refused += !did_run;
        assert_null(strstr(said, "mismatch"));
        assert_true(did_run || strstr(said, "invalid arguments"));
        assert_true(did_run || i % 3 != 2); /* what both take never fails */
    }
    atomic_store(&changing.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(ran > 3500 && refused > 100);                                  /* more than what both take */
    until(made->owner->loop, registry_pins(made->host.registry, plugin) == 0); /* a worker may still be leaving */
    assert_int_equal(theseus_tool_remove(&plugin->ctx, "t"), 0);
    assert_int_equal(versions[0].refs + versions[1].refs, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchanges_all_tools_at_once),
        cmocka_unit_test(refuses_a_name_that_is_another_plugins),
        cmocka_unit_test(keeps_a_generation_pinned_while_it_is_used),
        cmocka_unit_test(says_the_flags_of_a_tool_that_is_offered),
        cmocka_unit_test(hides_what_patterns_name),
        cmocka_unit_test(names_the_rule_that_is_against_a_call),
        cmocka_unit_test(tells_a_real_change_from_none),
        cmocka_unit_test(leaves_a_tool_out_whose_schemas_cannot_be_read),
        cmocka_unit_test(makes_the_list_ahead_tool_by_tool),
        cmocka_unit_test(adds_and_removes_while_it_serves),
        cmocka_unit_test(makes_a_change_as_a_whole),
        cmocka_unit_test(drops_a_change_as_a_whole),
        cmocka_unit_test(keeps_the_names_of_a_change_free),
        cmocka_unit_test(takes_no_more_tools_than_a_plugin_may_have),
        cmocka_unit_test(tells_once_of_names_that_somebody_was_refused),
        cmocka_unit_test(gives_data_back_when_the_last_call_is_over),
        cmocka_unit_test(never_runs_a_call_with_what_its_arguments_were_not_checked_for),
    };

    return cmocka_run_group_tests_name("plugin/registry", tests, NULL, NULL);
}
