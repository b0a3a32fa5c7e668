/*
 * Good candidates are the real server beside us. Bad ones are this program itself, which then does what the environment
 * says; and what lies around in a system.
 */
#include "test.h"

#include "server/preflight.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/hash.h"
#include "loop/until.h"
#include "plugin/fixture.h"
#include "store/migrate.h"
#include "store/schema.h"
#include "store/store.h"

#define FAKE "THESEUS_TEST_CANDIDATE"

enum { GENEROUS_MS = 60000, SHORT_MS = 400 };
enum { LOADS_MS = 4000 }; /* more than a server takes to begin with a plugin, also where the machine stalls */

/* ---- the candidate that this program can be ---- */

static int be_candidate(const char *what) {
    (void)signal(SIGSEGV, SIG_DFL);
    if (strcmp(what, "hang") == 0)
        (void)pause();
    if (strcmp(what, "crash") == 0)
        (void)raise(SIGSEGV);
    if (strcmp(what, "words") == 0) {
        (void)fputs("first words\nlibnowhere.so.7: cannot open\n", stderr);
        return 127;
    }
    if (strcmp(what, "digest") == 0)
        (void)puts("{\"version\":\"7.0\",\"digest\":\"0123456789abcdef\"}");
    if (strcmp(what, "no digest") == 0)
        (void)puts("{\"version\":\"7.0\"}");
    if (strcmp(what, "noise") == 0)
        (void)puts("[1]\n\nhello\n{\"digest\":7}");
    if (strcmp(what, "reports and crashes") == 0) {
        (void)puts("{\"version\":\"7.0\",\"digest\":\"0123456789abcdef\"}");
        (void)fflush(stdout);
        (void)raise(SIGSEGV);
    }
    return 0;
}

/* ---- a server that is going to be replaced ---- */

struct scene {
    char *place, *ini, *state, *tmp; /* owned */
    struct loop *loop;
    struct ledger *ledger;
    struct binary binary;
    struct preflight *preflight;
    int limit_ms;
    bool over;
    char *version, *error, *lost, *migrations, *problems; /* owned: what it was told; error NULL: it is good */
};

static void configure(const struct scene *scene, const char *more) {
    CLEANUP(free)
    char *text = xasprintf("[server]\nstate_dir = %s\nruntime_dir = %s/run\n%s", scene->state, scene->place, more);

    write_bytes(scene->ini, text, strlen(text));
}

static struct scene *scene_new(void) {
    struct scene *scene = xcalloc(1, sizeof(*scene));

    loop_enter();
    *scene = (struct scene){.place = place_new(), .loop = loop_new(), .ledger = ledger_new(), .limit_ms = GENEROUS_MS};
    scene->ini = path_join(scene->place, "theseus.ini");
    scene->state = path_join(scene->place, "state");
    scene->tmp = path_join(scene->place, "tmp");
    scene->binary.fd = -1;
    assert_int_equal(mkdir(scene->tmp, 0700), 0);
    assert_int_equal(setenv("TMPDIR", scene->tmp, 1), 0);
    configure(scene, "");
    return scene;
}

static bool is_empty_dir(const char *path) {
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, NULL);

    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return count == 2;
}

static void scene_free_cleanup(struct scene **held) {
    struct scene *scene = *held;

    loop_enter();
    scene->preflight = preflight_free(scene->preflight);
    scene->ledger = ledger_free(scene->ledger);
    scene->loop = loop_free(scene->loop);
    assert_true(is_empty_dir(scene->tmp));
    assert_int_equal(waitpid(-1, NULL, 0), -1); /* no child is left */
    binary_close(&scene->binary);
    (void)unsetenv(FAKE);
    (void)unsetenv("TMPDIR");
    place_fini_cleanup(&scene->place);
    free(scene->ini);
    free(scene->state);
    free(scene->tmp);
    free(scene->version);
    free(scene->error);
    free(scene->lost);
    free(scene->migrations);
    free(scene->problems);
    free(scene);
}

