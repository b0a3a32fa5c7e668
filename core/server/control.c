/*
 * theseus_control(): what plugins may ask of the core. The asking thread is a worker or a plugin's own; the answer is
 * made on the loop, and the thread waits for it.
 */
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "plugin/run.h"
#include "server/inner.h"

/*
 * Belongs to two: the thread that asks, until it has its answer, and the loop, until it is through with it. At the end
 * of the server the thread is sent away at once, while the loop may still hold the question.
 */
struct question {
    struct list link;    /* in control.waiting, until it is answered */
    struct list on_loop; /* in control.open, until the loop is through with it */
    int owners;          /* under control.lock */
    struct server *server;
    struct loop_task task;
    struct run *run;  /* borrowed: while its thread waits */
    char *verb;       /* owned */
    json_t *args;     /* owned */
    json_t *answer;   /* under control.lock */
    bool is_answered; /* likewise; the answer itself is taken by who asked */
    pthread_cond_t answered;
    /* of a reload */
    json_t *tools_before, *generations_before; /* owned */
    char *configuration;                       /* owned */
};

static json_t *error_new(const char *text) {
    return json_pack("{s:s}", "error", text);
}

void control_init(struct server *server) {
    (void)pthread_mutex_init(&server->control.lock, NULL);
    list_init(&server->control.waiting);
    list_init(&server->control.open);
}

static void disown_locked(struct question *question) {
    if (--question->owners > 0)
        return;
    (void)pthread_cond_destroy(&question->answered);
    json_decref(question->answer);
    json_decref(question->args);
    json_decref(question->tools_before);
    json_decref(question->generations_before);
    free(question->configuration);
    free(question->verb);
    free(question);
}

static void answer_locked(struct question *question, json_t *value) {
    if (question->is_answered) {
        json_decref(value); /* it was sent away already */
        return;
    }
    question->is_answered = true;
    question->answer = value ? value : error_new("no memory for the answer");
    list_remove(&question->link);
    (void)pthread_cond_signal(&question->answered);
}

/* Gives the answer (stolen) to the thread that waits. The loop is through with the question. */
static void answer(struct question *question, json_t *value) {
    struct control *control = &question->server->control;

    (void)pthread_mutex_lock(&control->lock);
    answer_locked(question, value);
    list_remove(&question->on_loop);
    disown_locked(question);
    (void)pthread_mutex_unlock(&control->lock);
}

/* ---- reload ---- */

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
    struct question *question = arg;
    struct server *server = question->server;

    loop_enter();
    json_auto_t *tools = tools_new(server);
    json_auto_t *generations = plugins_generations_new(server->plugins);
    json_t *result = json_pack(
        "{s:o, s:o, s:o, s:o, s:s}", "tools",
        difference_new(question->tools_before, tools, "added", "removed", "changed", NULL), "plugins",
        difference_new(question->generations_before, generations, "loaded", "removed", "reloaded", "unchanged"),
        "refused", plugins_refused_new(server->plugins), "waiting", plugins_waiting_new(server->plugins),
        "configuration", question->configuration);
    answer(question, result);
}

static void wait_until_idle(struct question *question, const char *configuration) ON_LOOP {
    question->configuration = xstrdup(configuration);
    question->task = (struct loop_task){.run = on_idle, .arg = question};
    plugins_when_idle(question->server->plugins, &question->task);
}

static void on_reconfigured(void *arg, const char *outcome) ON_LOOP {
    struct question *question = arg;

    if (question->server->control.closed) {
        answer(question, error_new(outcome));
        return;
    }
    plugins_rescan(question->server->plugins);
    wait_until_idle(question, outcome);
}

/* Only this one's file: neither the configuration nor another plugin is looked at. */
static void reload_one(struct question *question, const char *plugin) ON_LOOP {
    plugins_reload(question->server->plugins, plugin);
    wait_until_idle(question, "not looked at");
}

static void reload(struct question *question) ON_LOOP {
    struct server *server = question->server;
    const char *plugin = json_string_value(json_object_get(question->args, "plugin"));

    const struct theseus_client_info *client = &question->run->request->client;
    if (!server->config->access.restart) {
        static const char refusal[] = "reload is not allowed: access.restart is 'no' in the configuration";
        log_warning("a reload was refused: access.restart is no");
        upkeep_asked_to_reload(server, client, plugin, refusal);
        answer(question, error_new(refusal));
        return;
    }
    CLEANUP(free) char *unknown = plugin ? plugins_unknown(server->plugins, plugin) : NULL;
    upkeep_asked_to_reload(server, client, plugin, unknown);
    if (unknown) {
        answer(question, error_new(unknown));
        return;
    }
    question->tools_before = tools_new(server);
    question->generations_before = plugins_generations_new(server->plugins);
    if (plugin)
        reload_one(question, plugin);
    else
        reconfigure(server, on_reconfigured, question);
}

