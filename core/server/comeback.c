#include "server/comeback.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "ledger/carry.h"
#include "plugin/state.h"
#include "rpc/jsontext.h"

enum { INNER_INDEX_SHIFT = 32 }; /* runs above are parts of another one's call */

/* Requests, runs and checkpoints come one kind after the other: what is known of a call is gathered by its key. */
struct visiting {
    struct comeback *comeback;
    struct state *state;
    json_t *tools, *checkpoints, *runs; /* borrowed: by key */
};

static void key_text(char text[static 64], uint64_t conn, uint64_t offset, uint64_t index) {
    (void)snprintf(text, 64, "%" PRIu64 "/%" PRIu64 "/%" PRIu64, conn, offset, index);
}

static void visit_request(struct visiting *visiting, const struct request_record *request) {
    json_auto_t *message = jsontext_read(request->text, NULL);
    json_t *asked = json_is_array(message) ? json_array_get(message, (size_t)request->index) : message;
    json_t *name = json_object_get(json_object_get(asked, "params"), "name");
    char key[64];

    key_text(key, request->conn, request->offset, request->index);
    if (json_is_string(name))
        (void)json_object_set(visiting->tools, key, name);
}

static void visit_run(struct visiting *visiting, const struct run_record *run) {
    char key[64];

    key_text(key, run->conn, run->offset, run->index);
    if (run->index >> INNER_INDEX_SHIFT == 0)
        (void)json_object_set_new(visiting->runs, key, json_true());
}

static void visit_checkpoint(struct visiting *visiting, const struct checkpoint_record *checkpoint) {
    char key[64];

    key_text(key, checkpoint->conn, checkpoint->offset, checkpoint->index);
    (void)json_object_set_new(visiting->checkpoints, key, json_true());
}

/* Whoever has the tasks goes on with it, or tells what has become of it. */
static void visit_task(struct visiting *visiting, const struct task_record *task) {
    char key[64];

    key_text(key, task->conn, task->offset, task->index);
    (void)json_object_del(visiting->runs, key);
}

static void visit_state(const struct visiting *visiting, const struct state_record *record) {
    struct theseus_error err = {0};
    bool taken = false;

    if (state_bring_back(visiting->state, record, &taken, &err) < 0) {
        log_error("a value of plugin '%.*s' could not be brought back: %s", (int)record->plugin.len,
                  record->plugin.data, err.message);
        return;
    }
    visiting->comeback->values += taken;
    visiting->comeback->present += !taken;
}

static void visit(void *arg, const struct record_kind *kind, const void *record) {
    if (kind == &request_kind)
        visit_request(arg, record);
    else if (kind == &run_kind)
        visit_run(arg, record);
    else if (kind == &checkpoint_kind)
        visit_checkpoint(arg, record);
    else if (kind == &state_kind)
        visit_state(arg, record);
    else if (kind == &task_kind)
        visit_task(arg, record);
}

static json_t *call_new(const json_t *tool, bool checkpoint) {
    const char *name = tool ? json_string_value(tool) : "(unknown)";
    CLEANUP(free)
    char *message = xasprintf("the call of tool '%s' was interrupted%s; it may have been executed", name,
                              checkpoint ? " behind a checkpoint, which nobody waits for any more" : "");

    return json_pack("{s:s, s:b, s:s}", "tool", name, "checkpoint", checkpoint, "message", message);
}

static void gather_calls(const struct visiting *visiting) {
    struct comeback *comeback = visiting->comeback;
    const char *key;
    json_t *run;

    json_object_foreach (visiting->runs, key, run) {
        if (comeback->interrupted++ < COMEBACK_NAMED)
            (void)json_array_append_new(comeback->calls, call_new(json_object_get(visiting->tools, key),
                                                                  json_object_get(visiting->checkpoints, key)));
    }
}

/* Nothing is brought back of a content that is not understood as a whole. */
static int unpack(struct comeback *comeback, struct state *state, struct span content, struct theseus_error *err) {
    json_auto_t *tools = json_object(), *checkpoints = json_object(), *runs = json_object();
    struct visiting visiting = {comeback, state, tools, checkpoints, runs};

    if (carry_unpack(content, visit, &visiting, err) < 0)
        return -1;
    gather_calls(&visiting);
    return 0;
}

static void note_origin(struct comeback *comeback, const struct seal_info *info) {
    (void)snprintf(comeback->boot_id, sizeof(comeback->boot_id), "%s", info->boot_id);
    (void)snprintf(comeback->version, sizeof(comeback->version), "%s", info->server_version);
    comeback->written_ms = info->created_ms;
}

int comeback_try(struct comeback *comeback, struct snapshot *snapshot, struct state *state, struct theseus_error *err) {
    CLEANUP(snapshot_found_fini) struct snapshot_found found = {0};
    struct theseus_error why = {0};
    int r = snapshot_claim(snapshot, &found, err);

    if (r < 0)
        return -1;
    comeback->refused = found.refused;
    comeback->refusal = found.refusal;
    comeback->calls = json_array();
    if (r == SNAPSHOT_NONE)
        return 0;
    note_origin(comeback, &found.sealed.info);
    if (unpack(comeback, state, buf_span(&found.sealed.content), &why) == 0) {
        comeback->claimed = true;
        return 0;
    }
    (void)error_prefix(&why, "the snapshot of server %s: ", comeback->boot_id);
    if (comeback->refused++ == 0)
        comeback->refusal = why;
    return snapshot_refuse(snapshot, err);
}

void comeback_fini(struct comeback *comeback) {
    json_decref(comeback->calls);
    comeback->calls = NULL;
}

struct history_event comeback_event(const struct comeback *comeback) {
    struct history_event event = history_event_of(HISTORY_CRASH, "interrupted", comeback->written_ms);

    event.mechanism = "snapshot";
    event.boot_before = comeback->boot_id;
    event.version_before = comeback->version;
    event.version_after = THESEUS_VERSION;
    event.by.transport = "start";
    event.by.uid = -1;
    event.calls_interrupted = comeback->interrupted;
    event.errors = comeback->calls;
    return event;
}