static char *text_of_rows(const json_t *rows) {
    char *text = json_dumps(rows, JSON_COMPACT);

    return text ? text : xstrdup("none");
}

static void on_done(void *arg, const struct preflight_result *result, const struct theseus_error *err) {
    struct scene *scene = arg;

    loop_enter();
    scene->over = true;
    scene->version = result->version ? xstrdup(result->version) : NULL;
    scene->error = err ? xstrdup(err->message) : NULL;
    scene->lost = text_of_rows(result->plugins);
    scene->migrations = text_of_rows(result->migrations);
    scene->problems = text_of_rows(result->problems);
    assert_true(is_empty_dir(scene->tmp)); /* already: if the candidate is executed now, nobody frees anything */
    scene->preflight = preflight_free(scene->preflight);
}

static void start(struct scene *scene, const char *path) {
    char *argv[] = {(char[]){"theseus"}, (char[]){"serve"}, (char[]){"-c"}, scene->ini, NULL};
    struct theseus_error err = {0};

    loop_enter();
    if (binary_open(&scene->binary, path, &err) < 0)
        test_failed("%s", err.message);
    struct preflight_spec spec = {
        .ledger = scene->ledger, .binary = &scene->binary, .argv = argv, .limit_ms = scene->limit_ms};
    if (preflight_start(&scene->preflight, scene->loop, &spec, on_done, scene, &err) < 0)
        test_failed("%s", err.message);
}

static void examine(struct scene *scene, const char *path) {
    start(scene, path);
    until(scene->loop, scene->over);
}

static void examine_server(struct scene *scene) {
    char exe[4096] = {0};

    assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
    CLEANUP(free) char *dir = path_dir(exe);
    CLEANUP(free) char *path = xasprintf("%s/../../../theseus", dir);
    examine(scene, path);
}

/* The end of what is said of a candidate that does `what`. */
static void expect_of_fake(struct scene *scene, const char *what, const char *why) {
    assert_int_equal(setenv(FAKE, what, 1), 0);
    examine(scene, "/proc/self/exe");
    assert_non_null(scene->error);
    if (strcmp(scene->error + (strncmp(scene->error, "'/proc/self/exe' ", 17) == 0 ? 17 : 0), why) != 0)
        test_failed("'%s' instead of '%s'", scene->error, why);
}

/* Records that the fixture serves, as the plugin `name`. */
static void serve_file(struct scene *scene, const char *name, const char *fixture, const char *file) {
    CLEANUP(free) char *path = fixture_path(fixture);
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    char hash[HASH_TEXT_BYTES];

    assert_int_equal(hash_fd(fd, hash, NULL), 0);
    struct image_record record = {.plugin = span_of(name),
                                  .file = span_of(file),
                                  .active_path = span_of(path),
                                  .active_hash = span_of(hash),
                                  .generation = 1};
    assert_int_equal(ledger_put(scene->ledger, &image_kind, &record, NULL), 0);
}

static void serve_fixture(struct scene *scene, const char *name, const char *fixture) {
    CLEANUP(free) char *path = fixture_path(fixture);

    serve_file(scene, name, fixture, path);
}

static void expect_error(const struct scene *scene, const char *why) {
    if (!scene->error || !strstr(scene->error, why))
        test_failed("'%s' instead of '%s'", scene->error ? scene->error : "good", why);
}

static void expect_good(const struct scene *scene) {
    if (scene->error)
        test_failed("%s", scene->error);
    assert_string_equal(scene->version, THESEUS_VERSION);
}

/* ---- candidates ---- */

static void finds_the_same_server_good(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    serve_fixture(scene, "version", "version1");
    serve_fixture(scene, "counter", "counter");
    examine_server(scene);
    expect_good(scene);
    assert_string_equal(scene->lost, "[{\"name\":\"counter\"},{\"name\":\"version\"}]");
    assert_string_equal(scene->migrations, "[]");
    assert_string_equal(scene->problems, "[]");
    assert_int_equal(access(scene->state, F_OK), -1); /* nothing was made */
}

