/* The schemas of the plugins that come with the server: each list of steps, from every version that it had. */
#include "test.h"

#include <dirent.h>
#include <dlfcn.h>

#include <theseus/plugin.h>

#include "plugin/fixture.h"
#include "store/steps.h"

/* Where the built plugins are, beside the tests. Owned. */
static char *plugins_dir(void) {
    CLEANUP(free) char *program = fixture_program();
    CLEANUP(free) char *build = path_dir(program);

    return path_join(build, "plugins");
}

static struct store *store_in(const char *place, const char *name, int version) {
    CLEANUP(free) char *file = xasprintf("%s-%d.db", name, version);
    CLEANUP(free) char *path = path_join(place, file);

    return store_new(path);
}

static char *schema_from(const char *place, const struct theseus_plugin *plugin, int version) {
    CLEANUP(store_free) struct store *store = store_in(place, plugin->name, version);
    CLEANUP(free) const char **first = steps_of_version(plugin->migrations, version);
    struct theseus_error err = {0};

    if (store_migrate(store, plugin->name, first, &err) < 0 ||
        store_migrate(store, plugin->name, plugin->migrations, &err) < 0)
        print_error("%s\n", err.message);
    assert_int_equal(err.code, ERR_UNSET);
    steps_is_sound(store);
    return steps_schema(store);
}

static void try_plugin(const char *place, const char *path) {
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    assert_non_null(handle);
    const struct theseus_plugin *plugin = dlsym(handle, "theseus_plugin");
    bool has_schema = plugin->size > offsetof(struct theseus_plugin, migrations) && plugin->migrations;
    CLEANUP(free) char *expected = has_schema ? schema_from(place, plugin, 0) : NULL;
    for (int version = 1; has_schema && version < steps_count(plugin->migrations); version++) {
        CLEANUP(free) char *schema = schema_from(place, plugin, version);
        assert_string_equal(schema, expected);
    }
    (void)dlclose(handle);
}

static void come_to_the_same_from_every_version_that_there_was(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *path = plugins_dir();
    DIR *dir = opendir(path);
    int tried = 0;

    (void)state;
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        size_t len = strlen(entry->d_name);
        CLEANUP(free) char *file = path_join(path, entry->d_name);
        if (len < 4 || strcmp(entry->d_name + len - 3, ".so") != 0)
            continue;
        try_plugin(place, file);
        tried++;
    }
    (void)closedir(dir);
    assert_true(tried > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(come_to_the_same_from_every_version_that_there_was),
    };

    return cmocka_run_group_tests_name("plugins/migrations", tests, NULL, NULL);
}
