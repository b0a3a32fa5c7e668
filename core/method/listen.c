#include "base/limits.h"
#include "base/log.h"
#include "method/method.h"

/* What of the topics is honoured: {"taskIds": […]}; new reference. NULL: the call has been answered. */
static json_t *topics_new(struct method_env *env, struct call *call, const json_t *asked) ON_LOOP {
    const json_t *ids = json_object_get(asked, "taskIds");
    json_t *topics = json_object(), *honoured = json_array(), *id;
    size_t i;

    if (ids && !method_tasks_are_known(env, call)) {
        json_decref(topics);
        json_decref(honoured);
        return NULL;
    }
    json_array_foreach (ids, i, id) {
        if (i < LIMIT_TOPICS && json_is_string(id) && env->tasks->runs(env->arg, json_string_value(id)))
            (void)json_array_append(honoured, id);
    }
    if (ids)
        (void)json_object_set(topics, "taskIds", honoured);
    json_decref(honoured);
    return topics;
}

static void acknowledge(struct conn *conn, struct call *call, bool tools, json_t *topics) ON_LOOP {
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};
    json_t *honoured = json_pack("{s:o*}", "toolsListChanged", tools ? json_true() : NULL);

    (void)json_object_update(honoured, topics);
    json_auto_t *params = json_pack("{s:{s:O}, s:o}", "_meta", META_SUBSCRIPTION, call->id, "notifications", honoured);
    if (message_write_notification("notifications/subscriptions/acknowledged", params, &line, &err) < 0)
        log_error("%s", err.message);
    else
        conn_say(conn, &line);
}

/* The request stays open: what it asks for comes tagged with its id, until either side ends it. */
void method_listen(struct method_env *env, struct conn *conn, struct call *call) {
    const json_t *asked = json_object_get(call->message.params, "notifications");
    bool tools = json_is_true(json_object_get(asked, "toolsListChanged"));
    struct theseus_error err = {0};

    if (!json_is_object(asked)) {
        method_refuse_params(call, "'notifications' is missing or no object");
        return;
    }
    json_auto_t *topics = topics_new(env, call, asked);
    if (!topics)
        return;
    if (conn_listen(conn, call, tools ? LISTEN_TOOLS : 0, topics, &err) < 0)
        call_fail(call, &err, NULL);
    else
        acknowledge(conn, call, tools, topics);
}
