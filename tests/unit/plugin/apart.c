#include "test.h"

#include "plugin/apart.h"

#include <stdlib.h>

#include <theseus/plugin.h>

#include "config/config.h"
#include "plugin/fixture.h"
#include "plugin/image.h"

static struct config *configured(const char *text) {
    const struct config_source source = {.path = "/etc/x.ini", .text = {text, strlen(text)}};
    struct config *config = NULL;
    struct theseus_error err = {0};

    if (config_load(&config, &source, NULL, NULL, &err) < 0)
        test_failed("%s", err.message);
    return config;
}

static void is_wanted_by_the_name_of_the_file(void **state) {
    CLEANUP(config_free)
    struct config *config = configured("[plugin:a]\n.isolation = process\n.memory = 1G\n[plugin:b]\nx = 1\n");

    (void)state;
    assert_true(apart_of_file(config, "/dir/a.so").wanted);
    assert_int_equal(apart_of_file(config, "/dir/a.so").memory, 1 << 30);
    assert_false(apart_of_file(config, "/dir/b.so").wanted);
    assert_false(apart_of_file(config, "/a/c.so").wanted);
}

/* An image of the fixture version1, which calls itself "version", under another file's name. */
static struct image *image_called(const char *file) {
    CLEANUP(free) char *path = fixture_path("version1");
    struct image *image = NULL;

    assert_int_equal(image_adopt(&image, path, file, NULL, NULL), 0);
    image_keep_file(image);
    assert_int_equal(image_load(image, NULL), 0);
    return image;
}

static void wants_the_plugin_to_be_called_as_its_file(void **state) {
    CLEANUP(config_free)
    struct config *config =
        configured("[plugin:version]\n.isolation = process\n[plugin:other]\n.isolation = process\n");
    struct theseus_error err = {0};

    (void)state;
    CLEANUP(image_free) struct image *mapped = image_called("/dir/elsewhere.so");
    assert_int_equal(apart_check(config, mapped, &err), -1);
    assert_non_null(strstr(err.message, "call the file 'version.so'"));
    mapped = image_free(mapped);
    mapped = image_called("/dir/version.so");
    assert_int_equal(apart_check(config, mapped, &err), 0);
    assert_true(apart_differs(config, mapped));
}

static void is_kept_beside_the_database(void **state) {
    CLEANUP(free) char *dir = apart_dir("/state/theseus.db", "/dir/a.so");

    (void)state;
    assert_string_equal(dir, "/state/isolated/a");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_wanted_by_the_name_of_the_file),
        cmocka_unit_test(wants_the_plugin_to_be_called_as_its_file),
        cmocka_unit_test(is_kept_beside_the_database),
    };

    return cmocka_run_group_tests_name("plugin/apart", tests, NULL, NULL);
}
