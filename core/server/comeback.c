#include "server/comeback.h"

#include <stdio.h>

#include "base/log.h"
#include "ledger/carry.h"
#include "plugin/state.h"
#include "server/interrupted.h"

struct visiting {
    struct comeback *comeback;
    struct state *state;
    struct interrupted interrupted;
};

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
    struct visiting *visiting = arg;

    if (kind == &state_kind)
        visit_state(visiting, record);
    else
        interrupted_visit(&visiting->interrupted, kind, record);
}

/* Nothing is brought back of a content that is not understood as a whole. */
static int unpack(struct comeback *comeback, struct state *state, struct span content, struct theseus_error *err) {
    struct visiting visiting = {.comeback = comeback, .state = state};
    int r;

    interrupted_init(&visiting.interrupted);
    r = carry_unpack(content, visit, &visiting, err);
    if (r == 0)
        comeback->interrupted = interrupted_tell(&visiting.interrupted, comeback->calls);
    interrupted_fini(&visiting.interrupted);
    return r;
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
