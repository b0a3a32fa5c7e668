/* orchestrator_restart_status: the restart that runs, or the latest one, and those before it. */
#include "reboot.h"

const char reboot_status_input[] =
    "{\"type\": \"object\", \"properties\": {\"include_history\": {\"type\": \"boolean\", \"default\": false, "
    "\"description\": \"add past restarts, metrics and alerts\"}, \"include_error_details\": {\"type\": \"boolean\", "
    "\"default\": true, \"description\": \"the errors themselves, not only their number\"}}, "
    "\"additionalProperties\": false}";

const char reboot_status_output[] =
    "{\"type\": \"object\", \"properties\": {\"current_status\": {\"type\": \"object\", \"properties\": {\"phase\": {"
    "\"type\": \"string\"}, \"progress\": {\"type\": \"number\"}, \"message\": {\"type\": \"string\"}, "
    "\"started_at\": {\"type\": [\"string\", \"null\"]}, \"estimated_completion\": {\"type\": [\"string\", "
    "\"null\"]}, \"maintenance_mode\": {\"type\": \"boolean\"}, \"errors\": {\"type\": \"array\"}, \"error_count\": {"
    "\"type\": \"integer\"}}, \"required\": [\"phase\", \"progress\", \"message\"]}, \"timestamp\": {"
    "\"type\": \"string\"}, \"history\": {\"type\": \"object\", \"properties\": {\"recent_restarts\": {"
    "\"type\": \"array\", \"items\": {\"type\": \"object\", \"properties\": {\"timestamp\": {\"type\": \"string\"}, "
    "\"reason\": {\"type\": \"string\"}, \"success\": {\"type\": \"boolean\"}, \"duration\": {\"type\": [\"number\", "
    "\"null\"], \"description\": \"seconds\"}}}}, \"total_restarts\": {\"type\": \"integer\"}, "
    "\"last_successful_restart\": {}, \"metrics\": {\"type\": \"object\"}, \"alerts\": {\"type\": \"array\"}}}}, "
    "\"required\": [\"current_status\", \"timestamp\"]}";

int reboot_status(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    return reboot_reply(call,
                        reboot_ask(call, "restart_status",
                                   json_pack("{s:b, s:b}", "include_history", 0, "include_error_details", 1), args));
}
