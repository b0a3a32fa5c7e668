/* orchestrator_shutdown_prepare: what would a restart meet, and what would it do? */
#include "reboot.h"

const char reboot_prepare_input[] =
    "{\"type\": \"object\", \"properties\": {\"check_active_tasks\": {\"type\": \"boolean\", \"default\": true, "
    "\"description\": \"calls that run\"}, \"check_database_state\": {\"type\": \"boolean\", \"default\": true, "
    "\"description\": \"open transactions\"}, \"check_client_connections\": {\"type\": \"boolean\", "
    "\"default\": true, \"description\": \"clients, and whether they can be told\"}, \"explain\": {"
    "\"type\": \"boolean\", \"default\": false, \"description\": \"add what a restart now would do\"}}, "
    "\"additionalProperties\": false}";

const char reboot_prepare_output[] =
    "{\"type\": \"object\", \"properties\": {\"ready_for_shutdown\": {\"type\": \"boolean\"}, \"blocking_issues\": {"
    "\"type\": \"array\"}, \"timestamp\": {\"type\": \"string\"}, \"checks\": {\"type\": \"object\", "
    "\"properties\": {\"active_tasks\": {\"type\": \"object\", \"properties\": {\"count\": {\"type\": \"integer\"}, "
    "\"suspendable\": {\"type\": \"boolean\"}, \"status\": {\"type\": \"string\"}}}, \"database\": {"
    "\"type\": \"object\", \"properties\": {\"transactions_pending\": {\"type\": \"integer\"}, "
    "\"connections_open\": {\"type\": \"integer\"}, \"status\": {\"type\": \"string\"}}}, \"client_connections\": {"
    "\"type\": \"object\", \"properties\": {\"active_connections\": {\"type\": \"integer\"}, \"notifiable\": {"
    "\"type\": \"boolean\"}, \"status\": {\"type\": \"string\"}}}}}, \"explain\": {\"type\": \"object\"}}, "
    "\"required\": [\"ready_for_shutdown\", \"blocking_issues\", \"timestamp\", \"checks\"]}";

int reboot_prepare(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    return reboot_reply(call,
                        reboot_ask(call, "prepare",
                                   json_pack("{s:b, s:b, s:b, s:b}", "check_active_tasks", 1, "check_database_state", 1,
                                             "check_client_connections", 1, "explain", 0),
                                   args));
}
