#include "plugin/host.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/utf8.h"
#include "call/keep.h"
#include "plugin/generation.h"
#include "plugin/migration.h"
#include "plugin/run.h"
#include "plugin/state.h"
#include "rpc/jsontext.h"
#include "store/store.h"

/* What theseus_last_error() says; a plain array, so that no destructor of a thread has to free it. */
static __thread char last_error[sizeof(((struct theseus_error *)NULL)->message)];

void host_set_error(const struct theseus_error *err) {
    memcpy(last_error, err->message, sizeof(last_error));
}

static const char *host_last_error(void) {
    return last_error;
}

static int failed(const struct theseus_error *err) {
    host_set_error(err);
    return -1;
}

static struct generation *generation_of(const struct theseus_ctx *ctx) {
    return container_of((struct theseus_ctx *)(uintptr_t)ctx, struct generation, ctx);
}

/* ---- answers ---- */

static int host_reply(struct theseus_call *call, json_t *result) {
    return run_reply(run_of(call), result);
}

static int host_reply_text(struct theseus_call *call, const char *text) {
    return run_reply(run_of(call), run_text_result_new(text, false));
}

static int host_reply_error(struct theseus_call *call, const char *text) {
    if (!run_of(call)->outer)
        atomic_store(&run_of(call)->request->said_error, true);
    return run_reply(run_of(call), run_text_result_new(text, true));
}

/* The text copy of structured content; where both together would be too long, a note in its place. Owned. */
static char *copy_of(const struct run *run, const json_t *value) {
    CLEANUP(buf_fini) struct buf text = {0};

    if (jsontext_write(value, &text, NULL) < 0)
        return NULL;
    /* In the copy each quote and backslash is escaped: twice the length at most, and the structured form once. */
    if (text.len > run->request->max_result / 4)
        return xasprintf("The result of %zu bytes is in structuredContent.", text.len);
    return buf_take_string(&text);
}

static int host_reply_json(struct theseus_call *call, json_t *value) {
    struct run *run = run_of(call);
    CLEANUP(free) char *copy = value ? copy_of(run, value) : NULL;
    json_t *result =
        copy ? json_pack("{s:[{s:s, s:s}], s:o}", "content", "type", "text", "text", copy, "structuredContent", value)
             : NULL;

    if (!copy)
        json_decref(value);
    return run_reply(run, result);
}

static int host_reply_json_text(struct theseus_call *call, const char *text) {
    struct theseus_error err = {0};
    json_t *value = jsontext_read(span_of(text ? text : ""), &err);

    if (value)
        return host_reply_json(call, value);
    (void)error_prefix(&err, "the tool answered with text that is not JSON: ");
    return host_reply_error(call, err.message);
}

/* ---- of a call ---- */

static void host_progress(struct theseus_call *call, double done, double total, const char *message) {
    size_t len;
    CLEANUP(free) char *clean = message ? utf8_clean(span_of(message), &len) : NULL;

    run_progress(run_of(call), done, total, clean);
}

static bool host_cancelled(const struct theseus_call *call) {
    return atomic_load(&run_of(call)->request->cancelled);
}

/* A call inside a call cannot stop at a checkpoint: the outer one is asked. Whoever was told may act on it, even if the
 * restart is given up meanwhile. */
static bool host_suspending(const struct theseus_call *call) {
    struct run *run = run_of(call);

    if (run->outer || !atomic_load(&run->request->suspending))
        return false;
    atomic_store(&run->told, true);
    return true;
}

static int host_checkpoint(struct theseus_call *call, json_t *state) {
    struct run *run = run_of(call);
    struct theseus_error err = {0};

    if (run->outer) {
        json_decref(state);
        (void)fail(&err, ERR_INVALID, "a call inside a call has no checkpoint: the outer one's counts");
        return failed(&err);
    }
    return keep_checkpoint(run->request, state, &err) < 0 ? failed(&err) : 0;
}

static const json_t *host_resume_state(const struct theseus_call *call) {
    const struct run *run = run_of(call);

    return run->outer ? NULL : run->request->resume;
}

static const char *host_call_key(const struct theseus_call *call) {
    const struct run *run = run_of(call);

    return run->key_text ? run->key_text : run->request->key_text;
}

