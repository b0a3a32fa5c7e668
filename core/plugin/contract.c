#include "plugin/contract.h"

#include <stdlib.h>
#include <string.h>

#include <theseus/plugin.h>

#include "base/limits.h"
#include "base/map.h"
#include "plugin/resource.h"
#include "plugin/tool.h"
#include "rpc/schema.h"

enum { VERSION_MAX = 128 };

static const char name_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

int contract_name(const char *what, const char *name, size_t max, struct theseus_error *err) {
    if (!name || !*name)
        return fail(err, ERR_INVALID, "%s is missing", what);
    size_t len = strnlen(name, max + 1);
    if (len > max)
        return fail(err, ERR_LIMIT, "%s has more than %zu characters", what, max);
    if (strspn(name, name_characters) != len)
        return fail(err, ERR_INVALID, "%s may hold A-Z, a-z, 0-9, '_' and '-' only", what);
    return 0;
}

int contract_text(const char *what, const char *text, struct theseus_error *err) {
    if (!text)
        return 0;
    json_auto_t *string = json_string(text); /* NULL for text that is not UTF-8 */
    return string ? 0 : fail(err, ERR_INVALID, "its %s is not UTF-8", what);
}

int contract_schema(const char *text, json_t **ret_document, struct schema **ret_schema, struct theseus_error *err) {
    size_t len = strnlen(text, LIMIT_SCHEMA_BYTES + 1);
    json_error_t at;

    if (len > LIMIT_SCHEMA_BYTES)
        return fail(err, ERR_LIMIT, "is longer than %d bytes", LIMIT_SCHEMA_BYTES);
    json_auto_t *document = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &at);
    if (!document)
        return fail(err, ERR_INVALID, "is not JSON: line %d, column %d: %s", at.line, at.column, at.text);
    if (!json_is_object(document))
        return fail(err, ERR_INVALID, "must be a JSON object");
    if (schema_new(ret_schema, document, err) < 0)
        return -1;
    *ret_document = TAKE_PTR(document);
    return 0;
}

static int check_version(const char *version, struct theseus_error *err) {
    if (!version || !*version)
        return fail(err, ERR_INVALID, "the plugin's version is missing; set .version");
    if (strnlen(version, VERSION_MAX + 1) > VERSION_MAX)
        return fail(err, ERR_LIMIT, "the plugin's version is longer than %d bytes", VERSION_MAX);
    return contract_text("version", version, err);
}

static int check_config_schema(const char *text, struct theseus_error *err) {
    CLEANUP(schema_free) struct schema *schema = NULL;
    json_auto_t *document = NULL;

    if (!text)
        return 0;
    if (contract_schema(text, &document, &schema, err) < 0)
        return error_prefix(err, "config_schema: ");
    const char *type = json_string_value(json_object_get(document, "type"));
    if (!type || strcmp(type, "object") != 0)
        return fail(err, ERR_INVALID, "config_schema: its root must say \"type\": \"object\"");
    return 0;
}

static int check_sections(const char *prefix, struct theseus_error *err) {
    if (!prefix)
        return 0;
    if (contract_name("the prefix in 'sections'", prefix, LIMIT_PLUGIN_NAME, err) < 0)
        return -1;
    if (strcmp(prefix, "plugin") == 0)
        return fail(err, ERR_INVALID, "'sections' may not be \"plugin\": [plugin:NAME] is each plugin's own section");
    return 0;
}

static int check_migrations(const char *const *migrations, struct theseus_error *err) {
    for (size_t i = 0; migrations && migrations[i]; i++) {
        if (migrations[i][strspn(migrations[i], " \t\r\n")] == '\0')
            return fail(err, ERR_INVALID, "migration %zu is empty", i + 1);
        if (contract_text("migrations' text", migrations[i], err) < 0)
            return -1;
    }
    return 0;
}

static int check_statements(const struct theseus_plugin *plugin, struct theseus_error *err) {
    if (contract_name("the plugin's name", plugin->name, LIMIT_PLUGIN_NAME, err) < 0 ||
        check_version(plugin->version, err) < 0 || contract_text("description", plugin->description, err) < 0)
        return -1;
    if (plugin->flags & ~(unsigned)(THESEUS_SHARED_STATE | THESEUS_SCHEMA_ON_USE))
        return fail(err, ERR_INVALID, "the plugin has unknown flags (0x%x)", plugin->flags);
    if (check_sections(plugin->sections, err) < 0)
        return -1;
    return check_migrations(plugin->migrations, err);
}

