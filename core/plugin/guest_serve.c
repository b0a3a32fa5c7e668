/* What the process of an isolated plugin asks of the host: the server's own table of functions answers. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "loop/thread.h"
#include "plugin/cord.h"
#include "plugin/generation.h"
#include "plugin/guest_inner.h"
#include "plugin/host.h"
#include "plugin/run.h"

enum { ASKERS_MAX = 64 };

/* One question, or something that is told. */
struct asking {
    struct guest *guest;
    struct process *process;
    struct channel *channel;
    const struct channel_user *user;
    const json_t *message;
    struct theseus_call *call; /* what it is about; NULL: no call */
    json_int_t id;             /* of that */
};

static json_t *get(const struct asking *asking, const char *key) {
    return json_object_get(asking->message, key);
}

/* A text that must be there: else the plugin's process is broken, and gets what an empty one gives. */
static const char *text(const struct asking *asking, const char *key) {
    const char *found = channel_text(asking->message, key);

    return found ? found : "";
}

static json_t *copy_of(const struct asking *asking, const char *key) {
    json_t *value = get(asking, key);

    return value ? json_incref(value) : json_null();
}

static json_t *done(int r) {
    return r < 0 ? channel_error_new(host_table.last_error()) : channel_answer_new(NULL);
}

/* ---- about a call ---- */

static json_t *reply(const struct asking *asking) {
    json_t *value = get(asking, "value");

    (void)host_table.reply(asking->call, json_is_null(value) ? NULL : json_incref(value));
    return NULL;
}

static json_t *reply_json(const struct asking *asking) {
    json_t *value = get(asking, "value");

    (void)host_table.reply_json(asking->call, json_is_null(value) ? NULL : json_incref(value));
    return NULL;
}

static json_t *reply_json_text(const struct asking *asking) {
    (void)host_table.reply_json_text(asking->call, text(asking, "value"));
    return NULL;
}

static json_t *reply_text(const struct asking *asking) {
    (void)host_table.reply_text(asking->call, text(asking, "value"));
    return NULL;
}

static json_t *reply_error(const struct asking *asking) {
    (void)host_table.reply_error(asking->call, text(asking, "value"));
    return NULL;
}

static json_t *progress(const struct asking *asking) {
    host_table.progress(asking->call, json_number_value(get(asking, "done")), json_number_value(get(asking, "total")),
                        channel_text(asking->message, "message"));
    return NULL;
}

static json_t *log_of_call(const struct asking *asking) {
    host_table.log(asking->call, (int)json_integer_value(get(asking, "level")), text(asking, "text"));
    return NULL;
}

static json_t *cancelled(const struct asking *asking) {
    return channel_answer_new(json_boolean(host_table.cancelled(asking->call)));
}

static json_t *suspending(const struct asking *asking) {
    return channel_answer_new(json_boolean(host_table.suspending(asking->call)));
}

static json_t *checkpoint(const struct asking *asking) {
    if (host_table.checkpoint(asking->call, copy_of(asking, "state")) < 0)
        return done(-1);
    guest_call_note_checkpoint(asking->guest, asking->id, get(asking, "state"));
    return done(0);
}

static json_t *resume_state(const struct asking *asking) {
    json_t *own = guest_call_checkpoint_new(asking->guest, asking->id);

    return channel_answer_new(own ? own : json_incref((json_t *)(uintptr_t)host_table.resume_state(asking->call)));
}

static json_t *call_key(const struct asking *asking) {
    return channel_answer_new(json_string(host_table.call_key(asking->call)));
}

static json_t *call_tool(const struct asking *asking) {
    json_t *args = get(asking, "args"), *result = NULL;

    if (host_table.call_tool(asking->call, text(asking, "name"), json_is_null(args) ? NULL : json_incref(args),
                             &result) < 0)
        return done(-1);
    return channel_answer_new(result);
}

static json_t *client(const struct asking *asking) {
    const struct theseus_client_info *info = host_table.client(asking->call);

    return channel_answer_new(json_pack("{s:o, s:o, s:o, s:o, s:o, s:I}", "name", channel_text_new(info->name),
                                        "version", channel_text_new(info->version), "transport",
                                        channel_text_new(info->transport), "session", channel_text_new(info->session),
                                        "directory", channel_text_new(info->directory), "uid", (json_int_t)info->uid));
}

