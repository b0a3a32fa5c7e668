#include "config/build.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memlimit.h"
#include "config/hostkeys.h"
#include "config/lines.h"
#include "config/option.h"
#include "config/section.h"

static const char set_file[] = "--set";

void build_init(struct build *build, struct config *config, const struct config_source *source,
                struct problems *problems) {
    *build = (struct build){config, source, problems, xcalloc(option_count, sizeof(int))};
}

void build_fini(struct build *build) {
    free(build->lines);
    build->lines = NULL;
}

void build_fini_cleanup(struct build *build) {
    build_fini(build);
}

/* "; did you mean [limits]?", or all that there are. The caller frees it. */
static char *advice(const char *name, const char *const *names, size_t count, const char *quotes) {
    const char *nearest = config_nearest(name, names, count);

    if (nearest)
        return xasprintf("; did you mean %c%s%c?", quotes[0], nearest, quotes[1]);
    char *text = xstrdup("; there are");
    for (size_t i = 0; i < count; i++) {
        CLEANUP(free) char *before = text;
        text = xasprintf("%s %c%s%c%s", before, quotes[0], names[i], quotes[1], i + 1 < count ? "," : "");
    }
    return text;
}

static void refuse_section(struct build *build, const struct document_section *section, const char *file) {
    size_t count;
    CLEANUP(free) const char **names = option_sections(&count);

    if (section_behind(section->name, "mcp")) {
        problems_add(build->problems, file, section->line,
                     "[%s] is reserved: serving the tools of other MCP servers is not supported", section->name);
        return;
    }
    names = xreallocarray(names, count + 2, sizeof(*names));
    names[count++] = "plugin:NAME";
    names[count++] = "tool:NAME";
    CLEANUP(free) char *hint = advice(section->name, names, count, "[]");
    problems_add(build->problems, file, section->line, "unknown section [%s]%s", section->name, hint);
}

static void refuse_key(struct build *build, const char *section, const struct document_entry *entry, const char *file) {
    for (size_t i = 0; i < option_count; i++)
        if (strcmp(option_table[i].key, entry->key) == 0) {
            problems_add(build->problems, file, entry->line, "unknown key '%s' in [%s]; it belongs in [%s]", entry->key,
                         section, option_table[i].section);
            return;
        }
    size_t count;
    CLEANUP(free) const char **names = option_keys(section, &count);
    CLEANUP(free) char *hint = advice(entry->key, names, count, "''");
    problems_add(build->problems, file, entry->line, "unknown key '%s' in [%s]%s", entry->key, section, hint);
}

static void set_option(struct build *build, const struct option_def *option, const struct document_entry *entry,
                       const char *file) {
    CLEANUP(free) char *dir = strcmp(file, set_file) == 0 ? getcwd(NULL, 0) : path_dir(file);
    struct theseus_error err = {0};
    int *line = &build->lines[option - option_table];

    if (option->compute && !*entry->value)
        return; /* asks for the default */
    if (config_is_secret_ref(entry->value)) {
        (void)fail(&err, ERR_INVALID, "env: and file: are for [plugin:NAME] and [tool:NAME] only");
    } else if (option_set(option, build->config, entry->value, dir ? dir : "/", &err) == 0) {
        *line = entry->line ? entry->line : BUILD_FROM_SET;
        return;
    }
    problems_add(build->problems, file, entry->line, "%s.%s: %s", option->section, option->key, err.message);
}

/* What is said of tasks stands in one section, whoever it concerns: what is no option of the server's in [tasks] is the
 * plugin's of that name. */
static bool is_shared(const char *section) {
    return strcmp(section, "tasks") == 0;
}

static void hand_on(struct build *build, const struct document_section *section, struct document_entry *entry,
                    const char *file) {
    const struct document_section part = {.name = section->name, .line = section->line, .entries = entry, .count = 1};

    sections_put(&build->config->plugin_sections, &build->config->plugin_count, &part, file);
}