static void takes_no_exit_status_for_a_proof(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    examine(scene, "/bin/true");
    expect_error(scene, "'/bin/true' gave no proof that it is a server that can go on from here");
    assert_null(scene->version);
}

static void tells_the_exit_status(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    examine(scene, "/bin/false");
    expect_error(scene, "'/bin/false' left its examination with exit status 1");
}

static void tells_the_last_words(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    expect_of_fake(scene, "words", "left its examination with exit status 127: libnowhere.so.7: cannot open");
}

static void ends_one_that_hangs(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    scene->limit_ms = SHORT_MS;
    expect_of_fake(scene, "hang", "did not finish its examination within 400 ms");
}

static void tells_the_signal(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    expect_of_fake(scene, "crash", "was ended by SIGSEGV during its examination");
}

static void tells_the_signal_behind_a_report(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    expect_of_fake(scene, "reports and crashes", "was ended by SIGSEGV during its examination");
}

static void wants_the_digest_to_be_ours(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    expect_of_fake(scene, "no digest", "gave no proof that it is a server that can go on from here");
    CLEANUP(scene_free) struct scene *other = scene_new();
    assert_int_equal(setenv(FAKE, "digest", 1), 0);
    examine(other, "/proc/self/exe");
    expect_error(other, "reads the ledger differently (digest 0123456789abcdef instead of ");
    assert_string_equal(other->version, "7.0");
}

static void is_not_confused_by_noise(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    expect_of_fake(scene, "noise", "gave no proof that it is a server that can go on from here");
}

static void can_be_given_up(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    assert_int_equal(setenv(FAKE, "hang", 1), 0);
    start(scene, "/proc/self/exe");
    loop_enter();
    scene->preflight = preflight_free(scene->preflight);
    assert_int_equal(waitpid(-1, NULL, 0), -1);
    assert_false(scene->over);
}

static void fails_where_there_is_no_room(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    char *argv[] = {(char[]){"theseus"}, NULL};
    struct theseus_error err = {0};

    (void)state;
    loop_enter();
    assert_int_equal(binary_open(&scene->binary, "/proc/self/exe", NULL), 0);
    struct preflight_spec spec = {scene->ledger, &scene->binary, argv, GENEROUS_MS};
    assert_int_equal(setenv("TMPDIR", "/nowhere/at/all", 1), 0);
    assert_int_equal(preflight_start(&scene->preflight, scene->loop, &spec, on_done, scene, &err), -1);
    assert_non_null(strstr(err.message, "cannot make a temporary directory '/nowhere/at/all/"));
}

/* ---- plugins ---- */

static void expect_lost(const char *name, const char *fixture, int limit_ms, const char *why) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    CLEANUP(free) char *message = xasprintf("plugin '%s' would be lost: %s", name, why);

    scene->limit_ms = limit_ms;
    serve_fixture(scene, "counter", "counter"); /* sorted before it, or after: that is of no importance */
    serve_fixture(scene, name, fixture);
    examine_server(scene);
    expect_error(scene, message);
    CLEANUP(free) char *row = xasprintf("{\"name\":\"%s\",\"error\":\"", name);
    assert_non_null(strstr(scene->lost, row));
}

static void names_a_plugin_that_would_be_lost(void **state) {
    (void)state;
    expect_lost("abi", "abi", GENEROUS_MS, "was built for ABI ");
    expect_lost("ctorcrash", "ctorcrash", GENEROUS_MS, "it crashed with SIGSEGV when it was loaded");
    expect_lost("ctorexit", "ctorexit", GENEROUS_MS, "it ended the process (exit status ");
    expect_lost("ctorhang", "ctorhang", LOADS_MS, "it did not load within 4000 ms");
    expect_lost("duptool", "duptool", GENEROUS_MS, "has two tools with the name 'twin'");
}