static json_t *control(const struct asking *asking) {
    const json_t *args = get(asking, "args");

    return channel_answer_new(
        host_table.control(asking->call, text(asking, "verb"), json_is_object(args) ? args : NULL));
}

/* ---- about the plugin ---- */

static json_t *state_put(const struct asking *asking) {
    return done(host_table.state_put(asking->guest->ctx, text(asking, "key"), copy_of(asking, "value")));
}

static json_t *state_get(const struct asking *asking) {
    return channel_answer_new(host_table.state_get(asking->guest->ctx, text(asking, "key")));
}

/* What comes next: asked of the very thread that waits for the end of this. */
static json_t *update(const json_t *current, void *arg) {
    const struct asking *asking = arg;
    json_auto_t *answer = NULL;
    json_t *question =
        json_pack("{s:s, s:o}", "ask", "update", "current", current ? json_deep_copy(current) : json_null());

    if (channel_ask(asking->channel, question, asking->user, &answer, NULL) != 0)
        return NULL;
    return json_incref(json_object_get(answer, "next"));
}

static json_t *state_update(const struct asking *asking) {
    return done(
        host_table.state_update(asking->guest->ctx, text(asking, "key"), update, (struct asking *)(uintptr_t)asking));
}

static json_t *resource_changed(const struct asking *asking) {
    return done(host_table.resource_changed(asking->guest->ctx, text(asking, "uri")));
}

static json_t *ctx_log(const struct asking *asking) {
    host_table.ctx_log(asking->guest->ctx, (int)json_integer_value(get(asking, "level")), text(asking, "text"));
    return NULL;
}

/* ---- tools that come and go ---- */

/* A handler that may stop at a checkpoint comes back as such on a worker only: see guest_line.h. */
static unsigned flags_of(const json_t *description) {
    unsigned flags = (unsigned)json_integer_value(json_object_get(description, "flags"));

    return flags & THESEUS_RESUMABLE ? flags & ~(unsigned)THESEUS_INLINE : flags;
}

void guest_tool_fill(struct theseus_tool *ret_tool, const json_t *description, struct guest_tool *data) {
    *ret_tool = (struct theseus_tool){
        .name = channel_text(description, "name"),
        .title = channel_text(description, "title"),
        .description = channel_text(description, "description"),
        .input_schema = channel_text(description, "input_schema"),
        .output_schema = channel_text(description, "output_schema"),
        .flags = flags_of(description),
        .timeout = (unsigned)json_integer_value(json_object_get(description, "timeout")),
        .call = guest_call_run,
        .data = data,
    };
}

static void guest_tool_free(struct guest_tool *tool) {
    (void)pthread_mutex_lock(&tool->guest->lock);
    list_remove(&tool->link);
    (void)pthread_mutex_unlock(&tool->guest->lock);
    (void)process_unref(tool->process);
    free(tool->name);
    free(tool);
}

/* The last call of it is over. */
static void release_tool(void *data) {
    struct guest_tool *tool = data;

    (void)!cord_send_release(tool->process->cord, tool->id, NULL);
    guest_tool_free(tool);
}

static json_t *tool_add(const struct asking *asking) {
    struct guest *guest = asking->guest;
    struct guest_tool *tool = xcalloc(1, sizeof(*tool));
    struct theseus_tool declared;

    *tool = (struct guest_tool){
        .guest = guest, .process = process_ref(asking->process), .id = json_integer_value(get(asking, "id"))};
    guest_tool_fill(&declared, get(asking, "tool"), tool);
    declared.release = release_tool;
    tool->name = xstrdup(declared.name ? declared.name : "");
    (void)pthread_mutex_lock(&guest->lock);
    list_append(&guest->added, &tool->link);
    (void)pthread_mutex_unlock(&guest->lock);
    if (host_table.tool_add(guest->ctx, &declared) == 0)
        return done(0);
    json_t *refusal = done(-1);
    guest_tool_free(tool);
    return refusal;
}

static json_t *tool_remove(const struct asking *asking) {
    return done(host_table.tool_remove(asking->guest->ctx, text(asking, "name")));
}

