#include "test.h"

#include "server/quarantine.h"

#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "config/config.h"
#include "plugin/fate.h"
#include "plugin/fixture.h"
#include "plugin/shelf.h"

#define SECOND INT64_C(1000000000)

/* Decides on one crash after another, as the images do that follow each other. */
struct scene {
    char *place; /* owned: the state directory */
    struct ledger *ledger;
    struct config config;
    struct crash_note note;
    struct verdict verdict;
};

/* The rules: limit 3 in 60 s; new for 60 s or 100 calls. */
static struct scene *scene_new(void) {
    struct scene *scene = xcalloc(1, sizeof(*scene));

    scene->place = place_new();
    scene->ledger = ledger_new();
    scene->config.server.state_dir = scene->place;
    scene->config.crash.limit = 3;
    scene->config.crash.window = 60;
    scene->config.crash.probation = 60;
    scene->config.crash.probation_calls = 100;
    scene->note.at_ns = clock_now_ns() + 3600 * SECOND;
    scene->note.signum = SIGSEGV;
    (void)snprintf(scene->note.plugin, sizeof(scene->note.plugin), "x");
    (void)snprintf(scene->note.version, sizeof(scene->note.version), "2.0");
    (void)snprintf(scene->note.hash, sizeof(scene->note.hash), "bad");
    (void)snprintf(scene->note.tool, sizeof(scene->note.tool), "boom");
    return scene;
}

static void scene_free_cleanup(struct scene **held) {
    struct scene *scene = *held;

    (void)ledger_free(scene->ledger);
    place_fini_cleanup(&scene->place);
    free(scene);
}

/* An image serves the plugin for so many seconds, and has answered so many calls. */
static void serves(struct scene *scene, const char *hash, int64_t seconds, uint64_t calls) {
    const struct image_record record = {.plugin = span_of("x"),
                                        .file = span_of("/p/x.so"),
                                        .active_path = span_of("/run/x.so"),
                                        .active_hash = span_of(hash),
                                        .generation = 7,
                                        .since_ns = (uint64_t)(scene->note.at_ns - seconds * SECOND),
                                        .calls = calls,
                                        .version = span_of("2.0"),
                                        .tools = span_of("boom\ncalm\n")};

    assert_int_equal(ledger_put(scene->ledger, &image_kind, &record, NULL), 0);
}

static void is_kept(struct scene *scene, const char *hash, const char *version) {
    CLEANUP(free) char *copy = path_join(scene->place, "copy");
    const struct shelf_image image = {.plugin = "x", .file = "/p/x.so", .version = version, .hash = hash, .path = copy};

    assert_int_equal(fs_write_file(copy, span_of(hash), 0600, NULL), 0);
    assert_int_equal(shelf_keep(scene->place, &image, NULL), 0);
}

/* `after` seconds behind the one before. */
static enum quarantine_next crashes(struct scene *scene, int after) {
    scene->note.at_ns += after * SECOND;
    quarantine_decide(scene->ledger, &scene->config, &scene->note, &scene->verdict);
    return scene->verdict.next;
}

static void read_record(void *arg, const void *recorded) {
    const struct image_record *record = recorded;
    char **text = arg;

    *text = xasprintf("%.*s %.*s stored %d", (int)record->active_hash.len, record->active_hash.data,
                      (int)record->version.len, record->version.data, (int)record->stored);
}

/* "HASH VERSION stored N"; NULL: none serves. Owned. */
static char *serving(struct scene *scene) {
    const struct image_record record = {.plugin = span_of("x")};
    char *text = NULL;

    (void)ledger_find(scene->ledger, &image_kind, &record, read_record, &text);
    return text;
}

static void assert_serving(struct scene *scene, const char *wanted) {
    CLEANUP(free) char *text = serving(scene);

    if (wanted)
        assert_string_equal(text, wanted);
    else
        assert_null(text);
}

