#include "base/limits.h"
#include "base/log.h"
#include "method/method.h"

typedef bool honours_fn(const struct method_env *env, const char *name);

static bool runs_task(const struct method_env *env, const char *id) ON_LOOP {
    return env->tasks && env->tasks->runs(env->arg, id);
}

/* Those of the names there may be news of. */
static json_t *honoured_new(const struct method_env *env, const json_t *names, honours_fn *honours) {
    json_t *honoured = json_array(), *name;
    size_t i;

    json_array_foreach (names, i, name) {
        if (i < LIMIT_TOPICS && json_is_string(name) && honours(env, json_string_value(name)))
            (void)json_array_append(honoured, name);
    }
    return honoured;
}

static void add_topics(json_t *topics, const char *kind, json_t *names) {
    if (json_array_size(names) > 0)
        (void)json_object_set(topics, kind, names);
    json_decref(names);
}

static json_t *topics_new(const struct method_env *env, const json_t *asked) ON_LOOP {
    json_t *topics = json_object();

    add_topics(topics, TOPIC_TASKS, honoured_new(env, json_object_get(asked, TOPIC_TASKS), runs_task));
    add_topics(topics, TOPIC_RESOURCES,
               honoured_new(env, json_object_get(asked, TOPIC_RESOURCES), method_has_resource));
    return topics;
}

static void acknowledge(struct conn *conn, struct call *call, unsigned lists, json_t *topics) ON_LOOP {
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};
    json_t *honoured = json_pack("{s:o*, s:o*}", "toolsListChanged", lists & LISTEN_TOOLS ? json_true() : NULL,
                                 "resourcesListChanged", lists & LISTEN_RESOURCES ? json_true() : NULL);

    (void)json_object_update(honoured, topics);
    json_auto_t *params = json_pack("{s:{s:O}, s:o}", "_meta", META_SUBSCRIPTION, call->id, "notifications", honoured);
    if (message_write_notification("notifications/subscriptions/acknowledged", params, &line, &err) < 0)
        log_error("%s", err.message);
    else
        conn_say(conn, &line);
}

static unsigned lists_of(const json_t *asked) {
    return (json_is_true(json_object_get(asked, "toolsListChanged")) ? LISTEN_TOOLS : 0U) |
           (json_is_true(json_object_get(asked, "resourcesListChanged")) ? LISTEN_RESOURCES : 0U);
}

/* The request stays open: what it asks for comes tagged with its id, until either side ends it. */
void method_listen(struct method_env *env, struct conn *conn, struct call *call) {
    const json_t *asked = json_object_get(call->message.params, "notifications");
    unsigned lists = lists_of(asked);
    struct theseus_error err = {0};

    if (!json_is_object(asked)) {
        method_refuse_params(call, "'notifications' is missing or no object");
        return;
    }
    if (json_object_get(asked, TOPIC_TASKS) && !method_tasks_are_known(env, call))
        return;
    json_auto_t *topics = topics_new(env, asked);
    if (conn_listen(conn, call, lists, topics, &err) < 0)
        call_fail(call, &err, NULL);
    else
        acknowledge(conn, call, lists, topics);
}
