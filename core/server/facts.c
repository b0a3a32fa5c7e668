#include "server/facts.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/binary.h"
#include "base/clock.h"
#include "server/inner.h"
#include "server/restart.h"

bool facts_wants(const json_t *args, const char *parameter, bool otherwise) {
    const json_t *value = json_object_get(args, parameter);

    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

json_t *facts_time_new(int64_t wall_ms) {
    char text[CLOCK_TEXT_BYTES];

    return wall_ms < 0 ? json_null() : json_string(clock_rfc3339(wall_ms, text));
}

json_t *facts_now_new(void) {
    return facts_time_new(clock_wall_ms());
}

void facts_add_text(json_t *list, const char *format, ...) {
    va_list args;

    va_start(args, format);
    CLEANUP(free) char *text = xvasprintf(format, args);
    va_end(args);
    (void)json_array_append_new(list, json_string(text));
}

void facts_add_obstacles(struct server *server, json_t *list) {
    CLEANUP(binary_close) struct binary binary = {.fd = -1};
    struct theseus_error err = {0};

    if (!server->config->access.restart)
        facts_add_text(list, "a restart is not allowed: access.restart is 'no' in the configuration");
    if (restart_is_under_way(server))
        facts_add_text(list, "a restart is under way: %s", phase_name(restart_phase(server)));
    if (server->leaving)
        facts_add_text(list, "the server is leaving");
    if (binary_open(&binary, server->started_by, &err) < 0)
        facts_add_text(list, "there is no program to restart with: %s", err.message);
}
