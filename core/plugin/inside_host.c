/* The table of functions that a plugin gets inside a process of its own: each asks the server for what it does. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "plugin/inside_call.h"
#include "rpc/jsontext.h"
#include "store/store.h"

/* Asked in a tight loop, the server answers from its last word for so long. */
enum { WORD_HOLDS_NS = 1000000 };

static __thread char last_error[sizeof(((struct theseus_error *)NULL)->message)];

static const char *inside_last_error(void) {
    return last_error;
}

static int failed(const struct theseus_error *err) {
    memcpy(last_error, err->message, sizeof(last_error));
    return -1;
}

static struct inside *inside_of(const struct theseus_ctx *ctx) {
    return container_of((struct theseus_ctx *)(uintptr_t)ctx, struct inside, ctx);
}

static json_t *about(const char *kind, const char *verb, const struct inside_call *call) {
    return json_pack("{s:s, s:I}", kind, verb, "call", call->id);
}

/* Adds a member. Steals both; NULL: there is no message any more. */
static json_t *with(json_t *message, const char *key, json_t *value) {
    if (message && json_object_set_new(message, key, value) == 0)
        return message;
    json_decref(message);
    return NULL;
}

static int ask(struct inside *inside, json_t *question, json_t **ret_answer) {
    struct theseus_error err = {0};

    return inside_ask(inside, question, ret_answer, &err) < 0 ? failed(&err) : 0;
}

/* Where only success or failure is of interest. */
static int ask_for(struct inside *inside, json_t *question) {
    json_t *answer = NULL;
    int r = ask(inside, question, &answer);

    json_decref(answer);
    return r;
}

static void say(struct inside *inside, json_t *message) {
    struct theseus_error err = {0};

    if (inside_tell(inside, message, &err) < 0)
        (void)failed(&err);
}

/* ---- answers ---- */

static json_t *value_or_null(json_t *value) {
    return value ? value : json_null();
}

static int inside_reply(struct theseus_call *call, json_t *result) {
    return inside_call_reply(inside_call_of(call), "reply", value_or_null(result));
}

static int inside_reply_json(struct theseus_call *call, json_t *value) {
    return inside_call_reply(inside_call_of(call), "reply_json", value_or_null(value));
}

static int inside_reply_json_text(struct theseus_call *call, const char *text) {
    return inside_call_reply(inside_call_of(call), "reply_json_text", channel_text_new(text ? text : ""));
}

static int inside_reply_text(struct theseus_call *call, const char *text) {
    return inside_call_reply(inside_call_of(call), "reply_text", channel_text_new(text ? text : ""));
}

static int inside_reply_error(struct theseus_call *call, const char *text) {
    return inside_call_reply(inside_call_of(call), "reply_error", channel_text_new(text ? text : ""));
}

/* ---- of a call ---- */

static void inside_progress(struct theseus_call *call, double done, double total, const char *message) {
    const struct inside_call *mine = inside_call_of(call);

    if (!isfinite(done) || !isfinite(total))
        return; /* no number of JSON's */
    say(mine->inside, json_pack("{s:s, s:I, s:f, s:f, s:o*}", "tell", "progress", "call", mine->id, "done", done,
                                "total", total, "message", message ? channel_text_new(message) : NULL));
}

/* What once was so stays so; what is not is believed for a moment. */
static bool ask_whether(struct inside_call *call, const char *verb, atomic_bool *word, atomic_int_fast64_t *asked_ns) {
    const int64_t now = clock_now_ns();
    json_t *answer = NULL;

    if (atomic_load(word))
        return true;
    if (now - atomic_load(asked_ns) < WORD_HOLDS_NS)
        return false;
    if (ask(call->inside, about("ask", verb, call), &answer) == 0 && json_is_true(answer))
        atomic_store(word, true);
    json_decref(answer);
    atomic_store(asked_ns, now);
    return atomic_load(word);
}

static bool inside_cancelled(const struct theseus_call *call) {
    struct inside_call *mine = inside_call_of(call);

    return ask_whether(mine, "cancelled", &mine->cancelled, &mine->asked_ns[0]);
}

static bool inside_suspending(const struct theseus_call *call) {
    struct inside_call *mine = inside_call_of(call);

    return ask_whether(mine, "suspending", &mine->suspending, &mine->asked_ns[1]);
}

static int inside_checkpoint(struct theseus_call *call, json_t *state) {
    const struct inside_call *mine = inside_call_of(call);

    return ask_for(mine->inside, with(about("ask", "checkpoint", mine), "state", value_or_null(state)));
}

