#include "server/interrupted.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "call/keep.h"
#include "rpc/jsontext.h"

static void key_text(char text[static 64], uint64_t conn, uint64_t offset, uint64_t index) {
    (void)snprintf(text, 64, "%" PRIu64 "/%" PRIu64 "/%" PRIu64, conn, offset, index);
}

static void visit_request(struct interrupted *interrupted, const struct request_record *request) {
    json_auto_t *message = jsontext_read(request->text, NULL);
    json_t *asked = json_is_array(message) ? json_array_get(message, (size_t)request->index) : message;
    json_t *name = json_object_get(json_object_get(asked, "params"), "name");
    char key[64];

    key_text(key, request->conn, request->offset, request->index);
    if (json_is_string(name))
        (void)json_object_set(interrupted->tools, key, name);
}

static void visit_run(struct interrupted *interrupted, const struct run_record *run) {
    char key[64];

    key_text(key, run->conn, run->offset, run->index);
    if (!keep_is_inner(run->index)) /* which is a part of another one's call */
        (void)json_object_set_new(interrupted->runs, key, json_true());
}

static void visit_checkpoint(struct interrupted *interrupted, const struct checkpoint_record *checkpoint) {
    char key[64];

    key_text(key, checkpoint->conn, checkpoint->offset, checkpoint->index);
    (void)json_object_set_new(interrupted->checkpoints, key, json_true());
}

/* Whoever has the tasks goes on with it, or tells what has become of it. */
static void visit_task(struct interrupted *interrupted, const struct task_record *task) {
    char key[64];

    key_text(key, task->conn, task->offset, task->index);
    (void)json_object_del(interrupted->runs, key);
}

void interrupted_visit(struct interrupted *interrupted, const struct record_kind *kind, const void *record) {
    if (kind == &request_kind)
        visit_request(interrupted, record);
    else if (kind == &run_kind)
        visit_run(interrupted, record);
    else if (kind == &checkpoint_kind)
        visit_checkpoint(interrupted, record);
    else if (kind == &task_kind)
        visit_task(interrupted, record);
}

static json_t *told_new(const json_t *tool, bool checkpoint) {
    const char *name = tool ? json_string_value(tool) : "(unknown)";
    CLEANUP(free)
    char *message = xasprintf("the call of tool '%s' was interrupted%s; it may have been executed", name,
                              checkpoint ? " behind a checkpoint, which nobody waits for any more" : "");

    return json_pack("{s:s, s:b, s:s}", "tool", name, "checkpoint", checkpoint, "message", message);
}

int64_t interrupted_tell(const struct interrupted *interrupted, json_t *list) {
    int64_t count = 0;
    const char *key;
    json_t *run;

    json_object_foreach (interrupted->runs, key, run)
        if (count++ < INTERRUPTED_NAMED)
            (void)json_array_append_new(list, told_new(json_object_get(interrupted->tools, key),
                                                       json_object_get(interrupted->checkpoints, key)));
    return count;
}

void interrupted_init(struct interrupted *interrupted) {
    *interrupted = (struct interrupted){.tools = json_object(), .checkpoints = json_object(), .runs = json_object()};
}

void interrupted_fini(struct interrupted *interrupted) {
    json_decref(interrupted->tools);
    json_decref(interrupted->checkpoints);
    json_decref(interrupted->runs);
}
