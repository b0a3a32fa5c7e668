/* orchestrator_reconnect_test: would the clients' sessions survive a restart? */
#include "reboot.h"

const char reboot_reconnect_input[] =
    "{\"type\": \"object\", \"properties\": {\"session_id\": {\"type\": \"string\", \"minLength\": 1, "
    "\"description\": \"test this session only; left out: all\"}, \"include_buffer_status\": {\"type\": \"boolean\", "
    "\"default\": true, \"description\": \"requests that wait\"}, \"include_reconnection_stats\": {"
    "\"type\": \"boolean\", \"default\": true, \"description\": \"reconnections of the past\"}}, "
    "\"additionalProperties\": false}";

const char reboot_reconnect_output[] =
    "{\"type\": \"object\", \"properties\": {\"test_completed\": {\"type\": \"boolean\"}, \"timestamp\": {"
    "\"type\": \"string\"}, \"overall_status\": {\"type\": \"string\"}, \"results\": {\"type\": \"object\", "
    "\"properties\": {\"session_test\": {\"type\": \"object\", \"properties\": {\"session_id\": {"
    "\"type\": \"string\"}, \"reachable\": {\"type\": \"boolean\"}, \"reconnect_capable\": {\"type\": \"boolean\"}, "
    "\"status\": {\"type\": \"string\"}}}, \"all_sessions\": {\"type\": \"object\", \"properties\": {"
    "\"total_sessions\": {\"type\": \"integer\"}, \"reachable_sessions\": {\"type\": \"integer\"}, "
    "\"reconnect_capable\": {}, \"status\": {\"type\": \"string\"}}}, \"sessions\": {\"type\": \"array\", "
    "\"items\": {\"type\": \"object\", \"properties\": {\"session_id\": {\"type\": \"string\"}, \"client\": {}, "
    "\"transport\": {\"type\": \"string\"}, \"state\": {}}}}, \"buffer_status\": {\"type\": \"object\", "
    "\"properties\": {\"total_buffered_requests\": {\"type\": \"integer\"}, \"sessions_with_buffers\": {"
    "\"type\": \"integer\"}, \"status\": {\"type\": \"string\"}}}, \"reconnection_stats\": {\"type\": \"object\", "
    "\"properties\": {\"successful_reconnections\": {\"type\": \"integer\"}, \"failed_reconnections\": {"
    "\"type\": \"integer\"}, \"average_reconnection_time\": {\"type\": [\"number\", \"null\"]}, \"status\": {"
    "\"type\": \"string\"}}}}}}, \"required\": [\"test_completed\", \"timestamp\", \"overall_status\", \"results\"]}";

int reboot_reconnect(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    return reboot_reply(
        call, reboot_ask(call, "reconnect_test",
                         json_pack("{s:b, s:b}", "include_buffer_status", 1, "include_reconnection_stats", 1), args));
}
