/* What is not wrong, but most likely not meant: said in the log when it comes, and by the health check while it is so.
 */
#include <stdlib.h>

#include "base/log.h"
#include "plugin/strays.h"
#include "server/inner.h"

static bool was_there(const json_t *before, const json_t *warning) {
    const json_t *other;
    size_t i;

    json_array_foreach (before, i, other)
        if (json_equal(other, warning))
            return true;
    return false;
}

static char *sentence_new(const json_t *warning) {
    const char *file = json_string_value(json_object_get(warning, "file"));
    const int line = (int)json_integer_value(json_object_get(warning, "line"));
    const char *text = json_string_value(json_object_get(warning, "text"));

    return line > 0 ? xasprintf("%s:%d: %s", file, line, text) : xasprintf("%s: %s", file, text);
}

void warnings_look(struct server *server) {
    const json_t *warning;
    size_t i;

    if (!plugins_are_loaded(server->plugins) || server->plugin_host.rehearsal || server->leaving)
        return;
    json_t *now = strays_new(server->plugins);
    json_array_foreach (now, i, warning) {
        CLEANUP(free) char *sentence = sentence_new(warning);
        if (!was_there(server->warned, warning))
            log_warning("%s", sentence);
    }
    json_decref(server->warned);
    server->warned = now;
}

json_t *warnings_new(struct server *server) {
    json_auto_t *strays = strays_new(server->plugins);
    json_t *sentences = json_array();
    const json_t *warning;
    size_t i;

    json_array_foreach (strays, i, warning) {
        CLEANUP(free) char *sentence = sentence_new(warning);
        (void)json_array_append_new(sentences, json_string(sentence));
    }
    CLEANUP(free) char *obstacle = heir_obstacle(server);
    if (obstacle)
        (void)json_array_append_new(sentences, json_string(obstacle));
    CLEANUP(free) char *alert = resume_alert_new(server);
    if (alert)
        (void)json_array_append_new(sentences, json_string(alert));
    return sentences;
}
