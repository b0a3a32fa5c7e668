/*
 * Reboot: the server restarted, and judged, from inside the conversation. Nothing is decided here: each tool is its
 * schemas, its defaults, and a question to the core, which makes the whole answer and checks the section [access].
 */
#include "reboot.h"

json_t *reboot_ask(struct theseus_call *call, const char *verb, json_t *defaults, const json_t *args) {
    json_t *answer = NULL;

    if (!defaults || (args && json_object_update(defaults, (json_t *)(uintptr_t)args) < 0))
        answer = json_pack("{s:s}", "error", "no memory for the question");
    else
        answer = theseus_control(call, verb, defaults);
    json_decref(defaults);
    return answer;
}

int reboot_reply(struct theseus_call *call, json_t *answer) {
    const char *error = json_string_value(json_object_get(answer, "error"));

    if (answer && !error)
        return theseus_reply_json(call, answer);
    (void)theseus_reply_error(call, "%s", error ? error : theseus_last_error(call->host));
    json_decref(answer);
    return THESEUS_DONE;
}

static const struct theseus_tool tools[] = {
    {
        .name = "orchestrator_restart_server",
        .title = "Restart the server",
        .description =
            "Use this to bring a new version, configuration or database schema of this server into force, or to heal "
            "it: the process replaces itself while you stay connected, running calls finish or go on, and this call is "
            "answered with what was measured. If the new version is bad, everything stays as it was and the answer "
            "says why.",
        .input_schema = reboot_restart_input,
        .output_schema = reboot_restart_output,
        .flags = THESEUS_DESTRUCTIVE, /* without preserve_state, plugins forget and calls are given up */
        .call = reboot_restart,
    },
    {
        .name = "orchestrator_health_check",
        .title = "Health of the server",
        .description = "Use this to see whether the server is well: before and after a restart, or when tools fail. "
                       "`issues` names what is wrong; `checks` has the database, connections, plugins, configuration "
                       "and whether a restart is possible now.",
        .input_schema = reboot_health_input,
        .output_schema = reboot_health_output,
        .flags = THESEUS_READ_ONLY,
        .call = reboot_health,
    },
    {
        .name = "orchestrator_shutdown_prepare",
        .title = "Readiness for a restart",
        .description = "Use this before a restart or shutdown to see what it would meet: calls that run, the database, "
                       "clients that cannot be told, and what blocks it. Changes nothing. With `explain` it also says "
                       "what a restart now would do, and how long it should take.",
        .input_schema = reboot_prepare_input,
        .output_schema = reboot_prepare_output,
        .flags = THESEUS_READ_ONLY,
        .call = reboot_prepare,
    },
    {
        .name = "orchestrator_restart_status",
        .title = "Status of a restart",
        .description = "Use this to follow a restart, also while it runs, or to learn how the latest one ended. With "
                       "`include_history`: the restarts of the past, success rate, durations, and alerts.",
        .input_schema = reboot_status_input,
        .output_schema = reboot_status_output,
        .flags = THESEUS_READ_ONLY,
        .call = reboot_status,
    },
    {
        .name = "orchestrator_reconnect_test",
        .title = "Test of what a restart carries over",
        .description = "Use this to prove, without restarting, that client sessions would survive a restart: the state "
                       "of each is written, read back by the program that would take over, and compared. A session "
                       "that would be lost is named with the reason.",
        .input_schema = reboot_reconnect_input,
        .output_schema = reboot_reconnect_output,
        .flags = THESEUS_READ_ONLY,
        .call = reboot_reconnect,
    },
    {0},
};

static int read_status(struct theseus_call *call, void *self, const json_t *args) {
    json_t *nothing = json_object();
    int r = reboot_health(call, self, nothing);

    (void)args;
    json_decref(nothing);
    return r;
}

static int read_connections(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return reboot_reply(call, reboot_ask(call, "connections", json_object(), NULL));
}

static const struct theseus_resource resources[] = {
    {.uri = "theseus://connections",
     .name = "connections",
     .title = "Who is connected",
     .description =
         "Every client of this server: what it calls itself, who and how, since when, and what it waits for.",
     .mime_type = "application/json",
     .read = read_connections},
    {.uri = "theseus://status",
     .name = "status",
     .title = "How the server is",
     .description = "What orchestrator_health_check answers: is the server well, and if not, why.",
     .mime_type = "application/json",
     .read = read_status},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "reboot",
    .version = "1.0.0",
    .description = "Restarts the server under its clients, and shows its health and history.",
    .tools = tools,
    .resources = resources,
};