static const json_t *inside_resume_state(const struct theseus_call *call) {
    struct inside_call *mine = inside_call_of(call);

    (void)pthread_mutex_lock(&mine->lock);
    if (!mine->has_resume)
        mine->has_resume = ask(mine->inside, about("ask", "resume_state", mine), &mine->resume) == 0;
    (void)pthread_mutex_unlock(&mine->lock);
    return mine->resume;
}

static const char *inside_call_key(const struct theseus_call *call) {
    struct inside_call *mine = inside_call_of(call);
    json_t *answer = NULL;

    (void)pthread_mutex_lock(&mine->lock);
    if (!mine->key && ask(mine->inside, about("ask", "call_key", mine), &answer) == 0 && json_is_string(answer))
        mine->key = xstrdup(json_string_value(answer));
    (void)pthread_mutex_unlock(&mine->lock);
    json_decref(answer);
    return mine->key ? mine->key : "";
}

static const char *inside_tool_name(const struct theseus_call *call) {
    return inside_call_of(call)->name;
}

static void *inside_tool_data(const struct theseus_call *call) {
    return inside_call_of(call)->data;
}

static const char *inside_args_text(struct theseus_call *call) {
    struct inside_call *mine = inside_call_of(call);
    CLEANUP(buf_fini) struct buf text = {0};

    (void)pthread_mutex_lock(&mine->lock);
    if (!mine->args_text && jsontext_write(mine->args, &text, NULL) == 0)
        mine->args_text = buf_take_string(&text);
    (void)pthread_mutex_unlock(&mine->lock);
    return mine->args_text ? mine->args_text : "{}";
}

static int inside_call_tool(struct theseus_call *call, const char *name, json_t *args, json_t **ret_result) {
    const struct inside_call *mine = inside_call_of(call);
    json_t *question = with(about("ask", "call_tool", mine), "name", channel_text_new(name));

    return ask(mine->inside, with(question, "args", value_or_null(args)), ret_result);
}

static const char *client_text(const json_t *texts, const char *key) {
    const char *text = channel_text(texts, key);

    return text ? text : "";
}

static const struct theseus_client_info *inside_client(struct theseus_call *call) {
    struct inside_call *mine = inside_call_of(call);

    (void)pthread_mutex_lock(&mine->lock);
    if (!mine->client_texts && ask(mine->inside, about("ask", "client", mine), &mine->client_texts) < 0)
        mine->client_texts = json_object();
    const json_t *texts = mine->client_texts, *uid = json_object_get(texts, "uid");
    mine->client = (struct theseus_client_info){.name = client_text(texts, "name"),
                                                .version = client_text(texts, "version"),
                                                .transport = client_text(texts, "transport"),
                                                .session = client_text(texts, "session"),
                                                .directory = client_text(texts, "directory"),
                                                .uid = json_is_integer(uid) ? (long)json_integer_value(uid) : -1};
    (void)pthread_mutex_unlock(&mine->lock);
    return &mine->client;
}

static void inside_log(struct theseus_call *call, int level, const char *text) {
    const struct inside_call *mine = inside_call_of(call);

    say(mine->inside,
        with(with(about("tell", "log", mine), "level", json_integer(level)), "text", channel_text_new(text)));
}

static json_t *inside_control(struct theseus_call *call, const char *verb, const json_t *args) {
    const struct inside_call *mine = inside_call_of(call);
    json_t *question = with(about("ask", "control", mine), "verb", channel_text_new(verb));
    json_t *answer = NULL;

    if (ask(mine->inside, with(question, "args", args ? json_deep_copy(args) : json_null()), &answer) < 0)
        return json_pack("{s:s}", "error", last_error);
    return answer;
}

static int inside_child_started(struct theseus_call *call, long pid) {
    struct theseus_error err = {0};

    (void)call, (void)pid;
    (void)fail(&err, ERR_ACCESS, "an isolated plugin starts no processes");
    return failed(&err);
}

static void inside_child_ended(struct theseus_call *call, long pid) {
    (void)call, (void)pid; /* none has begun */
}

/* ---- of a plugin ---- */

static const json_t *inside_config(const struct theseus_ctx *ctx) {
    return atomic_load(&inside_of(ctx)->config);
}

static const json_t *inside_saved(const struct theseus_ctx *ctx) {
    return inside_of(ctx)->saved;
}

static json_t *of_state(const char *verb, const char *key) {
    return json_pack("{s:s, s:o}", "ask", verb, "key", channel_text_new(key));
}

static int inside_state_put(struct theseus_ctx *ctx, const char *key, json_t *value) {
    return ask_for(inside_of(ctx), with(of_state("state_put", key), "value", value));
}

static json_t *inside_state_get(struct theseus_ctx *ctx, const char *key) {
    json_t *answer = NULL;

    return ask(inside_of(ctx), of_state("state_get", key), &answer) < 0 ? NULL : answer;
}