static const char *host_tool_name(const struct theseus_call *call) {
    return run_of(call)->name;
}

static void *host_tool_data(const struct theseus_call *call) {
    return run_of(call)->offer->tool->data;
}

static const char *host_args_text(struct theseus_call *call) {
    struct run *run = run_of(call);
    CLEANUP(buf_fini) struct buf text = {0};

    (void)pthread_mutex_lock(&run->lock);
    if (!run->args_text && jsontext_write(run->args, &text, NULL) == 0)
        run->args_text = buf_take_string(&text);
    (void)pthread_mutex_unlock(&run->lock);
    return run->args_text ? run->args_text : "{}";
}

static int host_call_tool(struct theseus_call *call, const char *name, json_t *args, json_t **ret_result) {
    struct theseus_error err = {0};

    return run_inner(run_of(call), name, args, ret_result, &err) < 0 ? failed(&err) : 0;
}

static const struct theseus_client_info *host_client(struct theseus_call *call) {
    return &run_of(call)->request->client;
}

/* From the protocol's eight levels to the log's four. */
static enum log_level log_level_of(int level) {
    if (level >= THESEUS_ERROR)
        return LOG_ERROR;
    return level >= THESEUS_WARNING ? LOG_WARNING : level >= THESEUS_INFO ? LOG_INFO : LOG_DEBUG;
}

static void host_log(struct theseus_call *call, int level, const char *text) {
    struct run *run = run_of(call);
    size_t len;
    CLEANUP(free) char *clean = utf8_clean(span_of(text), &len);

    if (log_wants(log_level_of(level)))
        log_write(log_level_of(level), run->offer->generation->name, "%s", clean);
    call_log(run->request, level, run->offer->generation->name, clean);
}

static json_t *host_control(struct theseus_call *call, const char *verb, const json_t *args) {
    struct run *run = run_of(call);

    return run->host->control(run->host->arg, run, verb, args);
}

static int host_child_started(struct theseus_call *call, long pid) {
    struct theseus_error err = {0};

    return keep_child(run_of(call)->request, pid, &err) < 0 ? failed(&err) : 0;
}

static void host_child_ended(struct theseus_call *call, long pid) {
    keep_child_ended(run_of(call)->request, pid);
}

/* ---- of a plugin ---- */

static const json_t *host_config(const struct theseus_ctx *ctx) {
    return atomic_load(&generation_of(ctx)->config);
}

static const json_t *host_saved(const struct theseus_ctx *ctx) {
    return generation_of(ctx)->saved;
}

static int host_state_put(struct theseus_ctx *ctx, const char *key, json_t *value) {
    const struct generation *generation = generation_of(ctx);
    struct theseus_error err = {0};

    return state_put(generation->host->state, generation->name, key, value, &err) < 0 ? failed(&err) : 0;
}

static json_t *host_state_get(struct theseus_ctx *ctx, const char *key) {
    const struct generation *generation = generation_of(ctx);

    return state_get(generation->host->state, generation->name, key);
}

static int host_state_update(struct theseus_ctx *ctx, const char *key, theseus_state_fn *update, void *arg) {
    const struct generation *generation = generation_of(ctx);
    struct theseus_error err = {0};

    return state_update(generation->host->state, generation->name, key, update, arg, &err) < 0 ? failed(&err) : 0;
}

/* A later version of the plugin, in another process, may have migrated it: this one knows nothing of what it finds. */
static int check_schema(struct generation *generation, struct theseus_error *err) {
    atomic_store(&generation->uses_store, true);
    if (migration_on_use(generation, err) < 0)
        return -1;
    return generation->slots.migrations
               ? store_check_version(generation->host->store, generation->name, generation->steps, err)
               : 0;
}

static struct sqlite3 *host_db(struct theseus_ctx *ctx) {
    struct generation *generation = generation_of(ctx);
    struct theseus_error err = {0};
    struct sqlite3 *db = NULL;

    if ((!store_has_failed(generation->host->store) && check_schema(generation, &err) < 0) ||
        store_db(generation->host->store, &db, &err) < 0)
        (void)failed(&err);
    return db;
}

