#include "config/section.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "config/array.h"

const char *section_behind(const char *name, const char *kind) {
    size_t len = strlen(kind);

    return strncmp(name, kind, len) == 0 && name[len] == ':' ? name + len + 1 : NULL;
}

bool section_check_name(const struct document_section *from, const char *file, struct problems *problems) {
    const char *tool = section_behind(from->name, "tool");
    const char *name = tool ? tool : section_behind(from->name, "plugin");
    bool too_long = tool && strlen(tool) > LIMIT_TOOL_NAME;

    if (document_is_name(span_of(name), "") && !too_long)
        return true;
    if (tool)
        problems_add(problems, file, from->line, "[%s]: a tool's name is 1 to %d characters of A-Z a-z 0-9 _ -",
                     from->name, LIMIT_TOOL_NAME);
    else
        problems_add(problems, file, from->line, "[%s]: a plugin's name consists of A-Z a-z 0-9 _ -", from->name);
    return false;
}

static json_t *need_json(json_t *json) {
    if (!json)
        abort(); /* no memory; sizes are bounded by that of the file */
    return json;
}

static void put(json_t *object, const char *key, json_t *value) {
    int r = json_object_set_new(object, key, need_json(value));

    if (r < 0)
        abort();
}

static struct config_section *find(struct config_section *sections, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(sections[i].name, name) == 0)
            return &sections[i];
    return NULL;
}

static struct config_section *append(struct config_section **sections, size_t *count, const char *name) {
    *sections = array_room(*sections, *count, sizeof(**sections));
    struct config_section *section = &(*sections)[(*count)++];
    *section = (struct config_section){.name = xstrdup(name),
                                       .settings = need_json(json_object()),
                                       .host = need_json(json_object()),
                                       .lines = need_json(json_object())};
    return section;
}

void sections_put(struct config_section **sections, size_t *count, const struct document_section *from,
                  const char *file) {
    const char *colon = strchr(from->name, ':'), *name = colon ? colon + 1 : from->name;
    /* It may have come under its other name, or by --set; a second one of the same name is a problem already. */
    struct config_section *section = find(*sections, *count, name);

    if (!section) {
        section = append(sections, count, name);
        section->file = xstrdup(file);
        section->line = from->line;
    }
    for (size_t i = 0; i < from->count; i++) {
        const struct document_entry *entry = &from->entries[i];
        bool is_host = entry->key[0] == '.';
        put(is_host ? section->host : section->settings, entry->key + is_host, json_string(entry->value));
        put(section->lines, entry->key, json_integer(entry->line));
    }
}

static int compare(const void *a, const void *b) {
    return strcmp(((const struct config_section *)a)->name, ((const struct config_section *)b)->name);
}

void sections_sort(struct config_section *sections, size_t count) {
    if (count > 0)
        qsort(sections, count, sizeof(*sections), compare);
}

const struct config_section *config_section_find(const struct config_section *sections, size_t count,
                                                 const char *name) {
    const struct config_section wanted = {.name = (char *)name}; /* only compared */

    return count > 0 ? bsearch(&wanted, sections, count, sizeof(*sections), compare) : NULL;
}

int config_section_line(const struct config_section *section, const char *key) {
    const json_t *line = json_object_get(section->lines, key);

    return line ? (int)json_integer_value(line) : section->line;
}

bool config_section_same(const struct config_section *a, const struct config_section *b) {
    /* The file counts: relative paths in the settings mean another place. */
    return strcmp(a->name, b->name) == 0 && strcmp(a->file, b->file) == 0 && json_equal(a->settings, b->settings) &&
           json_equal(a->host, b->host);
}

struct config_section *config_sections_free(struct config_section *sections, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(sections[i].name);
        free(sections[i].file);
        json_decref(sections[i].settings);
        json_decref(sections[i].host);
        json_decref(sections[i].lines);
    }
    free(sections);
    return NULL;
}
