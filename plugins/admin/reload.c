/* theseus_reload: takes what changed, and says what that was. */
#include "admin.h"

#include <stdio.h>
#include <stdlib.h>

#define NAMES "{\"type\": \"array\", \"items\": {\"type\": \"string\"}}"

const char admin_reload_output[] =
    "{\"type\": \"object\", \"properties\": {"
    "\"tools\": {\"type\": \"object\", \"properties\": {\"added\": " NAMES ", \"removed\": " NAMES
    ", \"changed\": " NAMES "}}, \"plugins\": {\"type\": \"object\", \"properties\": {\"loaded\": " NAMES
    ", \"reloaded\": " NAMES ", \"removed\": " NAMES ", \"unchanged\": " NAMES "}}, "
    "\"refused\": {\"type\": \"array\", \"items\": {\"type\": \"object\", \"properties\": {"
    "\"file\": {\"type\": \"string\"}, \"reason\": {\"type\": \"string\"}}, \"required\": [\"file\", \"reason\"]}}, "
    "\"waiting\": {\"type\": \"array\", \"description\": \"replaced as soon as these calls have ended\", \"items\": "
    "{\"type\": \"object\", \"properties\": {\"plugin\": {\"type\": \"string\"}, \"calls\": " NAMES "}}}, "
    "\"configuration\": {\"type\": \"string\", \"description\": \"unchanged, reloaded, refused: and why; or, for one plugin, not looked at\"}}, "
    "\"required\": [\"tools\", \"plugins\", \"refused\", \"waiting\", \"configuration\"]}";

/* "tools added: a, b"; nothing for an empty list. */
static void print_names(FILE *out, const char *title, const json_t *names) {
    size_t i;
    json_t *name;

    json_array_foreach (names, i, name)
        (void)fprintf(out, "%s%s", i ? ", " : title, json_string_value(name));
    if (i)
        (void)fputc('\n', out);
}

static void print_refusals(FILE *out, const json_t *refused, const json_t *waiting) {
    size_t i;
    json_t *item;

    json_array_foreach (refused, i, item)
        (void)fprintf(out, "refused: %s: %s\n", json_string_value(json_object_get(item, "file")),
                      json_string_value(json_object_get(item, "reason")));
    json_array_foreach (waiting, i, item) {
        (void)fprintf(out, "waiting: %s", json_string_value(json_object_get(item, "plugin")));
        print_names(out, ", until these calls have ended: ", json_object_get(item, "calls"));
    }
}

/* Owned; NULL: no memory. */
static char *describe(const json_t *answer) {
    const json_t *tools = json_object_get(answer, "tools"), *plugins = json_object_get(answer, "plugins");
    const char *configuration = json_string_value(json_object_get(answer, "configuration"));
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    print_names(out, "tools added: ", json_object_get(tools, "added"));
    print_names(out, "tools removed: ", json_object_get(tools, "removed"));
    print_names(out, "tools changed: ", json_object_get(tools, "changed"));
    print_names(out, "plugins loaded: ", json_object_get(plugins, "loaded"));
    print_names(out, "plugins reloaded: ", json_object_get(plugins, "reloaded"));
    print_names(out, "plugins removed: ", json_object_get(plugins, "removed"));
    print_refusals(out, json_object_get(answer, "refused"), json_object_get(answer, "waiting"));
    (void)fprintf(out, "configuration: %s\n", configuration ? configuration : "unchanged");
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

int admin_reload(struct theseus_call *call, void *self, const json_t *args) {
    json_t *answer = admin_ask(call, "reload", args);

    (void)self;
    return answer ? admin_reply(call, answer, describe(answer)) : THESEUS_DONE;
}
