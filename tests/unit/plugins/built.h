/* A plugin that was built by a command while the test runs: loaded, called, and unmapped again. */
#pragma once

#include "test.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"

/* Runs a command of the shell; its exit status. */
static inline int shell(const char *format, ...) THESEUS_PRINTF_LIKE(1, 2);
static inline int shell(const char *format, ...) {
    char command[4096];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    assert_in_range(len, 1, sizeof(command) - 1);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* Does the whole process map a file with this name? */
static inline bool is_mapped(const char *path) {
    char line[PATH_MAX + 128];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");

    while (fgets(line, sizeof(line), maps))
        found = found || strstr(line, path);
    (void)fclose(maps);
    return found;
}

/* Loads it, asks its first tool to greet World, expects `greeting`, and that nothing of it stays. */
static inline void expect_greeting(const char *path, const char *name, const char *greeting) {
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    struct fake fake = fake_made();
    json_t *args = json_pack("{s:s}", "name", "World");

    if (!handle)
        print_error("%s\n", dlerror());
    assert_non_null(handle);
    const struct theseus_plugin *plugin = dlsym(handle, "theseus_plugin");
    assert_non_null(plugin);
    assert_int_equal(plugin->abi, THESEUS_ABI);
    assert_int_equal(plugin->size, sizeof(struct theseus_plugin));
    assert_string_equal(plugin->name, name);
    assert_string_equal(plugin->tools[0].name, name);
    json_t *schema = json_loads(plugin->tools[0].input_schema, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(schema);
    json_decref(schema);
    assert_null(plugin->tools[1].name);
    assert_int_equal(plugin->tools[0].call(&fake.call, NULL, args), THESEUS_DONE);
    assert_int_equal(fake.answers, 1);
    assert_string_equal(fake_text(&fake), greeting);
    json_decref(args);
    fake_fini(&fake);
    assert_true(is_mapped(path));
    assert_int_equal(dlclose(handle), 0);
    assert_false(is_mapped(path));
}
