#include "work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "dump.h"
#include "spares.h"
#include "tasks.h"

struct work *work_new(struct tasks *tasks, struct theseus_call *call, const json_t *args) {
    struct work *work = spares_take(tasks->spares);

    if (!work)
        return NULL;
    work->tasks = tasks;
    work->call = call;
    work->kind = theseus_tool_data(call);
    work->args = args;
    work->now = clock_now();
    return work;
}

struct work *work_free(struct work *work) {
    if (!work)
        return NULL;
    work_reset(work);
    if (work->prepared)
        work->kind->release(work->prepared);
    spares_put(work->tasks->spares, work);
    return NULL;
}

void work_reset(struct work *work) {
    json_decref(work->value);
    work->value = NULL;
    work->done = false;
    work->session = (struct session){0};
    work->err = (struct theseus_error){0};
    work->broken = false;
    text_clear(&work->text);
    text_clear(&work->stored);
}

int work_refuse(struct work *work, const char *format, ...) {
    va_list args;

    va_start(args, format);
    int len = vsnprintf(work->err.message, sizeof(work->err.message), format, args);
    va_end(args);
    if (len >= (int)sizeof(work->err.message))
        work->err.message[text_fitting(work->err.message, sizeof(work->err.message) - 1)] = '\0';
    work->err.code = 1;
    return -1;
}

int work_no_memory(struct work *work) {
    return work_refuse(work, "there is no memory for the answer");
}

static bool has_nul(const json_t *value) {
    return json_is_string(value) && strlen(json_string_value(value)) != json_string_length(value);
}

int work_check_texts(struct work *work) {
    const char *key;
    json_t *value;
    const json_t *item;
    size_t i;

    json_object_foreach ((json_t *)(uintptr_t)work->args, key, value) {
        bool holds = has_nul(value) && strcmp(key, "detailed_work") != 0;
        json_array_foreach (value, i, item)
            holds = holds || has_nul(item);
        if (holds)
            return work_refuse(work, "'%s' holds a NUL character", key);
    }
    return 0;
}

const char *work_string(const struct work *work, const char *key) {
    return json_string_value(json_object_get(work->args, key));
}

bool work_flag(const struct work *work, const char *key, bool missing) {
    const json_t *value = json_object_get(work->args, key);

    return value ? json_is_true(value) : missing;
}

int64_t work_integer(const struct work *work, const char *key, int64_t missing) {
    const json_t *value = json_object_get(work->args, key);

    return value ? (int64_t)json_number_value(value) : missing;
}

int work_finish(struct work *work) {
    if (!work->value || work->text.failed)
        return work_no_memory(work);
    /* Every answer names the session that it is about. */
    if (!json_object_get(work->value, "session_id") && work->session.session_id[0] &&
        json_object_set_new(work->value, "session_id", json_string(work->session.session_id)) < 0)
        return work_no_memory(work);
    work->done = true;
    return 0;
}

int work_store(struct work *work) {
    text_clear(&work->stored);
    dump_json(&work->stored, work->value);
    if (work->stored.failed)
        return work_no_memory(work);
    json_decref(TAKE(work->value));
    return 0;
}

/* The CallToolResult; new reference. NULL: no memory. */
static json_t *result_new(const struct work *work) {
    json_t *value = work->value ? json_incref(work->value) : json_loads(work->stored.data, JSON_ALLOW_NUL, NULL);

    return json_pack("{s:[{s:s, s:s%}], s:o}", "content", "type", "text", "text",
                     work->text.data ? work->text.data : "", work->text.len, "structuredContent", value);
}

int work_reply(struct work *work) {
    json_t *result = work->done ? result_new(work) : NULL;

    if (result)
        (void)theseus_reply(work->call, result);
    else if (work->done)
        (void)theseus_reply_error(work->call, "it is done, but there is no memory for the answer");
    else
        (void)theseus_reply_error(work->call, "%s", work->err.message);
    (void)work_free(work);
    return THESEUS_DONE;
}
