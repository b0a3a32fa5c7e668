/* theseus_plugins: what is loaded, in which state, and what was refused. */
#include "admin.h"

#include <stdio.h>
#include <stdlib.h>

const char admin_plugins_output[] =
    "{\"type\": \"object\", \"properties\": {"
    "\"plugins\": {\"type\": \"array\", \"items\": {\"type\": \"object\", \"properties\": {"
    "\"name\": {\"type\": \"string\"}, \"version\": {\"type\": \"string\"}, \"file\": {\"type\": \"string\"}, "
    "\"hash\": {\"type\": \"string\"}, \"generation\": {\"type\": \"integer\"}, "
    "\"state\": {\"type\": \"string\", \"description\": \"active, draining, quarantined, reverted or unloaded\"}, "
    "\"reason\": {\"type\": \"string\"}, \"since\": {\"type\": \"string\", \"description\": \"it serves "
    "since then\"}, \"instead_of\": {\"type\": \"object\", \"description\": \"of a reverted plugin: the version that was "
    "refused, its file and hash, why, and since when\"}, \"crashes\": {\"type\": \"integer\"}, \"good\": {"
    "\"type\": \"boolean\", \"description\": \"it has proved good, and is kept to serve again\"}, \"probation\": {"
    "\"type\": \"boolean\", \"description\": \"it is so new that its first crash ends it\"}, "
    "\"isolation\": {\"type\": \"string\", \"description\": \"none or process\"}, "
    "\"process\": {\"type\": \"object\", \"description\": \"of an isolated plugin: its state, pid (null: none "
    "runs), restarts, memory and its limit in bytes, where it may write, and what the trouble is\"}, "
    "\"tools\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}}, "
    "\"calls\": {\"type\": \"object\", \"properties\": {\"served\": {\"type\": \"integer\"}, "
    "\"failed\": {\"type\": \"integer\"}, \"mean_ms\": {\"type\": \"number\"}, \"p99_ms\": {\"type\": \"number\"}}}, "
    "\"in_flight\": {\"type\": \"integer\"}}, \"required\": [\"name\", \"version\", \"state\"]}}, "
    "\"refused\": {\"type\": \"array\", \"items\": {\"type\": \"object\", \"properties\": {"
    "\"file\": {\"type\": \"string\"}, \"reason\": {\"type\": \"string\"}}, \"required\": [\"file\", \"reason\"]}}, "
    "\"disabled\": {\"type\": \"array\", \"description\": \"files that are not looked at, for plugins.disable names "
    "them\", \"items\": {\"type\": \"string\"}}, "
    "\"stuck\": {\"type\": \"array\", \"description\": \"threads that do not come back from a plugin's code\", "
    "\"items\": {\"type\": \"object\", \"properties\": {\"plugin\": {\"type\": \"string\"}, \"tool\": {"
    "\"type\": \"string\"}, \"slot\": {\"type\": \"string\"}, \"stuck_s\": {\"type\": \"number\"}}}}}, "
    "\"required\": [\"plugins\", \"refused\", \"disabled\"]}";

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* Of a plugin that is isolated; nothing for others. */
static void print_process(FILE *out, const json_t *process) {
    const json_t *pid = json_object_get(process, "pid");
    const char *trouble = text_of(process, "trouble");

    if (!process)
        return;
    (void)fprintf(out, "  isolated: ");
    if (json_is_integer(pid))
        (void)fprintf(out, "process %" JSON_INTEGER_FORMAT ", %.1f MB, ", json_integer_value(pid),
                      json_number_value(json_object_get(process, "memory")) / 1e6);
    (void)fprintf(out, "%s, %" JSON_INTEGER_FORMAT " restarts%s%s\n", text_of(process, "state"),
                  json_integer_value(json_object_get(process, "restarts")), *trouble ? "; it " : "", trouble);
}

/* Which version serves, and which should. */
static void print_reverted(FILE *out, const json_t *plugin, const json_t *instead) {
    (void)fprintf(out, "reverted: it serves since %s in place of version %s at '%s', refused since %s because it %s\n",
                  text_of(plugin, "since"), text_of(instead, "version"), text_of(instead, "file"),
                  text_of(instead, "since"), text_of(instead, "reason"));
}

static void print_plugin(FILE *out, const json_t *plugin) {
    const json_t *instead = json_object_get(plugin, "instead_of");
    const json_t *calls = json_object_get(plugin, "calls"), *tools = json_object_get(plugin, "tools"), *tool;
    const char *reason = text_of(plugin, "reason");
    size_t i;

    (void)fprintf(out, "%s %s, generation %" JSON_INTEGER_FORMAT ", ", text_of(plugin, "name"),
                  text_of(plugin, "version"), json_integer_value(json_object_get(plugin, "generation")));
    if (instead)
        print_reverted(out, plugin, instead);
    else
        (void)fprintf(out, "%s%s%s\n", text_of(plugin, "state"), *reason ? ": " : "", reason);
    (void)fprintf(
        out,
        "  calls: %" JSON_INTEGER_FORMAT " served, %" JSON_INTEGER_FORMAT " failed, %" JSON_INTEGER_FORMAT
        " running; mean %.3g ms, p99 %.3g ms\n",
        json_integer_value(json_object_get(calls, "served")), json_integer_value(json_object_get(calls, "failed")),
        json_integer_value(json_object_get(plugin, "in_flight")), json_number_value(json_object_get(calls, "mean_ms")),
        json_number_value(json_object_get(calls, "p99_ms")));
    print_process(out, json_object_get(plugin, "process"));
    if (json_integer_value(json_object_get(plugin, "crashes")) > 0 ||
        json_is_true(json_object_get(plugin, "probation")))
        (void)fprintf(out, "  crashes: %" JSON_INTEGER_FORMAT "%s\n",
                      json_integer_value(json_object_get(plugin, "crashes")),
                      json_is_true(json_object_get(plugin, "probation")) ? "; in its probation" : "");
    (void)fprintf(out, "  tools:");
    json_array_foreach (tools, i, tool)
        (void)fprintf(out, "%s %s", i ? "," : "", json_string_value(tool));
    (void)fprintf(out, "%s\n", i ? "" : " none");
}

static void print_stuck(FILE *out, const json_t *hang) {
    const char *tool = text_of(hang, "tool");

    (void)fprintf(out, "stuck: a thread in %s '%s' of %s, for %.0f s now\n", *tool ? "tool" : "slot",
                  *tool ? tool : text_of(hang, "slot"), text_of(hang, "plugin"),
                  json_number_value(json_object_get(hang, "stuck_s")));
}

/* Owned; NULL: no memory. */
static char *describe(const json_t *answer) {
    const json_t *plugins = json_object_get(answer, "plugins"), *refused = json_object_get(answer, "refused");
    const json_t *disabled = json_object_get(answer, "disabled"), *stuck = json_object_get(answer, "stuck"), *item;
    char *text = NULL;
    size_t size, i;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    json_array_foreach (plugins, i, item)
        print_plugin(out, item);
    json_array_foreach (refused, i, item)
        (void)fprintf(out, "refused: %s: %s\n", text_of(item, "file"), text_of(item, "reason"));
    json_array_foreach (disabled, i, item)
        (void)fprintf(out, "disabled: %s\n", json_string_value(item));
    json_array_foreach (stuck, i, item)
        print_stuck(out, item);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

int admin_plugins(struct theseus_call *call, void *self, const json_t *args) {
    json_t *answer = admin_ask(call, "plugins", args);

    (void)self;
    return answer ? admin_reply(call, answer, describe(answer)) : THESEUS_DONE;
}
