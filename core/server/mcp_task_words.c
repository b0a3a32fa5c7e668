#include "server/mcp_task_words.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "rpc/codes.h"
#include "rpc/jsontext.h"

enum { POLL_MS = 1000 };

static json_t *time_new(int64_t wall_ms) {
    char text[CLOCK_TEXT_BYTES];

    return json_string(clock_rfc3339(wall_ms, text));
}

json_t *mcp_task_new(const char *id, const char *status, const char *message, int64_t created_ms, int64_t updated_ms) {
    return json_pack("{s:s, s:s, s:s*, s:o, s:o, s:I, s:i}", "taskId", id, "status", status, "statusMessage", message,
                     "createdAt", time_new(created_ms), "lastUpdatedAt", time_new(updated_ms), "ttlMs",
                     (json_int_t)LIMIT_TASK_TTL_S * 1000, "pollIntervalMs", POLL_MS);
}

static json_t *response_new(const char *answer) {
    struct theseus_error err = {0};

    return answer && *answer ? jsontext_read(span_of(answer), &err) : NULL;
}

void mcp_task_add_outcome(json_t *task, const char *answer) {
    json_auto_t *response = response_new(answer);
    json_t *result = json_object_get(response, "result"), *error = json_object_get(response, "error");

    if (result)
        (void)json_object_set(task, "result", result);
    if (error)
        (void)json_object_set(task, "error", error);
}

const char *mcp_task_status(const char *answer) {
    json_auto_t *response = response_new(answer);

    if (!*answer)
        return "cancelled";
    return json_object_get(response, "result") ? "completed" : "failed";
}

char *mcp_task_lost(const char *tool, const char *step, const char *why) {
    return xasprintf("the server ended while tool '%s' ran; it may have executed in part (it had reached: %s), and %s",
                     tool, step ? step : "no step that it told of", why);
}

char *mcp_task_lost_answer(const char *text) {
    json_auto_t *response =
        json_pack("{s:s, s:{s:i, s:s}}", "jsonrpc", "2.0", "error", "code", code_of(ERR_INTERNAL), "message", text);
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};

    char *answer = response && jsontext_write(response, &line, &err) == 0 ? buf_take_string(&line) : NULL;
    return answer ? answer : xstrdup("{}"); /* a text that is no UTF-8 */
}
