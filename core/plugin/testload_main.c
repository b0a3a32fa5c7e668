/* The child's half of the test-load: see testload.h. A crash of it is an answer. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <theseus/plugin.h>

#include "base/fs.h"
#include "plugin/contract.h"
#include "plugin/image.h"
#include "plugin/testchild.h"
#include "plugin/testload.h"
#include "store/migrate.h"
#include "store/store.h"

#define DATABASE_WORD "--database="

static json_t *path_new(const char *file) {
    return testchild_text_new(file, "(not UTF-8)");
}

static int check_file(int out, struct image **ret_image, const char *file, struct theseus_error *err) {
    CLEANUP(image_free) struct image *image = NULL;
    struct tool **tools;
    size_t count;

    if (image_adopt(&image, file, file, NULL, err) < 0)
        return -1;
    image_keep_file(image);
    if (image_load(image, err) < 0)
        return -1;
    testchild_say(out, json_pack("{s:o, s:b}", "file", path_new(file), "loaded", 1));
    if (contract_check(image_plugin(image), &tools, &count, err) < 0)
        return -1;
    contract_tools_free(tools, count);
    *ret_image = TAKE_PTR(image);
    return 0;
}

/* Has it a schema? */
static bool test_file(int out, const char *file) {
    struct image *image = NULL; /* stays loaded: destructors are not what is tested */
    struct theseus_error err = {0};

    testchild_say(out, json_pack("{s:o, s:b}", "file", path_new(file), "begin", 1));
    if (check_file(out, &image, file, &err) < 0) {
        testchild_say(out, json_pack("{s:o, s:b, s:i, s:o}", "file", path_new(file), "ok", 0, "code", err.code, "error",
                                     json_string(err.message)));
        return false;
    }
    const struct theseus_plugin *plugin = image_plugin(image);
    testchild_say(out, json_pack("{s:o, s:b, s:s, s:s}", "file", path_new(file), "ok", 1, "name", plugin->name,
                                 "version", plugin->version));
    return plugin->migrations != NULL;
}

static void add_schema(void *arg, const char *component, int version) {
    (void)json_object_set_new(arg, component, json_integer(version));
}

/* Where it cannot be read, the server finds out by itself, and says so. Not closed: that would write, with somebody
 * waiting for it. */
static void tell_schemas(int out, const char *database) {
    struct store *store = store_new(database);
    json_auto_t *schemas = json_object();

    if (store_each_version(store, add_schema, schemas, NULL) == 0)
        testchild_say(out, json_pack("{s:O}", "schemas", schemas));
}

int testload_main(int count, char *const *words) {
    const size_t prefix = strlen(DATABASE_WORD);
    bool has_database = count > 0 && strncmp(words[0], DATABASE_WORD, prefix) == 0, has_schema = false;
    int out = testchild_begin();

    for (int i = has_database; i < count && out >= 0; i++)
        has_schema |= test_file(out, words[i]);
    if (has_database && has_schema)
        tell_schemas(out, words[0] + prefix);
    _exit(out < 0 ? EXIT_FAILURE : EXIT_SUCCESS); /* destructors of plugins do not run */
}
