#include "plugin/tool.h"

#include <stdlib.h>
#include <string.h>

#include <theseus/plugin.h>

#include "base/limits.h"
#include "plugin/contract.h"
#include "plugin/resource.h"
#include "rpc/schema.h"

static const unsigned known_flags = THESEUS_READ_ONLY | THESEUS_DESTRUCTIVE | THESEUS_IDEMPOTENT | THESEUS_OPEN_WORLD |
                                    THESEUS_INLINE | THESEUS_RESUMABLE | THESEUS_SERIAL | THESEUS_LONG |
                                    THESEUS_HIDDEN | THESEUS_KEYED;

static const char no_arguments[] = "{\"type\":\"object\",\"additionalProperties\":false}";

static void forget_schemas(struct tool *tool) {
    tool->input = schema_free(tool->input);
    tool->output = schema_free(tool->output);
    json_decref(TAKE_PTR(tool->input_schema));
    json_decref(TAKE_PTR(tool->output_schema));
}

struct tool *tool_free(struct tool *tool) {
    if (!tool)
        return NULL;
    if (tool->release)
        tool->release(tool->data);
    tool->resource = resource_free(tool->resource);
    forget_schemas(tool);
    free(tool->input_text);
    free(tool->output_text);
    (void)pthread_mutex_destroy(&tool->reading);
    free(tool->name);
    free(tool->title);
    free(tool->description);
    free(tool);
    return NULL;
}

/*
 * The official TypeScript SDK (version 1) rejects a whole list of tools in which one has a boolean where it wants an
 * object: "properties": {"x": true}.
 */
static int check_properties(const json_t *schema, struct theseus_error *err) {
    const char *name;
    json_t *property;

    json_object_foreach (json_object_get(schema, "properties"), name, property) {
        if (json_is_boolean(property))
            return fail(err, ERR_INVALID,
                        "/properties/%s: true or false in place of a schema, for which some clients reject all tools; "
                        "write {} for anything",
                        name);
    }
    return 0;
}

static bool is_object_schema(const json_t *schema) {
    const char *type = json_string_value(json_object_get(schema, "type"));

    return type && strcmp(type, "object") == 0;
}

static int read_input(struct tool *tool, const char *text, struct theseus_error *err) {
    if (contract_schema(text ? text : no_arguments, &tool->input_schema, &tool->input, err) < 0)
        return -1;
    if (!is_object_schema(tool->input_schema))
        return fail(err, ERR_INVALID, "its root must say \"type\": \"object\"");
    return check_properties(tool->input_schema, err);
}

static int read_output(struct tool *tool, const char *text, struct theseus_error *err) {
    if (!text)
        return 0;
    if (contract_schema(text, &tool->output_schema, &tool->output, err) < 0)
        return -1;
    return is_object_schema(tool->output_schema) ? check_properties(tool->output_schema, err) : 0;
}

static int read_schemas(struct tool *tool, struct theseus_error *err) {
    if (read_input(tool, tool->input_text, err) < 0)
        return error_prefix(err, "input_schema: ");
    if (read_output(tool, tool->output_text, err) < 0)
        return error_prefix(err, "output_schema: ");
    free(TAKE_PTR(tool->input_text));
    free(TAKE_PTR(tool->output_text));
    return 0;
}

int tool_read(struct tool *tool, struct theseus_error *err) {
    int r = 0;

    if (atomic_load_explicit(&tool->is_read, memory_order_acquire))
        return 0;
    (void)pthread_mutex_lock(&tool->reading);
    if (!atomic_load_explicit(&tool->is_read, memory_order_relaxed))
        r = read_schemas(tool, err);
    if (r < 0)
        forget_schemas(tool);
    else
        atomic_store_explicit(&tool->is_read, true, memory_order_release);
    (void)pthread_mutex_unlock(&tool->reading);
    return r < 0 ? error_prefix(err, "tool '%s': ", tool->name) : 0;
}

static int check_declared(const struct theseus_tool *declared, struct theseus_error *err) {
    if (contract_text("title", declared->title, err) < 0 ||
        contract_text("description", declared->description, err) < 0)
        return -1;
    if (!declared->call)
        return fail(err, ERR_INVALID, "has no handler; set .call");
    if (declared->flags & ~known_flags)
        return fail(err, ERR_INVALID, "has unknown flags (0x%x)", declared->flags & ~known_flags);
    if ((declared->flags & THESEUS_READ_ONLY) && (declared->flags & THESEUS_DESTRUCTIVE))
        return fail(err, ERR_INVALID, "is flagged both THESEUS_READ_ONLY and THESEUS_DESTRUCTIVE");
    for (size_t i = 0; i < ARRAY_SIZE(declared->reserved); i++)
        if (declared->reserved[i])
            return fail(err, ERR_INVALID, "sets a reserved member of struct theseus_tool, which must be zero");
    return 0;
}

static char *copy_or_null(const char *text) {
    return text ? xstrdup(text) : NULL;
}

/* One that is too long is found so when it is read. */
static char *copy_schema(const char *text) {
    return text ? xstrndup(text, LIMIT_SCHEMA_BYTES + 1) : NULL;
}

int tool_new_trusted(struct tool **ret_tool, const struct theseus_tool *declared, struct theseus_error *err) {
    if (contract_name("a tool's name", declared->name, LIMIT_TOOL_NAME, err) < 0)
        return -1;
    if (check_declared(declared, err) < 0)
        return error_prefix(err, "tool '%s': ", declared->name);
    struct tool *tool = xcalloc(1, sizeof(*tool));
    (void)pthread_mutex_init(&tool->reading, NULL);
    tool->input_text = copy_schema(declared->input_schema);
    tool->output_text = copy_schema(declared->output_schema);
    tool->name = xstrdup(declared->name);
    tool->title = copy_or_null(declared->title);
    tool->description = copy_or_null(declared->description);
    tool->flags = declared->flags;
    tool->timeout = declared->timeout;
    tool->call = declared->call;
    tool->data = declared->data;
    *ret_tool = tool;
    return 0;
}

int tool_new(struct tool **ret_tool, const struct theseus_tool *declared, struct theseus_error *err) {
    CLEANUP(tool_free) struct tool *tool = NULL;

    if (tool_new_trusted(&tool, declared, err) < 0 || tool_read(tool, err) < 0)
        return -1;
    *ret_tool = TAKE_PTR(tool);
    return 0;
}
