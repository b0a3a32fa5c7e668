#include "plugin/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "rpc/jsontext.h"
#include "rpc/schema.h"

static const char *type_of(const json_t *property) {
    const char *type = json_string_value(json_object_get(property, "type"));

    return type ? type : "string";
}

static int wrong(const char *key, const char *text, const char *type, struct theseus_error *err) {
    return fail(err, ERR_INVALID, "key '%s': '%.60s' is no %s", key, text, type);
}

static json_t *boolean_new(const char *text) {
    static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false", "off", "0"};

    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        if (strcasecmp(text, yes[i]) == 0)
            return json_true();
        if (strcasecmp(text, no[i]) == 0)
            return json_false();
    }
    return NULL;
}

static json_t *integer_new(const char *text) {
    char *end;

    errno = 0;
    long long number = strtoll(text, &end, 10);
    return errno || end == text || *end ? NULL : json_integer(number);
}

static json_t *number_new(const char *text) {
    json_t *number = jsontext_read(span_of(text), NULL);

    if (json_is_number(number))
        return number;
    json_decref(number);
    return NULL;
}

/* A list: words between commas or line ends, each converted to the items' type. */
static json_t *convert_new(const char *text, const json_t *property);

static json_t *array_new(const char *text, const json_t *property) {
    CLEANUP(free) char *copy = xstrdup(text);
    json_auto_t *array = json_array();
    char *rest = NULL;

    for (char *word = strtok_r(copy, ",\n", &rest); word; word = strtok_r(NULL, ",\n", &rest)) {
        word += strspn(word, " \t");
        for (size_t len = strlen(word); len && strchr(" \t", word[len - 1]); len--)
            word[len - 1] = '\0';
        json_t *item = *word ? convert_new(word, json_object_get(property, "items")) : json_null();
        if (!item)
            return NULL;
        if (*word && json_array_append_new(array, item) < 0)
            return NULL;
    }
    return json_incref(array);
}

/* The value as its property's type; NULL: it is none of that. */
static json_t *convert_new(const char *text, const json_t *property) {
    const char *type = type_of(property);

    if (strcmp(type, "boolean") == 0)
        return boolean_new(text);
    if (strcmp(type, "integer") == 0)
        return integer_new(text);
    if (strcmp(type, "number") == 0)
        return number_new(text);
    if (strcmp(type, "array") == 0)
        return array_new(text, property);
    return strcmp(type, "object") == 0 ? jsontext_read(span_of(text), NULL) : json_string(text);
}

/* What is written, or the secret that it refers to. Owned. */
static int resolve(const struct config_section *section, const char *written, char **ret_text,
                   struct theseus_error *err) {
    CLEANUP(free) char *dir = path_dir(section->file);

    if (config_is_secret_ref(written))
        return config_resolve_secret(written, dir, ret_text, err);
    *ret_text = xstrdup(written);
    return 0;
}

static int refuse_unknown(const json_t *properties, const char *key, struct theseus_error *err) {
    size_t count = json_object_size(properties), i = 0;
    CLEANUP(free) const char **names = xcalloc(count + 1, sizeof(char *));
    const char *name;
    json_t *property;

    json_object_foreach ((json_t *)properties, name, property)
        names[i++] = name;
    const char *nearest = config_nearest(key, names, count);
    if (nearest)
        return fail(err, ERR_INVALID, "unknown key '%s'; did you mean '%s'?", key, nearest);
    return fail(err, ERR_INVALID, "unknown key '%s'", key);
}

/* Is it one by the way it is written, or because the plugin says so? */
static bool is_secret(const json_t *properties, const char *key, const char *written) {
    return config_is_secret_ref(written) ||
           json_is_true(json_object_get(json_object_get(properties, key), "writeOnly"));
}

static int convert(const struct config_section *section, const json_t *properties, const char *key, const char *written,
                   json_t *into, struct theseus_error *err) {
    const json_t *property = json_object_get(properties, key);
    CLEANUP(free) char *text = NULL;

    if (!property)
        return refuse_unknown(properties, key, err);
    if (resolve(section, written, &text, err) < 0)
        return error_prefix(err, "key '%s': ", key);
    json_t *value = convert_new(text, property);
    if (!value)
        return wrong(key, is_secret(properties, key, written) ? "(a secret)" : written, type_of(property), err);
    return json_object_set_new(into, key, value) < 0 ? fail(err, ERR_MEMORY, "no memory for the settings") : 0;
}