static void reverts_at_the_limit(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    CLEANUP(ban_fini) struct ban ban = {0};

    (void)state;
    is_kept(scene, "good", "1.0");
    serves(scene, "bad", 3600, 0);
    assert_int_equal(crashes(scene, 0), QUARANTINE_STILL_THERE);
    assert_int_equal(crashes(scene, 1), QUARANTINE_STILL_THERE);
    assert_serving(scene, "bad 2.0 stored 0");
    assert_int_equal(crashes(scene, 1), QUARANTINE_REVERTED);
    assert_int_equal(scene->verdict.crashes, 3);
    assert_string_equal(scene->verdict.good_version, "1.0");
    assert_serving(scene, "good 1.0 stored 1");
    assert_true(ban_find(scene->ledger, "bad", &ban));
    assert_string_equal(ban.signal, "SIGSEGV");
    assert_string_equal(ban.where, "tool 'boom'");
    assert_int_equal(json_array_size(ban.tools), 2);
}

static void counts_only_within_the_window(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    serves(scene, "bad", 3600, 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(crashes(scene, 31), QUARANTINE_STILL_THERE); /* never three in 60 s */
    assert_int_equal(crashes(scene, 1), QUARANTINE_UNLOADED);
    assert_serving(scene, NULL);
}

static void counts_by_the_image_and_not_by_the_plugin(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    scene->config.crash.limit = 2;
    serves(scene, "bad", 3600, 0);
    assert_int_equal(crashes(scene, 0), QUARANTINE_STILL_THERE);
    serves(scene, "other", 3600, 0);
    (void)snprintf(scene->note.hash, sizeof(scene->note.hash), "other");
    assert_int_equal(crashes(scene, 1), QUARANTINE_STILL_THERE);
    assert_int_equal(crashes(scene, 1), QUARANTINE_UNLOADED);
}

static void reverts_at_once_what_is_younger_than_both(void **state) {
    static const struct {
        int seconds, calls;
        enum quarantine_next next;
    } cases[] = {
        {0, 0, QUARANTINE_UNLOADED},       {59, 99, QUARANTINE_UNLOADED},     {60, 99, QUARANTINE_STILL_THERE},
        {59, 100, QUARANTINE_STILL_THERE}, {60, 100, QUARANTINE_STILL_THERE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(scene_free) struct scene *scene = scene_new();
        serves(scene, "bad", cases[i].seconds, (uint64_t)cases[i].calls);
        assert_int_equal(crashes(scene, 0), cases[i].next);
        assert_int_equal(scene->verdict.probation, cases[i].next == QUARANTINE_UNLOADED);
    }
}

static void switches_each_rule_off_with_0(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    int *const rules[] = {&scene->config.crash.limit, &scene->config.crash.window};
    int *const probation[] = {&scene->config.crash.probation, &scene->config.crash.probation_calls};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        int before = *rules[i];
        *rules[i] = 0;
        serves(scene, "bad", 3600, 0);
        for (int k = 0; k < 200; k++)
            assert_int_equal(crashes(scene, 0), QUARANTINE_STILL_THERE);
        *rules[i] = before;
        scene->note.at_ns += 3600 * SECOND;
    }
    for (size_t i = 0; i < ARRAY_SIZE(probation); i++) {
        int before = *probation[i];
        *probation[i] = 0;
        scene->note.at_ns += 3600 * SECOND;
        serves(scene, "bad", 0, 0);
        assert_int_equal(crashes(scene, 0), QUARANTINE_STILL_THERE);
        *probation[i] = before;
    }
}

/* The file was never served: what was served before goes on. */
static void bans_what_crashes_before_it_serves(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    CLEANUP(ban_fini) struct ban ban = {0};

    (void)state;
    serves(scene, "old", 3600, 1000);
    scene->note.tool[0] = '\0';
    (void)snprintf(scene->note.slot, sizeof(scene->note.slot), "start");
    assert_int_equal(crashes(scene, 0), QUARANTINE_REVERTED);
    assert_serving(scene, "old 2.0 stored 0");
    assert_true(ban_find(scene->ledger, "bad", &ban));
    assert_string_equal(ban.good_hash, "old");
    assert_string_equal(ban.where, "its 'start'");
}

/* It is on its way out, and was replaced. */
static void leaves_an_older_generation_to_its_end(void **state) {
    static const char *const slots[] = {"", "stop", "save", "thread"};
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    serves(scene, "new", 3600, 1000);
    for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
        (void)snprintf(scene->note.slot, sizeof(scene->note.slot), "%s", slots[i]);
        for (int k = 0; k < 5; k++)
            assert_int_equal(crashes(scene, 0), QUARANTINE_STILL_THERE);
    }
    assert_serving(scene, "new 2.0 stored 0");
}