static void add_options(struct build *build, const struct document_section *section, const char *file) {
    for (struct document_entry *entry = section->entries; entry < section->entries + section->count; entry++) {
        const struct option_def *option = option_find(section->name, entry->key);
        if (option)
            set_option(build, option, entry, file);
        else if (is_shared(section->name))
            hand_on(build, section, entry, file);
        else
            refuse_key(build, section->name, entry, file);
    }
}

static bool is_option_section(const char *name) {
    for (size_t i = 0; i < option_count; i++)
        if (strcmp(option_table[i].section, name) == 0)
            return true;
    return false;
}

static void add_section(struct build *build, const struct document_section *section, const char *file) {
    struct config *config = build->config;
    bool is_plugin = section_behind(section->name, "plugin") != NULL;

    if (is_plugin || section_behind(section->name, "tool")) {
        if (!section_check_name(section, file, build->problems))
            return;
        if (is_plugin) {
            sections_put(&config->plugin_sections, &config->plugin_count, section, file);
        } else {
            sections_put(&config->tool_sections, &config->tool_count, section, file);
        }
    } else if (is_option_section(section->name)) {
        add_options(build, section, file);
    } else {
        refuse_section(build, section, file);
    }
}

void build_add_document(struct build *build, const struct document *document) {
    for (size_t i = 0; i < document->count; i++)
        add_section(build, &document->sections[i], document->file);
}

void build_add_set(struct build *build, const char *set) {
    const char *equals = strchrnul(set, '=');
    CLEANUP(free) char *target = xstrndup(set, (size_t)(equals - set));
    CLEANUP(free) char *context = xasprintf("--set %s: ", target);
    char *point = strchr(target, '.');
    json_auto_t *value = *equals ? json_string(equals + 1) : NULL; /* refuses what is not UTF-8 */

    build->problems->context = context;
    if (!*equals || !point || point == target || !document_is_name(span_of(point + 1), ".")) {
        problems_add(build->problems, set_file, 0, "it must be written as SECTION.KEY=VALUE");
    } else if (!value) {
        problems_add(build->problems, set_file, 0, "the value is not UTF-8");
    } else {
        *point = '\0';
        struct span text = span_trim(span_of(json_string_value(value)));
        CLEANUP(free) char *trimmed = xstrndup(text.data, text.len);
        struct document_entry entry = {.key = point + 1, .value = trimmed};
        struct document_section section = {.name = target, .entries = &entry, .count = 1};
        add_section(build, &section, set_file);
    }
    build->problems->context = NULL;
}

static int line_of(const struct build *build, const char *section, const char *key) {
    return build->lines[option_find(section, key) - option_table];
}

/* A message of max_line bytes must fit into what is held while it comes in. */
static void check_buffered(struct build *build) {
    const struct config *config = build->config;

    if (build->problems->count > 0 || config->limits.max_buffered >= config->limits.max_line)
        return;
    int line = line_of(build, "limits", "max_buffered");
    if (line == 0)
        line = line_of(build, "limits", "max_line");
    problems_add(build->problems, line > 0 ? config->file : set_file, line > 0 ? line : 0,
                 "limits.max_buffered (%zu bytes) is smaller than limits.max_line (%zu bytes)",
                 config->limits.max_buffered, config->limits.max_line);
}

static void check_memory(struct build *build) {
    const struct config *config = build->config;
    int line = line_of(build, "limits", "memory");

    if (build->problems->count > 0 || config->limits.memory == 0 || config->limits.memory >= MEMLIMIT_LEAST_BYTES)
        return;
    problems_add(build->problems, line > 0 ? config->file : set_file, line > 0 ? line : 0,
                 "limits.memory: %zu bytes are too few to run with; at least 64M, or 0 for no limit",
                 config->limits.memory);
}

void build_finish(struct build *build) {
    struct config *config = build->config;

    for (size_t i = 0; i < option_count; i++)
        if (build->lines[i] == 0)
            option_set_default(&option_table[i], config, build->source);
    for (size_t i = 0; i < config->plugin_count; i++)
        hostkeys_read(&config->plugin_sections[i], build->problems);
    sections_sort(config->plugin_sections, config->plugin_count);
    sections_sort(config->tool_sections, config->tool_count);
    check_buffered(build);
    check_memory(build);
}