static void names_an_image_that_is_not_what_it_was(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    CLEANUP(free) char *path = fixture_copy(scene->place, "version1");
    struct image_record record = {.plugin = span_of("version"),
                                  .active_path = span_of(path),
                                  .active_hash = span_of("00000000000000000000000000000000")};

    (void)state;
    assert_int_equal(ledger_put(scene->ledger, &image_kind, &record, NULL), 0);
    examine_server(scene);
    expect_error(scene, "plugin 'version' would be lost: its private copy ");
    assert_int_equal(access(path, F_OK), 0); /* it is not ours to remove */
}

static void takes_the_file_where_the_image_does_not_do(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    CLEANUP(free) char *file = fixture_path("version2");

    (void)state;
    serve_file(scene, "version", "abi", file);
    examine_server(scene);
    expect_good(scene);
}

static void leaves_out_a_plugin_that_is_disabled(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    configure(scene, "[plugins]\ndisable = ab*\n");
    serve_fixture(scene, "abi", "abi");
    examine_server(scene);
    expect_good(scene);
    assert_string_equal(scene->lost, "[]");
}

/* ---- the configuration ---- */

static void tells_every_problem_of_the_configuration(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    configure(scene, "worker = 3\nlog_level = loud\n");
    examine_server(scene);
    expect_error(scene, "theseus.ini:4: ");
    CLEANUP(free) char *first = xasprintf("[{\"file\":\"%s\",\"line\":4,\"text\":\"", scene->ini);
    assert_non_null(strstr(scene->problems, first));
    assert_non_null(strstr(scene->problems, "\"line\":5,"));
}

static void tells_a_setting_that_a_plugin_would_refuse(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    configure(scene, "[plugin:config]\nnumber = many\n");
    serve_fixture(scene, "config", "config");
    examine_server(scene);
    expect_error(scene, "plugin 'config' would be lost: ");
    expect_error(scene, "theseus.ini:5: ");
}

/* ---- the database ---- */

static const char *const first_steps[] = {
    "CREATE TABLE fixture_values (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT", NULL};

static struct store *make_database(const struct scene *scene, const char *component, const char *const *steps) {
    CLEANUP(free) char *path = path_join(scene->state, "theseus.db");
    struct store *store = store_new(path);
    struct theseus_error err = {0};

    if (store_migrate(store, component, steps, &err) < 0)
        test_failed("%s", err.message);
    return store;
}

static void note_steps(void *arg, const char *component, int steps) {
    (void)component;
    *(int *)arg += steps;
}

static void tries_migrations_on_a_copy(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    CLEANUP(store_free) struct store *store = make_database(scene, "database", first_steps); /* it stays open */
    int steps = 0;

    (void)state;
    serve_fixture(scene, "database", "database3");
    examine_server(scene);
    expect_good(scene);
    assert_string_equal(scene->migrations, "[{\"component\":\"database\",\"pending\":2,\"known\":3}]");
    assert_int_equal(store_each_version(store, note_steps, &steps, NULL), 0);
    assert_int_equal(steps, 1); /* the database is as it was */
}

static void tells_the_migration_that_fails(void **state) {
    static const char *const other[] = {"CREATE TABLE fixture_values (other INTEGER) STRICT", NULL};
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    (void)store_free(make_database(scene, "somebody", other));
    serve_fixture(scene, "database", "database");
    examine_server(scene);
    expect_error(scene, "migration of component 'database', step 1: table fixture_values already exists");
    assert_string_equal(scene->migrations, "[{\"component\":\"database\",\"pending\":1,\"known\":1}]");
}

static void touches_no_database_that_is_closed(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    CLEANUP(free) char *path = path_join(scene->state, "theseus.db");
    struct stat before, after, dir_before, dir_after;

    (void)state;
    (void)store_free(make_database(scene, SCHEMA_CORE, schema_core_steps));
    assert_int_equal(stat(path, &before) + stat(scene->state, &dir_before), 0);
    serve_fixture(scene, "database", "database");
    examine_server(scene);
    expect_good(scene);
    assert_string_equal(scene->migrations, "[{\"component\":\"database\",\"pending\":1,\"known\":1}]");
    assert_int_equal(stat(path, &after) + stat(scene->state, &dir_after), 0);
    assert_memory_equal(&before.st_ctim, &after.st_ctim, sizeof(before.st_ctim));
    assert_memory_equal(&dir_before.st_ctim, &dir_after.st_ctim, sizeof(before.st_ctim)); /* nothing beside it either */
}

