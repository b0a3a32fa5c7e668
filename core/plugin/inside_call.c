#include "plugin/inside_call.h"

#include <errno.h>
#include <stdlib.h>

static struct inside_call *call_new_inside(struct inside *inside, const struct inside_tool *tool,
                                           const json_t *message) {
    struct inside_call *call = xcalloc(1, sizeof(*call));
    const char *name = channel_text(message, "name");

    call->call.host = &inside_host;
    call->inside = inside;
    call->id = json_integer_value(json_object_get(message, "call"));
    call->name = xstrdup(name ? name : "");
    call->data = tool->data;
    call->is_inline = tool->is_inline;
    call->thread = pthread_self();
    call->blame = inside_blame(inside, NULL, call->id);
    call->blame.tool = call->name;
    call->args = json_incref(json_object_get(message, "args"));
    atomic_init(&call->refs, 2);
    (void)pthread_mutex_init(&call->lock, NULL);
    return call;
}

static void call_unref_inside(struct inside_call *call) {
    if (atomic_fetch_sub(&call->refs, 1) > 1)
        return;
    json_decref(call->args);
    json_decref(call->resume);
    json_decref(call->client_texts);
    free(call->args_text);
    free(call->key);
    free(call->name);
    (void)pthread_mutex_destroy(&call->lock);
    free(call);
}

/* A second answer is said, too: the server drops it and logs that. */
int inside_call_reply(struct inside_call *call, const char *verb, json_t *value) {
    struct inside *inside = call->inside;
    const json_int_t id = call->id;
    bool first = !atomic_exchange(&call->replied, true);
    bool returns_soon = call->is_inline && pthread_equal(call->thread, pthread_self());
    json_t *message = json_pack("{s:s, s:I, s:o}", "tell", verb, "call", id, "value", value);
    struct theseus_error err = {0};

    if ((returns_soon ? inside_tell_with_next : inside_tell)(inside, message, &err) < 0)
        (void)!inside_tell(
            inside,
            json_pack("{s:s, s:I, s:o}", "tell", "reply_error", "call", id, "value", channel_text_new(err.message)),
            NULL);
    if (first)
        call_unref_inside(call);
    return THESEUS_DONE;
}

json_t *inside_run_call(struct inside *inside, const json_t *message) {
    struct inside_tool tool;

    if (!inside_tool_find(inside, json_integer_value(json_object_get(message, "tool")), &tool))
        return channel_error_new("the tool is gone");
    struct inside_call *call = call_new_inside(inside, &tool, message);
    blame_enter(&call->blame);
    errno = 0; /* what it says at a crash is of this call */
    int outcome = tool.call(&call->call, inside->self, call->args);
    blame_leave(&call->blame);
    if (outcome != THESEUS_LATER && !atomic_exchange(&call->replied, true))
        call_unref_inside(call); /* there is no answer to come */
    call_unref_inside(call);
    return channel_answer_new(json_integer(outcome));
}