static int prefix_place(const struct config_section *section, const char *key, struct theseus_error *err) {
    int line = config_section_line(section, key);

    return line ? error_prefix(err, "%s:%d: ", section->file, line) : error_prefix(err, "%s: ", section->file);
}

static int convert_section(const struct config_section *section, const json_t *properties, json_t *into,
                           struct theseus_error *err) {
    const char *key;
    json_t *written;

    json_object_foreach (section->settings, key, written)
        if (convert(section, properties, key, json_string_value(written), into, err) < 0)
            return prefix_place(section, key, err);
    return 0;
}

static int fill_defaults(const json_t *properties, json_t *into, struct theseus_error *err) {
    const char *key;
    json_t *property;

    json_object_foreach ((json_t *)properties, key, property) {
        json_t *value = json_object_get(property, "default");
        if (value && !json_object_get(into, key) && json_object_set_new(into, key, json_deep_copy(value)) < 0)
            return fail(err, ERR_MEMORY, "no memory for the settings");
    }
    return 0;
}

static bool has_secret(const struct config_section *section, const json_t *properties) {
    const char *key;
    json_t *written;

    json_object_foreach (section->settings, key, written)
        if (is_secret(properties, key, json_string_value(written)))
            return true;
    return false;
}

/* A schema's refusal may quote any part of the value at its path ("/key/…: rule"). May it be said? */
static bool may_be_said(const struct config_section *section, const json_t *properties, const char *message) {
    if (!section || !has_secret(section, properties))
        return true;
    if (*message != '/')
        return false;
    CLEANUP(free) char *key = xstrndup(message + 1, strcspn(message + 1, "/:"));
    const char *written = json_string_value(json_object_get(section->settings, key));
    return written && !is_secret(properties, key, written);
}

/* "/key/0: rule" is about a key: as such, and where it stands. */
static int place_mismatch(const struct config_section *section, struct theseus_error *err) {
    size_t len = strcspn(err->message + 1, "/:");
    CLEANUP(free) char *key = *err->message == '/' ? xstrndup(err->message + 1, len) : xstrdup("");
    CLEANUP(free) char *rest = *key ? xstrdup(err->message + 1 + len) : NULL;

    if (rest && json_object_get(section->settings, key)) {
        enum errc code = (enum errc)err->code;
        *err = (struct theseus_error){0};
        (void)fail(err, code, "key '%s'%s%s", key, *rest == '/' ? " " : "", rest);
    }
    return prefix_place(section, key, err);
}

static int check_schema(const json_t *document, const json_t *settings, const struct config_section *section,
                        struct theseus_error *err) {
    const json_t *properties = json_object_get(document, "properties");
    CLEANUP(schema_free) struct schema *schema = NULL;
    struct theseus_error refused = {0};

    if (!document)
        return 0;
    if (schema_new(&schema, document, err) < 0)
        return error_prefix(err, "config_schema: ");
    if (schema_check(schema, settings, &refused) == 0)
        return 0;
    const char *message = may_be_said(section, properties, refused.message)
                              ? refused.message
                              : "the plugin's config_schema refuses it; why is not said, for a secret is part of it";
    (void)fail(err, (enum errc)refused.code, "%s", message);
    return section ? place_mismatch(section, err) : -1;
}

/* A [tool:NAME] section with its secrets in place. New reference; NULL with err. */
static json_t *plain_new(const struct config_section *section, struct theseus_error *err) {
    json_auto_t *plain = json_object();
    const char *key;
    json_t *written;

    json_object_foreach (section->settings, key, written) {
        CLEANUP(free) char *text = NULL;
        if (resolve(section, json_string_value(written), &text, err) < 0) {
            (void)error_prefix(err, "key '%s': ", key);
            (void)prefix_place(section, key, err);
            return NULL;
        }
        if (json_object_set_new(plain, key, json_string(text)) < 0) {
            (void)fail(err, ERR_INVALID, "key '%s' holds no UTF-8", key);
            return NULL;
        }
    }
    return json_incref(plain);
}

static int add_sections(const struct config_section *sections, size_t count, json_t *into, struct theseus_error *err) {
    for (size_t i = 0; i < count; i++) {
        json_t *plain = plain_new(&sections[i], err);
        if (!plain)
            return -1;
        if (json_object_get(into, sections[i].name)) {
            json_decref(plain);
            (void)fail(err, ERR_INVALID, "section '%s' is there already in another file", sections[i].name);
            return prefix_place(&sections[i], "", err);
        }
        if (json_object_set_new(into, sections[i].name, plain) < 0)
            return fail(err, ERR_MEMORY, "no memory for the settings");
    }
    return 0;
}