static void migrates_the_core_only_where_it_is_behind(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    const char *const first[] = {schema_core_steps[0], NULL};

    (void)state;
    (void)store_free(make_database(scene, SCHEMA_CORE, first));
    examine_server(scene);
    expect_good(scene);
    CLEANUP(free)
    char *wanted = xasprintf("[{\"component\":\"core\",\"pending\":%d,\"known\":%d}]", schema_core_count() - 1,
                             schema_core_count());
    assert_string_equal(scene->migrations, wanted);
}

static void names_a_plugin_that_is_behind_the_database(void **state) {
    static const char *const more[] = {"CREATE TABLE a (b INTEGER) STRICT", "CREATE TABLE c (d INTEGER) STRICT", NULL};
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    (void)store_free(make_database(scene, "database", more));
    serve_fixture(scene, "database", "database");
    examine_server(scene);
    expect_error(scene, "plugin 'database' would be lost: the database has 2 steps of it, known are 1");
}

static void takes_a_server_as_old_as_we_are(void **state) {
    static const char *const more[] = {"CREATE TABLE a (b INTEGER) STRICT", "CREATE TABLE c (d INTEGER) STRICT",
                                       "CREATE TABLE e (f INTEGER) STRICT", NULL};
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    (void)store_free(make_database(scene, SCHEMA_CORE, more));
    examine_server(scene);
    expect_good(scene); /* it would do no worse than what runs now */
    assert_string_equal(scene->migrations, "[]");
}

static void tells_a_database_that_others_may_read(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    CLEANUP(free) char *path = path_join(scene->state, "theseus.db");

    (void)state;
    (void)store_free(make_database(scene, "database", first_steps));
    assert_int_equal(chmod(path, 0644), 0);
    examine_server(scene);
    expect_error(scene, "is open to others; mend it with: chmod 600");
}

int main(void) {
    const char *what = getenv(FAKE);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_same_server_good),
        cmocka_unit_test(takes_no_exit_status_for_a_proof),
        cmocka_unit_test(tells_the_exit_status),
        cmocka_unit_test(tells_the_last_words),
        cmocka_unit_test(ends_one_that_hangs),
        cmocka_unit_test(tells_the_signal),
        cmocka_unit_test(tells_the_signal_behind_a_report),
        cmocka_unit_test(wants_the_digest_to_be_ours),
        cmocka_unit_test(is_not_confused_by_noise),
        cmocka_unit_test(can_be_given_up),
        cmocka_unit_test(fails_where_there_is_no_room),
        cmocka_unit_test(names_a_plugin_that_would_be_lost),
        cmocka_unit_test(names_an_image_that_is_not_what_it_was),
        cmocka_unit_test(takes_the_file_where_the_image_does_not_do),
        cmocka_unit_test(leaves_out_a_plugin_that_is_disabled),
        cmocka_unit_test(tells_every_problem_of_the_configuration),
        cmocka_unit_test(tells_a_setting_that_a_plugin_would_refuse),
        cmocka_unit_test(tries_migrations_on_a_copy),
        cmocka_unit_test(tells_the_migration_that_fails),
        cmocka_unit_test(touches_no_database_that_is_closed),
        cmocka_unit_test(migrates_the_core_only_where_it_is_behind),
        cmocka_unit_test(names_a_plugin_that_is_behind_the_database),
        cmocka_unit_test(takes_a_server_as_old_as_we_are),
        cmocka_unit_test(tells_a_database_that_others_may_read),
    };

    return what ? be_candidate(what) : cmocka_run_group_tests(tests, NULL, NULL);
}
