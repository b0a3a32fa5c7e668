/* What the plugin adds at run time while it is inside: tools, and threads. */
#include <stdlib.h>

#include "loop/thread.h"
#include "plugin/inside.h"

/* ---- tools ---- */

json_t *inside_tool_new_description(const struct theseus_tool *tool) {
    return json_pack("{s:o, s:o*, s:o*, s:o*, s:o*, s:I, s:I}", "name", channel_text_new(tool->name), "title",
                     tool->title ? channel_text_new(tool->title) : NULL, "description",
                     tool->description ? channel_text_new(tool->description) : NULL, "input_schema",
                     tool->input_schema ? channel_text_new(tool->input_schema) : NULL, "output_schema",
                     tool->output_schema ? channel_text_new(tool->output_schema) : NULL, "flags",
                     (json_int_t)tool->flags, "timeout", (json_int_t)tool->timeout);
}

static struct inside_tool *find_locked(struct inside *inside, json_int_t id) {
    list_for_each (link, &inside->tools) {
        struct inside_tool *tool = list_entry(link, struct inside_tool, link);
        if (tool->id == id)
            return tool;
    }
    return NULL;
}

bool inside_tool_find(struct inside *inside, json_int_t id, struct inside_tool *ret_copy) {
    (void)pthread_mutex_lock(&inside->lock);
    const struct inside_tool *tool = find_locked(inside, id);
    if (tool)
        *ret_copy = *tool;
    (void)pthread_mutex_unlock(&inside->lock);
    return tool != NULL;
}

static struct inside_tool *take(struct inside *inside, json_int_t id) {
    (void)pthread_mutex_lock(&inside->lock);
    struct inside_tool *tool = find_locked(inside, id);
    if (tool)
        list_remove(&tool->link);
    (void)pthread_mutex_unlock(&inside->lock);
    return tool;
}

void inside_tool_release(struct inside *inside, json_int_t id) {
    struct inside_tool *tool = take(inside, id);

    if (tool && tool->release)
        tool->release(tool->data);
    free(tool);
}

static json_int_t note(struct inside *inside, const struct theseus_tool *declared) {
    struct inside_tool *tool = xcalloc(1, sizeof(*tool));

    *tool = (struct inside_tool){.call = declared->call,
                                 .data = declared->data,
                                 .release = declared->release,
                                 .is_inline = declared->flags & THESEUS_INLINE};
    (void)pthread_mutex_lock(&inside->lock);
    json_int_t id = tool->id = inside->next_tool++;
    list_append(&inside->tools, &tool->link);
    (void)pthread_mutex_unlock(&inside->lock);
    return id;
}

void inside_tools_init(struct inside *inside) {
    const struct theseus_tool *tool = inside->slots->tools;
    const struct theseus_resource *resource = inside->slots->resources;

    for (; tool && tool->name; tool++)
        (void)note(inside, tool);
    for (; resource && resource->uri; resource++)
        (void)note(inside, &(struct theseus_tool){.call = resource->read});
}

int inside_tool_add(struct inside *inside, const struct theseus_tool *tool, struct theseus_error *err) {
    json_int_t id = note(inside, tool);
    json_t *answer = NULL;

    if (!tool->call) {
        free(take(inside, id));
        return fail(err, ERR_INVALID, "tool '%s': has no handler; set .call", tool->name ? tool->name : "");
    }
    int r = inside_ask(
        inside, json_pack("{s:s, s:I, s:o}", "ask", "tool_add", "id", id, "tool", inside_tool_new_description(tool)),
        &answer, err);
    json_decref(answer);
    if (r < 0)
        free(take(inside, id)); /* the data stays the plugin's */
    return r;
}

/* ---- threads ---- */

static void thread_main(void *arg) {
    struct inside_thread *thread = arg;

    blame_enter(&thread->blame);
    thread->run(thread->arg);
    blame_leave(&thread->blame);
}

int inside_thread(struct inside *inside, theseus_thread_fn *run, void *arg, struct theseus_error *err) {
    struct inside_thread *thread = xcalloc(1, sizeof(*thread));
    const struct blame *maker = blame_current();

    thread->run = run;
    thread->arg = arg;
    thread->blame = inside_blame(inside, "thread", maker ? (json_int_t)maker->conn : 0);
    if (thread_start(&thread->thread, inside->slots->name, thread_main, thread, err) < 0) {
        free(thread);
        return -1;
    }
    (void)pthread_mutex_lock(&inside->lock);
    int number = thread->number = ++inside->next_thread;
    list_append(&inside->threads, &thread->link);
    (void)pthread_mutex_unlock(&inside->lock);
    return number;
}

static struct inside_thread *take_thread(struct inside *inside, int number) {
    struct inside_thread *found = NULL;

    (void)pthread_mutex_lock(&inside->lock);
    list_for_each (link, &inside->threads) {
        struct inside_thread *thread = list_entry(link, struct inside_thread, link);
        if (!found && (number == 0 || thread->number == number))
            found = thread;
    }
    if (found)
        list_remove(&found->link);
    (void)pthread_mutex_unlock(&inside->lock);
    return found;
}

void inside_thread_join(struct inside *inside, int number) {
    struct inside_thread *thread;

    while ((thread = take_thread(inside, number))) {
        thread->thread = thread_join(thread->thread);
        free(thread);
    }
}
