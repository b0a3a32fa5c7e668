/* Resources: one that is what a tool wrote, one made by a template, and ways to fail. */
#include <stdlib.h>
#include <string.h>

#include <theseus/plugin.h>

static const char *text_of(const json_t *args, const char *key) {
    return json_string_value(json_object_get(args, key));
}

static int read_today(struct theseus_call *call, void *self, const json_t *args) {
    json_t *today = theseus_state_get(self, "today");
    int r = theseus_reply_text(call, "%s", today ? json_string_value(today) : "nothing yet");

    (void)args;
    json_decref(today);
    return r;
}

static int read_day(struct theseus_call *call, void *self, const json_t *args) {
    const char *month = text_of(args, "month"), *day = text_of(args, "day");

    (void)self;
    if (strcmp(day, "31") == 0)
        return theseus_reply_error(call, "there is no such day");
    return theseus_reply_json(call, json_pack("{s:s, s:s}", "month", month, "day", day));
}

static int read_silent(struct theseus_call *call, void *self, const json_t *args) {
    (void)call;
    (void)self;
    (void)args;
    return THESEUS_DONE;
}

static int read_crash(struct theseus_call *call, void *self, const json_t *args) {
    (void)call;
    (void)self;
    (void)args;
    abort();
}

static int note_today(struct theseus_call *call, void *self, const json_t *args) {
    if (theseus_state_put(self, "today", json_incref(json_object_get(args, "text"))) < 0 ||
        theseus_resource_changed(self, "notes://today") < 0)
        return theseus_reply_error(call, "%s", theseus_last_error(call->host));
    return theseus_reply_text(call, "noted");
}

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    (void)err;
    *ret_self = ctx;
    return 0;
}

static const struct theseus_tool tools[] = {
    {.name = "note_today",
     .description = "Writes today's note.",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\"}},\"required\":[\"text\"]}",
     .flags = THESEUS_IDEMPOTENT,
     .call = note_today},
    {0},
};

static const struct theseus_resource resources[] = {
    {.uri = "notes://today",
     .name = "today",
     .title = "Today",
     .description = "Today's note.",
     .mime_type = "text/markdown",
     .read = read_today},
    {.uri = "notes://month/{month}/day/{day}", .name = "day", .read = read_day},
    {.uri = "notes://silent", .name = "silent", .read = read_silent},
    {.uri = "notes://deadly/{name}", .name = "deadly", .read = read_crash},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "notes",
    .version = "1",
    .start = start,
    .tools = tools,
    .resources = resources,
};
