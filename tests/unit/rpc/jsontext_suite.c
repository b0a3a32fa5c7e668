/* The public JSON parsing test suite: y_ must be accepted, n_ refused, i_ treated as jansson treats it. */
#include "test.h"

#include <dirent.h>
#include <stdio.h>

#include "base/fs.h"
#include "rpc/jsontext_difference.h"

static struct { size_t accepted, refused, either; /* how many files of each kind there were */ } seen;

/* Valid JSON that jansson cannot hold or is told to refuse: a key given twice, and a NUL in a key. */
static bool is_beyond_jansson(const char *name) {
    return strcmp(name, "y_object_duplicated_key.json") == 0 ||
           strcmp(name, "y_object_duplicated_key_and_value.json") == 0 ||
           strcmp(name, "y_object_escaped_null_in_key.json") == 0;
}

static void check_file(const char *dir, const char *name) {
    CLEANUP(free) char *path = path_join(dir, name);
    CLEANUP(buf_fini) struct buf content = {0};

    assert_int_equal(fs_read_file(path, 1 << 20, &content, NULL), 0);
    CLEANUP(free) char *text = xcalloc(content.len, 1); /* of the exact size: reading beyond it is found */
    if (content.len)
        memcpy(text, content.data, content.len);
    struct span span = {text, content.len};
    json_auto_t *value = jsontext_read(span, NULL);
    const char *what = jsontext_difference(span);
    bool right = name[0] == 'i' || !value == (name[0] == 'n' || is_beyond_jansson(name));
    if (what || !right)
        print_error("%s: %s\n", name, what ? what : value ? "accepted" : "refused");
    assert_null(what);
    assert_true(right);
}

static void count_file(const char *name) {
    seen.accepted += name[0] == 'y';
    seen.refused += name[0] == 'n';
    seen.either += name[0] == 'i';
}

static void gives_the_verdicts_of_the_public_suite(void **state) {
    const char *data = getenv("THESEUS_TEST_DATA");
    CLEANUP(free) char *dir = path_join(data ? data : "../shared", "json-test-suite/test_parsing");
    DIR *files = opendir(dir);

    (void)state;
    if (!files) {
        print_message("'%s' is absent: get the public JSON parsing test suite (https://github.com/nst/JSONTestSuite) "
                      "and set THESEUS_TEST_DATA to the directory that holds it as json-test-suite/\n",
                      dir);
        skip();
    }
    for (const struct dirent *entry; (entry = readdir(files));) {
        if (!strchr("yni", entry->d_name[0]))
            continue;
        count_file(entry->d_name);
        check_file(dir, entry->d_name);
    }
    (void)closedir(files);
    print_message("%zu to accept, %zu to refuse, %zu either\n", seen.accepted, seen.refused, seen.either);
    assert_true(seen.accepted > 90 && seen.refused > 180 && seen.either > 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_verdicts_of_the_public_suite),
    };

    return cmocka_run_group_tests_name("rpc/jsontext_suite", tests, NULL, NULL);
}