static struct sqlite3_stmt *host_statement(struct theseus_ctx *ctx, const char *sql) {
    struct generation *generation = generation_of(ctx);
    struct sqlite3_stmt *statement = NULL;
    struct theseus_error err = {0};

    if (check_schema(generation, &err) < 0 ||
        store_statement(generation->host->store, generation->component, sql, &statement, &err) < 0)
        (void)failed(&err);
    return statement;
}

static int host_thread(struct theseus_ctx *ctx, theseus_thread_fn *run, void *arg) {
    struct theseus_error err = {0};
    int number = generation_thread(generation_of(ctx), run, arg, &err);

    return number < 0 ? failed(&err) : number;
}

static void host_thread_join(struct theseus_ctx *ctx, int thread) {
    generation_thread_join(generation_of(ctx), thread);
}

/* Clients hear of a change of settings once, at its end, and not of each tool in it. */
static void touched(struct generation *generation) {
    if (generation->offering && !registry_is_changing(generation->host->registry, generation))
        loop_post(generation->host->loop, generation->host->tools_touched, generation->host->arg);
}

static int host_tool_add(struct theseus_ctx *ctx, const struct theseus_tool *declared) {
    struct generation *generation = generation_of(ctx);
    CLEANUP(tool_free) struct tool *tool = NULL;
    struct theseus_error err = {0};

    if (tool_new(&tool, declared, &err) < 0)
        return failed(&err);
    tool->release = declared->release;
    if (registry_add(generation->host->registry, generation, tool, &err) < 0) {
        tool->release = NULL; /* the data stays the plugin's */
        return failed(&err);
    }
    tool = NULL; /* the registry's now */
    touched(generation);
    return 0;
}

static int host_tool_remove(struct theseus_ctx *ctx, const char *name) {
    struct generation *generation = generation_of(ctx);
    struct theseus_error err = {0};

    if (registry_remove(generation->host->registry, generation, name, &err) < 0)
        return failed(&err);
    touched(generation);
    return 0;
}

struct resource_change {
    const struct plugin_host *host;
    char *uri; /* owned */
};

static void on_resource_changed(void *arg) {
    struct resource_change *change = arg;

    change->host->resource_changed(change->host->arg, change->uri);
    free(change->uri);
    free(change);
}

static int host_resource_changed(struct theseus_ctx *ctx, const char *uri) {
    struct generation *generation = generation_of(ctx);

    if (!generation->offering || !generation->host->resource_changed)
        return 0; /* nobody can have read it yet */
    struct resource_change *change = xcalloc(1, sizeof(*change));
    *change = (struct resource_change){generation->host, xstrdup(uri)};
    loop_post(generation->host->loop, on_resource_changed, change);
    return 0;
}

static void host_ctx_log(struct theseus_ctx *ctx, int level, const char *text) {
    if (log_wants(log_level_of(level)))
        log_write(log_level_of(level), generation_of(ctx)->name, "%s", text);
}

const struct theseus_host host_table = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_host),
    .reply = host_reply,
    .reply_json = host_reply_json,
    .reply_json_text = host_reply_json_text,
    .reply_text = host_reply_text,
    .reply_error = host_reply_error,
    .progress = host_progress,
    .cancelled = host_cancelled,
    .suspending = host_suspending,
    .checkpoint = host_checkpoint,
    .resume_state = host_resume_state,
    .call_key = host_call_key,
    .tool_name = host_tool_name,
    .args_text = host_args_text,
    .call_tool = host_call_tool,
    .client = host_client,
    .log = host_log,
    .control = host_control,
    .child_started = host_child_started,
    .child_ended = host_child_ended,
    .config = host_config,
    .saved = host_saved,
    .state_put = host_state_put,
    .state_get = host_state_get,
    .state_update = host_state_update,
    .db = host_db,
    .statement = host_statement,
    .thread = host_thread,
    .thread_join = host_thread_join,
    .tool_add = host_tool_add,
    .tool_remove = host_tool_remove,
    .ctx_log = host_ctx_log,
    .last_error = host_last_error,
    .tool_data = host_tool_data,
    .resource_changed = host_resource_changed,
};