/* ---- may_call ---- */

/* May the tool be called by its name? A host's "always allow" for the caller would else allow every tool. */
static json_t *may_call_new(struct server *server, const json_t *args) {
    const char *name = json_string_value(json_object_get(args, "name"));
    enum config_call_by_name allowed = server->config->access.call_by_name;

    if (!name)
        return error_new("'name' is missing");
    if (allowed == CALL_BY_NAME_NO)
        return error_new("calling tools by name is switched off: access.call_by_name is 'no' in the configuration");
    struct offer *offer = registry_find(server->registry, name);
    if (!offer) {
        json_t *error = json_pack("{s:s++}", "error", "there is no tool '", name, "'");
        return error ? error : error_new("there is no tool of that name");
    }
    bool read_only = offer->tool->flags & THESEUS_READ_ONLY;
    registry_release(server->registry, offer);
    if (allowed == CALL_BY_NAME_READ_ONLY && !read_only)
        return json_pack("{s:s++}", "error", "tool '", name,
                         "' is not read-only, and access.call_by_name allows only such tools; call it directly, or "
                         "set access.call_by_name = yes");
    return json_pack("{s:b}", "allowed", true);
}

/* ---- asking ---- */

static void on_asked(void *arg) {
    struct question *question = arg;
    struct server *server = question->server;

    loop_enter();
    if (server->control.closed)
        answer(question, error_new("the server is ending"));
    else if (strcmp(question->verb, "plugins") == 0)
        answer(question, plugins_report_new(server->plugins));
    else if (strcmp(question->verb, "may_call") == 0)
        answer(question, may_call_new(server, question->args));
    else if (strcmp(question->verb, "reload") == 0)
        reload(question);
    else
        answer(question, error_new("this server has no such service"));
}

static struct question *question_new(struct server *server, struct run *run, const char *verb, const json_t *args) {
    struct question *question = xcalloc(1, sizeof(*question));

    question->run = run;
    question->server = server;
    question->owners = 2;
    question->verb = xstrdup(verb);
    question->args = json_deep_copy(args);
    question->task = (struct loop_task){.run = on_asked, .arg = question};
    list_init(&question->link);
    list_init(&question->on_loop);
    (void)pthread_cond_init(&question->answered, NULL);
    return question;
}

static json_t *wait_for_answer(struct server *server, struct question *question) {
    struct control *control = &server->control;

    (void)pthread_mutex_lock(&control->lock);
    if (control->closed) {
        answer_locked(question, error_new("the server is ending"));
        question->owners--; /* the loop never hears of it */
    } else {
        list_append(&control->waiting, &question->link);
        list_append(&control->open, &question->on_loop);
        loop_post_task(server->loop, &question->task);
    }
    while (!question->is_answered)
        (void)pthread_cond_wait(&question->answered, &control->lock);
    json_t *result = TAKE_PTR(question->answer);
    disown_locked(question);
    (void)pthread_mutex_unlock(&control->lock);
    return result;
}

json_t *control_run(void *arg, struct run *run, const char *verb, const json_t *args) {
    if (pthread_equal(pthread_self(), run->host->loop_thread))
        return error_new("a tool that runs on the loop thread (THESEUS_INLINE) cannot wait for the loop");
    return wait_for_answer(arg, question_new(arg, run, verb, args));
}

void control_close(struct server *server) {
    struct control *control = &server->control;

    (void)pthread_mutex_lock(&control->lock);
    control->closed = true;
    list_for_each (link, &control->waiting)
        answer_locked(list_entry(link, struct question, link), error_new("the server is ending"));
    (void)pthread_mutex_unlock(&control->lock);
}

void control_fini(struct server *server) {
    struct control *control = &server->control;

    list_for_each (link, &control->open) {
        struct question *question = list_entry(link, struct question, on_loop);
        loop_forget(server->loop, &question->task);
        list_remove(link);
        disown_locked(question);
    }
    (void)pthread_mutex_destroy(&control->lock);
}
