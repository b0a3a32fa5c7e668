#include "server/facts.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/binary.h"
#include "base/clock.h"
#include "config/principal.h"
#include "config/words.h"
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

char *facts_refusal(const struct config *config, const char *action, long uid) {
    bool reload = strcmp(action, "reload") == 0;
    char *const *words = reload ? config->access.reload : config->access.restart;
    const char *key = reload && words_same(words, config->access.restart) ? "restart" : action; /* as it is written */

    if (principal_says(words, "no"))
        return xasprintf("%s is not allowed: access.%s is 'no' in the configuration", action, key);
    return xasprintf("%s is not allowed to user %ld: access.%s in the configuration does not name them", action, uid,
                     key);
}

void facts_add_obstacles(struct server *server, json_t *list) {
    CLEANUP(binary_close) struct binary binary = {.fd = -1};
    struct theseus_error err = {0};

    if (principal_says(server->config->access.restart, "no"))
        facts_add_text(list, "a restart is not allowed: access.restart is 'no' in the configuration");
    if (restart_is_under_way(server))
        facts_add_text(list, "a restart is under way: %s", phase_name(restart_phase(server)));
    if (server->leaving)
        facts_add_text(list, "the server is leaving");
    if (binary_open(&binary, server->started_by, &err) < 0)
        facts_add_text(list, "there is no program to restart with: %s", err.message);
}
