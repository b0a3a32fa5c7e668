/* Service `reload`: looks at configuration and plugins, or at one plugin, and tells what became different by that. */
#include <stdlib.h>

#include "base/log.h"
#include "config/principal.h"
#include "plugin/run.h"
#include "server/facts.h"
#include "server/inner.h"
#include "server/services.h"

struct reload {
    struct asked *asked;
    struct loop_task task;
    json_t *tools_before, *generations_before; /* owned */
    char *configuration;                       /* owned: what became of it */
};

/* name → entry of tools/list */
static json_t *tools_new(struct server *server) ON_LOOP {
    json_auto_t *list = registry_list_new(server->registry);
    json_t *tools = json_object(), *entry;
    size_t i;

    json_array_foreach (list, i, entry)
        (void)json_object_set(tools, json_string_value(json_object_get(entry, "name")), entry);
    return tools;
}

/* Keys by what became of their values from `before` to `after`. */
static json_t *difference_new(const json_t *before, const json_t *after, const char *added, const char *removed,
                              const char *changed, const char *same) {
    json_t *lists[] = {json_array(), json_array(), json_array(), json_array()};
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)after, key, value) {
        const json_t *old = json_object_get(before, key);
        (void)json_array_append_new(lists[!old ? 0 : json_equal(old, value) ? 3 : 2], json_string(key));
    }
    json_object_foreach ((json_t *)before, key, value)
        if (!json_object_get(after, key))
            (void)json_array_append_new(lists[1], json_string(key));
    json_t *result = json_pack("{s:o, s:o, s:o}", added, lists[0], removed, lists[1], changed, lists[2]);
    if (same)
        (void)json_object_set_new(result, same, lists[3]);
    else
        json_decref(lists[3]);
    return result;
}

static void on_idle(void *arg) {
    struct reload *reload = arg;
    struct server *server = reload->asked->server;

    loop_enter();
    json_auto_t *tools = tools_new(server);
    json_auto_t *generations = plugins_generations_new(server->plugins);
    json_t *result =
        json_pack("{s:o, s:o, s:o, s:o, s:s}", "tools",
                  difference_new(reload->tools_before, tools, "added", "removed", "changed", NULL), "plugins",
                  difference_new(reload->generations_before, generations, "loaded", "removed", "reloaded", "unchanged"),
                  "refused", plugins_refused_new(server->plugins), "waiting", plugins_waiting_new(server->plugins),
                  "configuration", reload->configuration);
    control_answer(reload->asked, result);
}

static void wait_until_idle(struct reload *reload, const char *configuration) ON_LOOP {
    reload->configuration = xstrdup(configuration);
    reload->task = (struct loop_task){.run = on_idle, .arg = reload};
    plugins_when_idle(reload->asked->server->plugins, &reload->task);
}

static void on_reconfigured(void *arg, const char *outcome) ON_LOOP {
    struct reload *reload = arg;

    if (control_is_closed(reload->asked)) {
        control_answer(reload->asked, control_error_new(outcome));
        return;
    }
    plugins_rescan(reload->asked->server->plugins);
    wait_until_idle(reload, outcome);
}

static void end(void *work) {
    struct reload *reload = work;

    loop_enter();
    loop_forget(reload->asked->server->loop, &reload->task);
    json_decref(reload->tools_before);
    json_decref(reload->generations_before);
    free(reload->configuration);
    free(reload);
}

static void begin(struct asked *asked, const char *plugin) ON_LOOP {
    struct server *server = asked->server;
    struct reload *reload = xcalloc(1, sizeof(*reload));

    reload->asked = asked;
    reload->tools_before = tools_new(server);
    reload->generations_before = plugins_generations_new(server->plugins);
    asked->work = reload;
    asked->end = end;
    if (!plugin) {
        reconfigure(server, on_reconfigured, reload);
        return;
    }
    plugins_reload(server->plugins, plugin); /* neither the configuration nor another plugin is looked at */
    wait_until_idle(reload, "not looked at");
}

void service_reload(struct asked *asked) {
    struct server *server = asked->server;
    const char *plugin = json_string_value(json_object_get(asked->args, "plugin"));

    loop_enter();
    const struct theseus_client_info *client = &asked->run->request->client;
    if (!principal_listed(server->config->access.reload, client->uid)) {
        CLEANUP(free) char *refusal = facts_refusal(server->config, "reload", client->uid);
        log_warning("a reload was refused: %s", refusal);
        upkeep_asked_to_reload(server, client, plugin, refusal);
        control_answer(asked, control_error_new(refusal));
        return;
    }
    CLEANUP(free) char *unknown = plugin ? plugins_unknown(server->plugins, plugin) : NULL;
    upkeep_asked_to_reload(server, client, plugin, unknown);
    if (unknown)
        control_answer(asked, control_error_new(unknown));
    else
        begin(asked, plugin);
}
