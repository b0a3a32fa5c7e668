#include "server/calls.h"

#include <string.h>

#include "plugin/generation.h"
#include "plugin/registry.h"
#include "server/inner.h"

static const char *const stage_names[] = {
    [CALL_HELD] = "held", [CALL_RUNNING] = "running", [CALL_SUSPENDED] = "suspended"};

struct look {
    struct server *server;
    const struct call *asking;
    struct calls *calls;
};

/* The name as the client wrote it; the request of a held call may have to be read once more. New reference. */
static json_t *tool_name_new(const struct call *call) {
    CLEANUP(message_fini) struct message message = {0};
    const json_t *params = call->message.params;
    struct theseus_error err = {0};

    if (!call->message.root && call->held_text && message_read(call->text, &message, &err) == 0)
        params = message.params;
    json_t *name = json_object_get(params, "name");
    return json_is_string(name) ? json_incref(name) : json_string("");
}

/* A handler that has not been entered says nothing of its tool yet: what is offered under that name does. */
static unsigned flags_of(struct server *server, const struct call *call, const char *tool, json_t **ret_plugin) {
    unsigned flags = atomic_load(&call->tool_flags);
    struct offer *offer = registry_find(server->registry, tool);

    *ret_plugin = NULL;
    if (!offer)
        return flags;
    *ret_plugin = json_string(offer->generation->name);
    if (atomic_load(&call->stage) == CALL_HELD)
        flags = offer->tool->flags;
    registry_release(server->registry, offer);
    return flags;
}

/* Held calls begin in the next image; of the others it depends on the tool. */
static const char *fate_of(enum call_stage stage, unsigned flags) {
    if (stage == CALL_HELD)
        return "finishes";
    if (stage == CALL_SUSPENDED || (flags & THESEUS_RESUMABLE))
        return "resumes";
    return flags & (THESEUS_READ_ONLY | THESEUS_IDEMPOTENT) ? "runs_again" : "interrupted";
}

static void look_at(void *arg, struct call *call) ON_LOOP {
    const struct look *look = arg;
    json_t *plugin, *limit = NULL;

    if (call == look->asking || strcmp(call->method, "tools/call") != 0)
        return;
    json_auto_t *name = tool_name_new(call);
    const enum call_stage stage = (enum call_stage)atomic_load(&call->stage);
    const char *fate = fate_of(stage, flags_of(look->server, call, json_string_value(name), &plugin));
    look->calls->count++;
    if (strcmp(fate, "interrupted") == 0) {
        look->calls->suspendable = false;
        limit = json_integer((json_int_t)look->server->config->restart.shutdown_timeout * 1000);
    }
    (void)json_array_append_new(look->calls->list,
                                json_pack("{s:O, s:o*, s:s, s:s, s:o*}", "tool", name, "plugin", plugin, "stage",
                                          stage_names[stage], "what_happens", fate, "within_ms", limit));
}

void calls_look(struct server *server, const struct call *asking, struct calls *ret_calls) {
    struct look look = {server, asking, ret_calls};

    *ret_calls = (struct calls){.suspendable = true, .list = json_array()};
    if (server->clients)
        clients_each_call(server->clients, look_at, &look);
}

void calls_fini(struct calls *calls) {
    json_decref(calls->list);
    *calls = (struct calls){0};
}

void calls_fini_cleanup(struct calls *calls) {
    calls_fini(calls);
}