/* ---- the verbs ---- */

enum about { OF_CALL, END_OF_CALL, OF_PLUGIN };

static const struct {
    const char *verb;
    enum about about;
    json_t *(*serve)(const struct asking *asking);
} verbs[] = {
    {"reply", END_OF_CALL, reply},
    {"reply_json", END_OF_CALL, reply_json},
    {"reply_json_text", END_OF_CALL, reply_json_text},
    {"reply_text", END_OF_CALL, reply_text},
    {"reply_error", END_OF_CALL, reply_error},
    {"progress", OF_CALL, progress},
    {"cancelled", OF_CALL, cancelled},
    {"suspending", OF_CALL, suspending},
    {"checkpoint", OF_CALL, checkpoint},
    {"resume_state", OF_CALL, resume_state},
    {"call_key", OF_CALL, call_key},
    {"call_tool", OF_CALL, call_tool},
    {"client", OF_CALL, client},
    {"log", OF_CALL, log_of_call},
    {"control", OF_CALL, control},
    {"state_put", OF_PLUGIN, state_put},
    {"state_get", OF_PLUGIN, state_get},
    {"state_update", OF_PLUGIN, state_update},
    {"tool_add", OF_PLUGIN, tool_add},
    {"tool_remove", OF_PLUGIN, tool_remove},
    {"resource_changed", OF_PLUGIN, resource_changed},
    {"ctx_log", OF_PLUGIN, ctx_log},
};

/* The run is kept for as long as the question is being answered, whatever others say of the call meanwhile. */
static json_t *serve_for_call(struct asking *asking, size_t verb) {
    struct run *run = verbs[verb].about == END_OF_CALL ? guest_call_take(asking->guest, asking->id)
                                                       : guest_call_find(asking->guest, asking->id);

    if (!run)
        return channel_error_new("the call is over");
    asking->call = &run->call;
    json_t *answer = verbs[verb].serve(asking);
    (void)run_unref(run);
    return answer;
}

static json_t *serve_verb(struct asking *asking, const char *name) {
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        if (strcmp(verbs[i].verb, name) != 0)
            continue;
        if (verbs[i].about != OF_PLUGIN)
            return serve_for_call(asking, i);
        return asking->guest->ctx ? verbs[i].serve(asking) : channel_error_new("the plugin is not started yet");
    }
    return NULL;
}

json_t *guest_serve(struct guest_asker *asker, struct channel *channel, const struct channel_user *user,
                    const char *verb, const json_t *message) {
    struct asking asking = {
        .guest = asker->guest,
        .process = asker->process,
        .channel = channel,
        .user = user,
        .message = message,
        .id = json_integer_value(json_object_get(message, "call")),
    };

    return serve_verb(&asking, verb);
}

/* ---- threads of the plugin's own ---- */

struct serving {
    struct guest_asker asker;
    struct channel *channel;
    struct channel_user user;
};

static json_t *serve_thread(void *arg, struct channel *channel, const char *verb, const json_t *message) {
    struct serving *serving = arg;

    return guest_serve(&serving->asker, channel, &serving->user, verb, message);
}

static void serving_main(void *arg) {
    struct serving *serving = arg;
    struct process *process = serving->asker.process;

    if (channel_serve(serving->channel, &serving->user, NULL) < 0)
        process_kill(process, guest_nonsense);
    (void)channel_free(serving->channel);
    free(serving);
    process_asker_left(process);
}

void guest_serve_asker(struct guest *guest, struct process *process, int fd) {
    struct serving *serving = xcalloc(1, sizeof(*serving));
    struct theseus_error err = {0};
    struct thread *thread = NULL;

    *serving = (struct serving){.asker = {guest, process}, .channel = channel_new(fd)};
    serving->user = (struct channel_user){.serve = serve_thread, .arg = serving};
    if (!process_asker_comes(process, ASKERS_MAX)) {
        process_kill(process, "too many of its threads ask at once");
    } else if (thread_start(&thread, "asked", serving_main, serving, &err) == 0) {
        (void)thread_detach(thread);
        return;
    } else {
        log_error("%s", err.message);
        process_asker_left(process);
    }
    (void)channel_free(serving->channel);
    free(serving);
}
