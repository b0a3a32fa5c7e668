/*
 * The official JSON Schema test suite, draft 2020-12, the required tests. It is public data that is not part of this
 * project; where it is absent, nothing is tested here and the run says where it can be had.
 */
#include "test.h"

#include "rpc/schema.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fs.h"

enum { MAX_REMOTES = 256, MAX_FILES = 256, WANTED = 1200, MAX_SECONDS = 2 };

static const char remotes_base[] = "http://localhost:1234";

struct suite {
    struct schema_remote remotes[MAX_REMOTES];
    size_t remote_count;
    unsigned passed, total, slow;
};

struct tally {
    unsigned passed, total;
};

static char *data_path(const char *name) {
    const char *data = getenv("THESEUS_TEST_DATA");
    char *suite = path_join(data && *data ? data : "../shared", "json-schema-test-suite");
    char *path = path_join(suite, name);

    free(suite);
    return path;
}

static json_t *load(const char *path) {
    json_error_t at;
    json_t *json = json_load_file(path, JSON_DECODE_ANY | JSON_ALLOW_NUL, &at);

    if (!json)
        print_message("%s line %d: %s\n", path, at.line, at.text);
    assert_non_null(json);
    return json;
}

static void add_remotes(struct suite *suite, const char *dir, const char *uri) {
    DIR *stream = opendir(dir);

    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream));) {
        CLEANUP(free) char *path = path_join(dir, entry->d_name);
        char *name = path_join(uri, entry->d_name);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        if (S_ISDIR(st.st_mode) && entry->d_name[0] != '.')
            add_remotes(suite, path, name);
        if (!S_ISREG(st.st_mode)) {
            free(name);
            continue;
        }
        assert_true(suite->remote_count < MAX_REMOTES);
        suite->remotes[suite->remote_count++] = (struct schema_remote){name, load(path)};
    }
    (void)closedir(stream);
}

static void free_remotes(struct suite *suite) {
    for (size_t i = 0; i < suite->remote_count; i++) {
        free((char *)suite->remotes[i].uri);
        json_decref((json_t *)suite->remotes[i].document);
    }
}

static bool holds(const struct schema *schema, const json_t *test, struct theseus_error *err) {
    bool valid = schema_check(schema, json_object_get(test, "data"), err) == 0;

    return valid == json_is_true(json_object_get(test, "valid")) && (valid || err->code == ERR_INVALID);
}

static void run_group(const struct suite *suite, const char *file, const json_t *group, struct tally *tally) {
    const struct schema_options options = {
        .remotes = suite->remotes, .remote_count = suite->remote_count, .lenient = true};
    CLEANUP(schema_free) struct schema *schema = NULL;
    struct theseus_error refused = {0};
    const json_t *tests = json_object_get(group, "tests");
    const char *about = json_string_value(json_object_get(group, "description"));

    if (schema_new_with_options(&schema, json_object_get(group, "schema"), &options, &refused) < 0)
        print_message("%s: %s: not compiled: %s\n", file, about, refused.message);
    for (size_t i = 0; i < json_array_size(tests); i++) {
        const json_t *test = json_array_get(tests, i);
        struct theseus_error err = {0};
        tally->total++;
        if (schema && holds(schema, test, &err))
            tally->passed++;
        else
            print_message("%s: %s: %s: fails%s%s\n", file, about,
                          json_string_value(json_object_get(test, "description")), err.code ? ": " : "", err.message);
    }
}

static void run_file(struct suite *suite, const char *dir, const char *name) {
    CLEANUP(free) char *path = path_join(dir, name);
    json_t *groups = load(path);
    struct tally tally = {0};
    clock_t began = clock(); /* what it has worked: the machine may be busy with something else */

    for (size_t i = 0; i < json_array_size(groups); i++)
        run_group(suite, name, json_array_get(groups, i), &tally);
    if (tally.passed < tally.total)
        print_message("%s: %u of %u pass\n", name, tally.passed, tally.total);
    suite->slow += clock() - began > MAX_SECONDS * CLOCKS_PER_SEC;
    suite->passed += tally.passed;
    suite->total += tally.total;
    json_decref(groups);
}

static void passes_the_official_suite(void **state) {
    CLEANUP(free) char *dir = data_path("draft2020-12");
    CLEANUP(free) char *remotes = data_path("remotes");
    struct dirent **entries;
    struct suite suite = {0};
    int count = scandir(dir, &entries, NULL, alphasort);

    (void)state;
    if (count < 0) {
        print_message("there is no '%s': clone https://github.com/json-schema-org/JSON-Schema-Test-Suite and let "
                      "THESEUS_TEST_DATA name a directory in which json-schema-test-suite/ has its tests/draft2020-12 "
                      "and its remotes\n",
                      dir);
        free(TAKE_PTR(dir)); /* skip() leaves by a jump */
        free(TAKE_PTR(remotes));
        skip();
    }
    add_remotes(&suite, remotes, remotes_base);
    for (int i = 0; i < count; i++) {
        const char *dot = strrchr(entries[i]->d_name, '.');
        if (dot && strcmp(dot, ".json") == 0)
            run_file(&suite, dir, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    free_remotes(&suite);
    print_message("JSON Schema test suite, draft 2020-12: %u of %u pass\n", suite.passed, suite.total);
    assert_int_equal(suite.slow, 0);
    assert_true(suite.passed >= WANTED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_the_official_suite),
    };

    return cmocka_run_group_tests_name("rpc/schema_suite", tests, NULL, NULL);
}