struct update {
    theseus_state_fn *fn;
    void *arg;
};

/* The server asks what comes next, while it keeps everybody else from the key. */
static json_t *serve_update(void *arg, struct channel *channel, const char *verb, const json_t *message) {
    const struct update *update = arg;
    const json_t *current = json_object_get(message, "current");

    (void)channel;
    if (strcmp(verb, "update") != 0)
        return NULL;
    json_t *next = update->fn(json_is_null(current) ? NULL : current, update->arg);
    /* A JSON null removes the key; no value leaves it as it is. */
    return next ? json_pack("{s:{s:o}}", "answer", "next", next) : channel_answer_new(NULL);
}

static int inside_state_update(struct theseus_ctx *ctx, const char *key, theseus_state_fn *update, void *arg) {
    struct update closure = {update, arg};
    const struct channel_user user = {.serve = serve_update, .arg = &closure};
    struct theseus_error err = {0};
    json_t *answer = NULL;

    int r = inside_ask_back(inside_of(ctx), of_state("state_update", key), &user, &answer, &err);
    json_decref(answer);
    return r < 0 ? failed(&err) : 0;
}

static int need_store(const struct inside *inside, struct theseus_error *err) {
    return inside->store ? 0 : fail(err, ERR_ACCESS, "there is no directory in which this plugin may keep a database");
}

static struct sqlite3 *inside_db(struct theseus_ctx *ctx) {
    struct inside *inside = inside_of(ctx);
    struct theseus_error err = {0};
    struct sqlite3 *db = NULL;

    if (need_store(inside, &err) < 0 || store_db(inside->store, &db, &err) < 0)
        (void)failed(&err);
    return db;
}

static struct sqlite3_stmt *inside_statement(struct theseus_ctx *ctx, const char *sql) {
    struct inside *inside = inside_of(ctx);
    struct sqlite3_stmt *statement = NULL;
    struct theseus_error err = {0};

    if (need_store(inside, &err) < 0 || store_statement(inside->store, inside->slots->name, sql, &statement, &err) < 0)
        (void)failed(&err);
    return statement;
}

static int inside_make_thread(struct theseus_ctx *ctx, theseus_thread_fn *run, void *arg) {
    struct theseus_error err = {0};
    int number = inside_thread(inside_of(ctx), run, arg, &err);

    return number < 0 ? failed(&err) : number;
}

static void inside_join_thread(struct theseus_ctx *ctx, int thread) {
    if (thread > 0)
        inside_thread_join(inside_of(ctx), thread);
}

static int inside_add_tool(struct theseus_ctx *ctx, const struct theseus_tool *tool) {
    struct theseus_error err = {0};

    return inside_tool_add(inside_of(ctx), tool, &err) < 0 ? failed(&err) : 0;
}

static int inside_remove_tool(struct theseus_ctx *ctx, const char *name) {
    return ask_for(inside_of(ctx), json_pack("{s:s, s:o}", "ask", "tool_remove", "name", channel_text_new(name)));
}

static int inside_resource_changed(struct theseus_ctx *ctx, const char *uri) {
    return ask_for(inside_of(ctx), json_pack("{s:s, s:o}", "ask", "resource_changed", "uri", channel_text_new(uri)));
}

static void inside_ctx_log(struct theseus_ctx *ctx, int level, const char *text) {
    say(inside_of(ctx),
        json_pack("{s:s, s:i, s:o}", "tell", "ctx_log", "level", level, "text", channel_text_new(text)));
}

const struct theseus_host inside_host = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_host),
    .reply = inside_reply,
    .reply_json = inside_reply_json,
    .reply_json_text = inside_reply_json_text,
    .reply_text = inside_reply_text,
    .reply_error = inside_reply_error,
    .progress = inside_progress,
    .cancelled = inside_cancelled,
    .suspending = inside_suspending,
    .checkpoint = inside_checkpoint,
    .resume_state = inside_resume_state,
    .call_key = inside_call_key,
    .tool_name = inside_tool_name,
    .args_text = inside_args_text,
    .call_tool = inside_call_tool,
    .client = inside_client,
    .log = inside_log,
    .control = inside_control,
    .child_started = inside_child_started,
    .child_ended = inside_child_ended,
    .config = inside_config,
    .saved = inside_saved,
    .state_put = inside_state_put,
    .state_get = inside_state_get,
    .state_update = inside_state_update,
    .db = inside_db,
    .statement = inside_statement,
    .thread = inside_make_thread,
    .thread_join = inside_join_thread,
    .tool_add = inside_add_tool,
    .tool_remove = inside_remove_tool,
    .ctx_log = inside_ctx_log,
    .last_error = inside_last_error,
    .tool_data = inside_tool_data,
    .resource_changed = inside_resource_changed,
};