void contract_tools_free(struct tool **tools, size_t count) {
    for (size_t i = 0; i < count; i++)
        (void)tool_free(tools[i]);
    free(tools);
}

static int count_tools(const struct theseus_tool *declared, size_t *ret_count, struct theseus_error *err) {
    size_t count = 0;

    while (declared && declared[count].name) {
        if (count == LIMIT_TOOLS_PER_PLUGIN)
            return fail(err, ERR_LIMIT, "has more than %d tools, or its table does not end with {0}",
                        LIMIT_TOOLS_PER_PLUGIN);
        count++;
    }
    if (declared && (declared[count].call || declared[count].description))
        return fail(err, ERR_INVALID, "tool %zu has no name", count + 1);
    *ret_count = count;
    return 0;
}

typedef int new_tool_fn(struct tool **ret_tool, const struct theseus_tool *declared, struct theseus_error *err);

/* Fills the array up to where something is wrong. */
static int make_tools(struct tool **tools, size_t count, const struct theseus_tool *declared, new_tool_fn *new_tool,
                      struct theseus_error *err) {
    CLEANUP(map_free) struct map *names = map_new();

    for (size_t i = 0; i < count; i++) {
        if (new_tool(&tools[i], &declared[i], err) < 0)
            return -1;
        if (declared[i].release)
            return fail(err, ERR_INVALID, "tool '%s': sets .release, which is for tools that are added at run time",
                        tools[i]->name);
        if (map_put(names, span_of(tools[i]->name), tools[i]))
            return fail(err, ERR_INVALID, "has two tools with the name '%s'", tools[i]->name);
    }
    return 0;
}

static int count_resources(const struct theseus_resource *declared, size_t *ret_count, struct theseus_error *err) {
    size_t count = 0;

    while (declared && declared[count].uri) {
        if (count == LIMIT_RESOURCES_PER_PLUGIN)
            return fail(err, ERR_LIMIT, "has more than %d resources, or its table does not end with {0}",
                        LIMIT_RESOURCES_PER_PLUGIN);
        count++;
    }
    if (declared && (declared[count].read || declared[count].name))
        return fail(err, ERR_INVALID, "resource %zu has no URI", count + 1);
    *ret_count = count;
    return 0;
}

static int make_resources(struct tool **tools, size_t count, const struct theseus_resource *declared,
                          struct theseus_error *err) {
    CLEANUP(map_free) struct map *uris = map_new();

    for (size_t i = 0; i < count; i++) {
        if (resource_tool_new(&tools[i], &declared[i], err) < 0)
            return -1;
        if (map_put(uris, span_of(tools[i]->name), tools[i]))
            return fail(err, ERR_INVALID, "has two resources with the URI '%s'", tools[i]->name);
    }
    return 0;
}

static int take(const struct theseus_plugin *plugin, new_tool_fn *new_tool, struct tool ***ret_tools, size_t *ret_count,
                struct theseus_error *err) {
    size_t count = 0, resources = 0;

    if (check_statements(plugin, err) < 0 || count_tools(plugin->tools, &count, err) < 0 ||
        count_resources(plugin->resources, &resources, err) < 0)
        return -1;
    struct tool **tools = xcalloc(count + resources + 1, sizeof(*tools));
    if (make_tools(tools, count, plugin->tools, new_tool, err) < 0 ||
        make_resources(tools + count, resources, plugin->resources, err) < 0) {
        contract_tools_free(tools, count + resources);
        return -1;
    }
    *ret_tools = tools;
    *ret_count = count + resources;
    return 0;
}

int contract_check(const struct theseus_plugin *plugin, struct tool ***ret_tools, size_t *ret_count,
                   struct theseus_error *err) {
    if (check_config_schema(plugin->config_schema, err) < 0)
        return -1;
    return take(plugin, tool_new, ret_tools, ret_count, err);
}

int contract_take(const struct theseus_plugin *plugin, struct tool ***ret_tools, size_t *ret_count,
                  struct theseus_error *err) {
    return take(plugin, tool_new_trusted, ret_tools, ret_count, err);
}