static int add_tools(json_t *settings, const struct theseus_plugin *plugin, const struct config *config,
                     const struct settings_extra *extra, struct theseus_error *err) {
    json_t *sections = json_object();

    if (json_object_set_new(settings, plugin->sections, sections) < 0)
        return fail(err, ERR_MEMORY, "no memory for the settings");
    if (strcmp(plugin->sections, "tool") != 0)
        return 0;
    if (add_sections(config->tool_sections, config->tool_count, sections, err) < 0)
        return -1;
    return extra ? add_sections(extra->sections, extra->count, sections, err) : 0;
}

int settings_new(json_t **ret_settings, const struct theseus_plugin *plugin, const struct config *config,
                 const struct settings_extra *extra, struct theseus_error *err) {
    const struct config_section *section =
        config_section_find(config->plugin_sections, config->plugin_count, plugin->name);
    json_auto_t *document = plugin->config_schema ? jsontext_read(span_of(plugin->config_schema), err) : NULL;
    const json_t *properties = json_object_get(document, "properties");
    json_auto_t *settings = json_object();

    if (plugin->config_schema && !document)
        return error_prefix(err, "config_schema: ");
    if (section && convert_section(section, properties, settings, err) < 0)
        return -1;
    if (fill_defaults(properties, settings, err) < 0 || check_schema(document, settings, section, err) < 0)
        return -1;
    if (plugin->sections && add_tools(settings, plugin, config, extra, err) < 0)
        return -1;
    *ret_settings = json_incref(settings);
    return 0;
}

/* ---- secrets ---- */

static void each_tool_secret(const json_t *tools, const struct config_section *sections, size_t count,
                             settings_secret_fn *visit, void *arg) {
    const char *key;
    json_t *written;

    for (size_t i = 0; i < count; i++)
        json_object_foreach (sections[i].settings, key, written) {
            const json_t *value = json_object_get(json_object_get(tools, sections[i].name), key);
            if (value && config_is_secret_ref(json_string_value(written)))
                visit(arg, key, value);
        }
}

static void each_plugin_secret(const json_t *settings, const struct config_section *section, const json_t *properties,
                               settings_secret_fn *visit, void *arg) {
    const char *key;
    json_t *written;

    json_object_foreach (section->settings, key, written) {
        const json_t *value = json_object_get(settings, key);
        if (value && is_secret(properties, key, json_string_value(written)))
            visit(arg, key, value);
    }
}

void settings_each_secret(const json_t *settings, const struct theseus_plugin *plugin, const struct config *config,
                          const struct settings_extra *extra, settings_secret_fn *visit, void *arg) {
    const struct config_section *section =
        config_section_find(config->plugin_sections, config->plugin_count, plugin->name);
    json_auto_t *document = plugin->config_schema ? jsontext_read(span_of(plugin->config_schema), NULL) : NULL;
    const json_t *tools = plugin->sections ? json_object_get(settings, plugin->sections) : NULL;

    if (section)
        each_plugin_secret(settings, section, json_object_get(document, "properties"), visit, arg);
    if (!tools)
        return;
    each_tool_secret(tools, config->tool_sections, config->tool_count, visit, arg);
    if (extra)
        each_tool_secret(tools, extra->sections, extra->count, visit, arg);
}

/* "…[tool:NAME] key: …" → the section and its key. */
static const struct config_section *parse_blame(const struct config *config, const struct settings_extra *extra,
                                                const char *message, char key[static 256]) {
    char kind[64], name[256];

    key[0] = '\0';
    const char *open = strchr(message, '[');
    if (!open || sscanf(open, "[%63[^]:]:%255[^]]] %255[^:]", kind, name, key) < 2)
        return NULL;
    if (strcmp(kind, "plugin") == 0)
        return config_section_find(config->plugin_sections, config->plugin_count, name);
    const struct config_section *section = config_section_find(config->tool_sections, config->tool_count, name);
    return section || !extra ? section : config_section_find(extra->sections, extra->count, name);
}

const struct config_section *settings_blame(const struct config *config, const struct settings_extra *extra,
                                            struct theseus_error *err) {
    char key[256];
    const struct config_section *section = parse_blame(config, extra, err->message, key);

    if (section)
        (void)prefix_place(section, key, err);
    return section;
}
