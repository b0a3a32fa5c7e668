/* orchestrator_health_check: is the server well, and if not, what is wrong? */
#include "reboot.h"

const char reboot_health_input[] =
    "{\"type\": \"object\", \"properties\": {\"include_reboot_readiness\": {\"type\": \"boolean\", "
    "\"default\": true, \"description\": \"could it restart now?\"}, \"include_connection_status\": {"
    "\"type\": \"boolean\", \"default\": true, \"description\": \"how many clients are there?\"}, "
    "\"include_database_status\": {\"type\": \"boolean\", \"default\": true, "
    "\"description\": \"can the database be written?\"}}, \"additionalProperties\": false}";

const char reboot_health_output[] =
    "{\"type\": \"object\", \"properties\": {\"healthy\": {\"type\": \"boolean\"}, \"issues\": {"
    "\"type\": \"array\"}, \"warnings\": {\"type\": \"array\"}, \"timestamp\": {\"type\": \"string\"}, \"server_version\": {\"type\": \"string\"}, "
    "\"pid\": {\"type\": \"integer\"}, \"boot_id\": {\"type\": \"string\"}, \"uptime_s\": {\"type\": \"number\"}, "
    "\"checks\": {\"type\": \"object\", \"properties\": {\"reboot_readiness\": {\"type\": \"object\", "
    "\"properties\": {\"ready\": {\"type\": \"boolean\"}, \"issues\": {\"type\": \"array\"}}}, \"database\": {"
    "\"type\": \"object\", \"properties\": {\"connected\": {\"type\": \"boolean\"}, \"status\": {"
    "\"type\": \"string\"}, \"last_backup\": {\"type\": [\"object\", \"null\"]}, \"last_snapshot\": {"
    "\"type\": [\"string\", \"null\"]}}}, \"connections\": {\"type\": \"object\", \"properties\": {\"active_connections\": {"
    "\"type\": \"integer\"}, \"status\": {\"type\": \"string\"}}}, \"plugins\": {\"type\": \"object\", "
    "\"properties\": {\"active\": {}, \"refused\": {\"type\": \"array\"}, \"quarantined\": {\"type\": \"array\"}}}, "
    "\"threads\": {\"type\": \"object\", \"properties\": {\"workers\": {\"type\": \"integer\"}, \"busy\": {"
    "\"type\": \"integer\"}, \"stuck\": {\"type\": \"array\"}}}, \"memory\": {\"type\": \"object\"}, \"ledger\": {"
    "\"type\": \"object\"}, \"configuration\": {"
    "\"type\": \"object\"}}}}, \"required\": [\"healthy\", \"timestamp\", \"server_version\", "
    "\"checks\"]}";

int reboot_health(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    return reboot_reply(call, reboot_ask(call, "health",
                                         json_pack("{s:b, s:b, s:b}", "include_reboot_readiness", 1,
                                                   "include_connection_status", 1, "include_database_status", 1),
                                         args));
}
