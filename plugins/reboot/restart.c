/* orchestrator_restart_server: accepted here, answered by whichever process image the restart ends in. */
#include "reboot.h"

#include <string.h>

const char reboot_restart_input[] =
    "{\"type\": \"object\", \"properties\": {\"graceful\": {\"type\": \"boolean\", \"default\": true, "
    "\"description\": \"let running calls finish or reach a checkpoint first\"}, \"preserve_state\": {"
    "\"type\": \"boolean\", \"default\": true, \"description\": \"keep plugin state, "
    "checkpoints and waiting requests\"}, \"timeout\": {\"type\": \"integer\", \"minimum\": 10, \"maximum\": 300, "
    "\"default\": 30, \"description\": \"seconds for all of it; then it is undone\"}, \"reason\": {"
    "\"type\": \"string\", \"enum\": [\"manual_request\", \"configuration_update\", \"schema_migration\", "
    "\"error_recovery\", \"emergency_shutdown\"], \"default\": \"manual_request\", \"description\": \"decides the "
    "way: configuration_update reloads in place where that is enough; emergency_shutdown waits for nothing and keeps "
    "no state unless told so\"}}, \"additionalProperties\": false}";

const char reboot_restart_output[] =
    "{\"type\": \"object\", \"properties\": {\"success\": {\"type\": \"boolean\"}, \"pending\": {"
    "\"type\": \"boolean\", \"description\": \"still under way: ask orchestrator_restart_status\"}, \"graceful\": {"
    "\"type\": \"boolean\"}, \"preserve_state\": {\"type\": \"boolean\"}, \"timeout\": {\"type\": \"integer\"}, "
    "\"phase\": {\"type\": \"string\"}, \"progress\": {\"type\": \"number\"}, \"message\": {\"type\": \"string\"}, "
    "\"restart_reason\": {\"type\": \"string\"}, \"completed_at\": {\"type\": [\"string\", \"null\"]}, "
    "\"mechanism\": {\"type\": [\"string\", \"null\"], \"description\": \"reload or reexec\"}, \"blackout_ms\": {"
    "\"type\": [\"number\", \"null\"], \"description\": \"how long nothing was handled\"}, \"held_ms\": {"
    "\"type\": [\"number\", \"null\"], \"description\": \"longest wait of a tool call\"}, \"suspend_ms\": {"
    "\"type\": [\"number\", \"null\"]}, \"pid\": {\"type\": \"object\", \"properties\": {\"before\": {"
    "\"type\": \"integer\"}, \"after\": {\"type\": \"integer\"}}}, \"boot_id\": {\"type\": \"object\", "
    "\"properties\": {\"before\": {\"type\": \"string\"}, \"after\": {\"type\": \"string\"}}}, \"server_version\": {"
    "\"type\": \"object\", \"properties\": {\"before\": {\"type\": \"string\"}, \"after\": {\"type\": \"string\"}}}, "
    "\"requests_held\": {\"type\": \"integer\"}, \"calls_resumed\": {\"type\": \"integer\"}, \"calls_interrupted\": {"
    "\"type\": \"integer\"}, \"bytes_carried\": {\"type\": \"integer\"}, \"plugins\": {}, "
    "\"migrations\": {\"type\": \"array\", \"description\": \"steps of the database's schema that were applied\"}, "
    "\"backup\": {\"type\": [\"string\", \"null\"], \"description\": \"the database before them\"}, \"errors\": {"
    "\"type\": \"array\"}}, \"required\": [\"success\", \"phase\", \"message\"]}";

/* An emergency is neither graceful nor careful, unless the caller says a word about that. */
static bool is_bare_emergency(const json_t *args) {
    const char *reason = json_string_value(json_object_get(args, "reason"));

    return reason && strcmp(reason, "emergency_shutdown") == 0 && !json_object_get(args, "graceful") &&
           !json_object_get(args, "preserve_state");
}

/* The time is not filled in: who does not say gets what restart.total_restart says. */
int reboot_restart(struct theseus_call *call, void *self, const json_t *args) {
    int careful = !is_bare_emergency(args);

    (void)self;
    json_t *answer = reboot_ask(
        call, "restart",
        json_pack("{s:b, s:b, s:s}", "graceful", careful, "preserve_state", careful, "reason", "manual_request"), args);
    return answer ? reboot_reply(call, answer) : THESEUS_LATER;
}