static void never_goes_back_to_what_is_banned_itself(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    scene->config.crash.limit = 1;
    is_kept(scene, "first", "1.0");
    is_kept(scene, "bad", "2.0");
    serves(scene, "bad", 3600, 1000);
    assert_int_equal(crashes(scene, 0), QUARANTINE_REVERTED);
    assert_serving(scene, "first 1.0 stored 1");
    (void)snprintf(scene->note.hash, sizeof(scene->note.hash), "first");
    assert_int_equal(crashes(scene, 0), QUARANTINE_UNLOADED);
    assert_serving(scene, NULL);
}

/* In a process of its own the rules are the same, and what that did is kept. */
static void counts_the_processes_of_plugins_alike(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    CLEANUP(ban_fini) struct ban ban = {0};
    const struct plugin_crash crash = {.note = &scene->note, .how = "ended by itself (exit status 3)", .remark = ""};
    struct verdict *verdict = &scene->verdict;

    (void)state;
    serves(scene, "bad", 3600, 1000);
    scene->note.signum = 0;
    quarantine_decide_apart(scene->ledger, &scene->config, &crash, verdict);
    assert_int_equal(verdict->next, QUARANTINE_STILL_THERE);
    assert_int_equal(crashes(scene, 1), QUARANTINE_STILL_THERE);
    scene->note.at_ns += SECOND;
    quarantine_decide_apart(scene->ledger, &scene->config, &crash, verdict);
    assert_int_equal(verdict->next, QUARANTINE_UNLOADED);
    assert_int_equal(verdict->crashes, 3);
    assert_serving(scene, NULL);
    assert_true(ban_find(scene->ledger, "bad", &ban));
    assert_string_equal(ban.how, "ended by itself (exit status 3)");
    assert_string_equal(ban.signal, "");
}

static void blames_nobody_for_the_servers_own_code(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    scene->config.crash.limit = 1;
    serves(scene, "bad", 0, 0);
    scene->note.plugin[0] = '\0';
    assert_int_equal(crashes(scene, 0), QUARANTINE_STILL_THERE);
    assert_string_equal(scene->verdict.plugin, "");
    assert_serving(scene, "bad 2.0 stored 0");
}

static void says_it_in_the_words_of_the_protocol(void **state) {
    (void)state;
    assert_string_equal(quarantine_next_text(QUARANTINE_STILL_THERE), "still there");
    assert_string_equal(quarantine_next_text(QUARANTINE_REVERTED), "reverted");
    assert_string_equal(quarantine_next_text(QUARANTINE_UNLOADED), "unloaded");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reverts_at_the_limit),
        cmocka_unit_test(counts_only_within_the_window),
        cmocka_unit_test(counts_by_the_image_and_not_by_the_plugin),
        cmocka_unit_test(reverts_at_once_what_is_younger_than_both),
        cmocka_unit_test(switches_each_rule_off_with_0),
        cmocka_unit_test(bans_what_crashes_before_it_serves),
        cmocka_unit_test(leaves_an_older_generation_to_its_end),
        cmocka_unit_test(never_goes_back_to_what_is_banned_itself),
        cmocka_unit_test(counts_the_processes_of_plugins_alike),
        cmocka_unit_test(blames_nobody_for_the_servers_own_code),
        cmocka_unit_test(says_it_in_the_words_of_the_protocol),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
