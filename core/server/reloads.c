#include "server/reloads.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "plugin/plugins.h"
#include "server/chronicle.h"

/* Who asked for what is under way; a file that changed asks by itself. */
struct asking {
    char *name, *version, *transport; /* owned */
    int64_t uid, started_ms, started_ns;
    bool open;
    bool is_restart;   /* which has an event of its own for what became of the configuration */
    bool is_looked_at; /* the configuration is through: what is left is the plugins' */
};

struct reloads {
    struct loop *loop;
    struct chronicle *chronicle;
    struct plugins *plugins; /* of the task */
    struct loop_task idle;
    struct asking asking;
    json_t *generations, *refused; /* owned: as they were last; NULL: the first load is not through */
    bool reconfigured;
    char *refusal; /* owned: of the configuration; NULL: none */
};

/* ---- who asks ---- */

static void asking_fini(struct asking *asking) {
    free(asking->name);
    free(asking->version);
    free(asking->transport);
    *asking = (struct asking){.uid = -1};
}

static char *copy(const char *text) {
    return text ? xstrdup(text) : NULL;
}

static void take_asker(struct reloads *reloads, const struct asker *by) ON_LOOP {
    struct asking *asking = &reloads->asking;

    asking_fini(asking);
    *asking = (struct asking){.name = copy(by->name),
                              .version = copy(by->version),
                              .transport = copy(by->transport),
                              .uid = by->uid,
                              .started_ms = clock_wall_ms(),
                              .started_ns = clock_now_ns(),
                              .open = true};
}

void reloads_ask(struct reloads *reloads, const struct asker *by, const char *session, const char *plugin,
                 const char *refusal) {
    chronicle_asked(reloads->chronicle, by, session, "reload", plugin, refusal);
    if (refusal)
        return;
    take_asker(reloads, by);
    reloads->asking.is_looked_at = plugin != NULL;
}

void reloads_restart(struct reloads *reloads, const struct asker *by) {
    take_asker(reloads, by);
    reloads->asking.is_restart = true;
}

/* ---- what has changed ---- */

static void add_name(struct buf *names, const char *name) {
    if (buf_printf(names, NULL, "%s%s", names->len ? ", " : "", name) < 0)
        abort(); /* no memory for a few names */
}

/* Names of plugins that came, went or were replaced. Owned; NULL: none. */
static char *changed_plugins(const json_t *before, const json_t *after) {
    CLEANUP(buf_fini) struct buf names = {0};
    const char *name;
    json_t *generation;

    json_object_foreach ((json_t *)after, name, generation)
        if (!json_equal(generation, json_object_get(before, name)))
            add_name(&names, name);
    json_object_foreach ((json_t *)before, name, generation)
        if (!json_object_get(after, name))
            add_name(&names, name);
    return names.len ? buf_take_string(&names) : NULL;
}

static bool has(const json_t *list, const json_t *value) {
    json_t *item;
    size_t i;

    json_array_foreach (list, i, item)
        if (json_equal(item, value))
            return true;
    return false;
}

/* What is refused now and was not, and the configuration's refusal. New reference. */
static json_t *errors_new(const struct reloads *reloads, const json_t *refused) {
    json_t *errors = json_array(), *item;
    size_t i;

    json_array_foreach (refused, i, item)
        if (!has(reloads->refused, item))
            (void)json_array_append(errors, item);
    if (reloads->refusal)
        (void)json_array_append_new(errors,
                                    json_pack("{s:s, s:s}", "file", "configuration", "reason", reloads->refusal));
    return errors;
}

static void tell(struct reloads *reloads, const char *subject, json_t *errors) {
    const struct asking *asking = &reloads->asking;
    bool of_configuration = reloads->reconfigured || reloads->refusal;
    struct history_event event =
        history_event_of(HISTORY_RELOAD, of_configuration ? "configuration_update" : "plugin_changed",
                         asking->open ? asking->started_ms : clock_wall_ms());

    event.mechanism = "reload";
    event.success = json_array_size(errors) == 0;
    event.phase = event.success ? "complete" : "failed";
    event.subject = subject;
    event.graceful = event.preserve_state = true;
    event.by = (struct asker){asking->name, asking->version, asking->open ? asking->transport : "watch", asking->uid};
    event.version_before = event.version_after = THESEUS_VERSION;
    if (asking->open)
        event.duration_ms = (double)(clock_now_ns() - asking->started_ns) / 1e6;
    event.errors = errors;
    chronicle_add(reloads->chronicle, &event);
}

static void compare(struct reloads *reloads, const json_t *generations, const json_t *refused) {
    CLEANUP(free) char *subject = changed_plugins(reloads->generations, generations);
    json_auto_t *errors = errors_new(reloads, refused);

    if (subject || json_array_size(errors) > 0 || reloads->reconfigured)
        tell(reloads, subject, errors);
}

void reloads_settled(struct reloads *reloads, struct plugins *plugins) {
    json_t *generations = plugins_generations_new(plugins), *refused = plugins_refused_new(plugins);

    if (!reloads->generations) { /* the first load is none, but the configuration may have changed meanwhile */
        reloads->generations = json_incref(generations);
        reloads->refused = json_incref(refused);
    }
    compare(reloads, generations, refused);
    json_decref(reloads->generations);
    json_decref(reloads->refused);
    reloads->generations = generations;
    reloads->refused = refused;
    reloads->reconfigured = false;
    free(TAKE_PTR(reloads->refusal));
    if (reloads->asking.is_looked_at)
        asking_fini(&reloads->asking);
}

static void on_idle(void *arg) {
    struct reloads *reloads = arg;

    loop_enter();
    reloads_settled(reloads, reloads->plugins);
}

void reloads_configured(struct reloads *reloads, struct plugins *plugins, const char *outcome) {
    static const char refused[] = "refused: ";

    if (strcmp(outcome, "reloaded") == 0 && !reloads->asking.is_restart)
        reloads->reconfigured = true;
    free(TAKE_PTR(reloads->refusal));
    if (strncmp(outcome, refused, strlen(refused)) == 0 && !reloads->asking.is_restart)
        reloads->refusal = xstrdup(outcome + strlen(refused));
    reloads->asking.is_looked_at = true;
    reloads->plugins = plugins;
    plugins_when_idle(plugins, &reloads->idle);
}

/* ---- life ---- */

struct reloads *reloads_new(struct loop *loop, struct chronicle *chronicle) {
    struct reloads *reloads = xcalloc(1, sizeof(*reloads));

    reloads->loop = loop;
    reloads->chronicle = chronicle;
    reloads->asking.uid = -1;
    reloads->idle = (struct loop_task){.run = on_idle, .arg = reloads};
    return reloads;
}

struct reloads *reloads_free(struct reloads *reloads) {
    if (!reloads)
        return NULL;
    loop_forget(reloads->loop, &reloads->idle);
    asking_fini(&reloads->asking);
    json_decref(reloads->generations);
    json_decref(reloads->refused);
    free(reloads->refusal);
    free(reloads);
    return NULL;
}
