/*
 * What a client is told besides when it calls a tool that is not there: which plugins were refused. Nobody knows what
 * tools they would have, so it may well be one of theirs. Who may not see that in theseus_plugins is not told here
 * either.
 */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "plugin/registry.h"
#include "server/inner.h"

enum { NAMED = 3 };
#define REPORT "theseus_plugins"

static bool may_know(struct server *server, long uid) {
    CLEANUP(free) char *rule = NULL;

    return registry_access(server->registry, REPORT, uid, &rule) == REGISTRY_FREE;
}

/* "plugin 'tasks'" by its file; of another file all of its path. Owned. */
static char *subject_new(const char *file) {
    const char *base = path_base(file), *end = strrchr(base, '.');

    return end && strcmp(end, ".so") == 0 ? xasprintf("plugin '%.*s'", (int)(end - base), base)
                                          : xasprintf("file '%s'", file);
}

static void add(struct buf *text, const json_t *refused) {
    const char *file = json_string_value(json_object_get(refused, "file"));
    const char *reason = json_string_value(json_object_get(refused, "reason"));
    CLEANUP(free) char *subject = subject_new(file ? file : "");

    (void)!buf_printf(text, NULL, "; %s is refused: %s", subject, reason ? reason : "");
}

char *missing_words(struct server *server, const struct call *call) {
    json_auto_t *refused = plugins_refused_files_new(server->plugins);
    CLEANUP(buf_fini) struct buf text = {0};
    const size_t count = json_array_size(refused);

    if (count == 0 || !may_know(server, call->client.uid))
        return xstrdup("");
    for (size_t i = 0; i < count && i < NAMED; i++)
        add(&text, json_array_get(refused, i));
    if (count > NAMED)
        (void)!buf_printf(&text, NULL, "; so are %zu others, which " REPORT " names", count - NAMED);
    return buf_take_string(&text);
}

char *missing_on_call(void *arg, const struct call *call) {
    loop_enter();
    return missing_words(arg, call);
}
