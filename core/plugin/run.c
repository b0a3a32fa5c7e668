#include "plugin/run.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/blame.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/utf8.h"
#include "call/keep.h"
#include "plugin/access.h"
#include "plugin/amends.h"
#include "plugin/ban.h"
#include "plugin/generation.h"
#include "plugin/image.h"
#include "plugin/plugin.h"
#include "rpc/schema.h"
#include "rpc/shape.h"

/* Flags by which a tool may be run again although an earlier run of the call may have had its effect. */
enum { MAY_RUN_AGAIN = THESEUS_READ_ONLY | THESEUS_IDEMPOTENT };

enum { CRASHES_MAX = 2 }; /* of the server while one call was at work, which may well be the reason */

static void on_worker(void *job);
static void on_resume(void *arg);

/* ---- results ---- */

static json_t *text_new(const char *text) {
    struct span span = span_of(text ? text : "");
    size_t len;

    json_t *string = json_stringn(span.data, span.len);
    if (string)
        return string;
    CLEANUP(free) char *clean = utf8_clean(span, &len);
    return clean ? json_stringn(clean, len) : NULL;
}

json_t *run_text_result_new(const char *text, bool is_error) {
    return json_pack("{s:[{s:s, s:o}], s:o*}", "content", "type", "text", "text", text_new(text), "isError",
                     is_error ? json_true() : NULL);
}

static json_t *error_result_new(const struct theseus_error *err) {
    return run_text_result_new(err->message, true);
}

static bool is_error(const json_t *result) {
    return json_is_true(json_object_get(result, "isError"));
}

/* What a handler gave must be a CallToolResult, with structured content that its own schema takes. */
static int check_result(const struct run *run, const json_t *result, struct theseus_error *err) {
    struct tool *tool = run->offer->tool;
    const json_t *structured = json_object_get(result, "structuredContent");

    if (!result)
        return fail(err, ERR_MEMORY, "tool '%s': no memory for its result, or it is not valid", run->name);
    if (!json_is_object(result) || !json_is_array(json_object_get(result, "content")))
        return fail(err, ERR_INTERNAL, "tool '%s' gave no result with a 'content' array", run->name);
    if (is_error(result))
        return 0;
    if (tool_read(tool, err) < 0)
        return -1;
    if (!tool->output)
        return 0;
    if (!structured)
        return fail(err, ERR_INTERNAL, "tool '%s' gave no structuredContent although it declares an output schema",
                    run->name);
    if (schema_check(tool->output, structured, err) < 0)
        return error_prefix(err, "tool '%s' gave a result that its output schema refuses: ", run->name);
    return 0;
}

/* ---- life ---- */

struct run *run_new(const struct plugin_host *host, struct call *request, const char *name, json_t *args) {
    struct run *run = xcalloc(1, sizeof(*run));

    run->call.host = &host_table;
    run->host = host;
    run->request = call_ref(request);
    run->name = xstrdup(name);
    run->args = args ? json_incref(args) : json_object();
    atomic_init(&run->refs, 1);
    run->work.run = on_worker;
    run->work.whose = run->request->key.conn;
    run->resume = (struct loop_task){.run = on_resume, .arg = run};
    list_init(&run->queue_link);
    list_init(&run->wait_link);
    (void)pthread_mutex_init(&run->lock, NULL);
    (void)pthread_cond_init(&run->answered, NULL);
    return run;
}

static void to_worker(struct run *run) {
    if (run->request->urgent)
        workers_submit_urgent(run->host->workers, &run->work);
    else
        workers_submit(run->host->workers, &run->work);
}

void run_leave_serial(struct run *run) {
    struct list *next = run->serial ? registry_serial_leave(run->host->registry, run->offer) : NULL;

    run->serial = false;
    if (next)
        to_worker(list_entry(next, struct run, wait_link));
}

void run_leave_offer(struct run *run) {
    if (!run->offer)
        return;
    run_leave_serial(run);
    registry_release(run->host->registry, TAKE_PTR(run->offer));
}

struct run *run_ref(struct run *run) {
    (void)atomic_fetch_add(&run->refs, 1);
    return run;
}

struct run *run_unref(struct run *run) {
    if (!run || atomic_fetch_sub(&run->refs, 1) > 1)
        return NULL;
    struct run *outer = run->outer;
    run_leave_offer(run);
    json_decref(run->args); /* part of the request's message: before that may go, on another thread */
    (void)call_unref(run->request);
    json_decref(run->result);
    free(run->args_text);
    free(run->key_text);
    free(run->name);
    (void)pthread_cond_destroy(&run->answered);
    (void)pthread_mutex_destroy(&run->lock);
    free(run);
    return run_unref(outer); /* at most LIMIT_CALL_DEPTH deep */
}

/* ---- answers ---- */

/* To the thread that waits in run_inner(). */
static void deliver(struct run *run, json_t *result) {
    (void)pthread_mutex_lock(&run->lock);
    run->result = result;
    (void)pthread_cond_broadcast(&run->answered);
    (void)pthread_mutex_unlock(&run->lock);
}

static void answer(struct run *run, json_t *result) {
    if (run->outer)
        deliver(run, result);
    else
        call_answer(run->request, shape_tool_result(run->request->revision, result));
}

/* Once for a run. */
static bool takes_answer(struct run *run) {
    if (!atomic_exchange(&run->replied, true))
        return true;
    log_warning("tool '%s' answered a second time; that answer is dropped", run->name);
    return false;
}

static void note_answer(struct run *run, bool failed) {
    if (run->host->hangs && !run->outer && !call_is_over(run->request))
        hangs_note_served(run->host->hangs);
    if (run->offer->generation->plugin)
        stats_add(&run->offer->generation->plugin->stats, clock_now_ns() - run->entered_ns, failed);
}

int run_reply(struct run *run, json_t *result) {
    struct theseus_error err = {0};

    if (!takes_answer(run)) {
        json_decref(result);
        return THESEUS_DONE;
    }
    if (check_result(run, result, &err) < 0) {
        log_warning("%s", err.message);
        json_decref(result);
        result = error_result_new(&err);
    }
    note_answer(run, is_error(result));
    generation_count_call(run->offer->generation);
    answer(run, result);
    (void)run_unref(run); /* the answer's reference */
    return THESEUS_DONE;
}

/* What is read is no result of a tool, and one with a schema cannot say of itself that it is an error. */
static bool fails_by_protocol(const struct run *run) {
    return !run->outer && (run->offer->tool->output || strcmp(run->request->method, "resources/read") == 0);
}

int run_reply_crash(struct run *run, const char *text, json_t *crash) {
    struct theseus_error err = {0};

    if (!takes_answer(run)) {
        json_decref(crash);
        return THESEUS_DONE;
    }
    note_answer(run, true);
    if (fails_by_protocol(run)) {
        (void)fail(&err, ERR_INTERNAL, "%s", text);
        call_fail(run->request, &err, crash);
    } else {
        json_t *result = run_text_result_new(text, true);
        (void)json_object_set_new(result, "_meta", json_pack("{s:o}", "theseus/crash", crash));
        answer(run, result);
    }
    (void)run_unref(run); /* the answer's reference */
    return THESEUS_DONE;
}

/* ---- the handler ---- */

enum limit_source { LIMIT_OF_OPTION, LIMIT_OF_PLUGIN, LIMIT_OF_TOOL };

static char *limit_text(const struct call_limit *limit) {
    switch ((enum limit_source)limit->source) {
    case LIMIT_OF_PLUGIN:
        return xasprintf(".call_timeout in [plugin:%s]", limit->plugin);
    case LIMIT_OF_TOOL:
        return xasprintf("the tool's own; .call_timeout in [plugin:%s] would go before it", limit->plugin);
    case LIMIT_OF_OPTION:
        break;
    }
    return xasprintf("limits.call_timeout; .call_timeout in [plugin:%s] would go before it", limit->plugin);
}

static void on_timeout(struct call *call, const struct call_limit *limit) {
    const char *name = json_string_value(json_object_get(call->message.params, "name"));
    CLEANUP(free) char *tool = name ? xasprintf("tool '%.64s'", name) : xstrdup("the call");
    CLEANUP(free) char *setting = limit_text(limit);
    struct theseus_error err = {0};

    (void)fail(&err, ERR_TIMEOUT,
               "%s did not end within %g s and is given up; what it does may still take effect. The limit is %s", tool,
               (double)limit->ms / 1000, setting);
    call_answer(call, error_result_new(&err));
}

/* What the operator says of a plugin goes before what its author does. */
static struct call_limit limit_of(const struct run *run, const struct tool *tool) {
    const struct config *config = *run->host->config;
    const char *plugin = run->offer->generation->name;
    int configured = config_plugin_call_timeout(config, plugin);

    if (configured)
        return (struct call_limit){configured * INT64_C(1000), LIMIT_OF_PLUGIN, plugin};
    if (tool->timeout)
        return (struct call_limit){tool->timeout * INT64_C(1000), LIMIT_OF_TOOL, plugin};
    return (struct call_limit){config->limits.call_timeout * INT64_C(1000), LIMIT_OF_OPTION, plugin};
}

/* The time of a call counts from its acceptance, whatever it waits for. */
static void limit_time(struct run *run, const struct tool *tool) ON_LOOP {
    const struct call_limit limit = limit_of(run, tool);

    run->limit_ms = limit.ms;
    call_set_deadline(run->request, &limit, on_timeout);
}

static bool is_inline(const struct tool *tool) {
    return (tool->flags & (THESEUS_INLINE | THESEUS_SERIAL)) == THESEUS_INLINE;
}

/* The handler stopped: was it asked to, and can it go on? */
static int check_suspended(const struct run *run, struct theseus_error *err) {
    if (run->outer)
        return fail(err, ERR_INTERNAL,
                    "tool '%s' ended with THESEUS_SUSPENDED inside of another call, where nobody asks for that",
                    run->name);
    if (!(run->offer->tool->flags & THESEUS_RESUMABLE))
        return fail(err, ERR_INTERNAL, "tool '%s' ended with THESEUS_SUSPENDED and is not THESEUS_RESUMABLE",
                    run->name);
    if (!atomic_load(&run->told) && !atomic_load(&run->request->suspending))
        return fail(err, ERR_INTERNAL, "tool '%s' ended with THESEUS_SUSPENDED and was not asked to stop", run->name);
    if (!atomic_load(&run->request->has_checkpoint))
        return fail(err, ERR_INTERNAL,
                    "tool '%s' stopped without a checkpoint, so that nobody can go on with it; it may have executed "
                    "in part: check what it did before calling it again",
                    run->name);
    return 0;
}

static void fail_ended(const struct run *run, int outcome, struct theseus_error *err) {
    if (atomic_load(&run->request->cancelled))
        (void)fail(err, ERR_INTERNAL, "cancelled");
    else if (outcome == THESEUS_DONE)
        (void)fail(err, ERR_INTERNAL, "tool '%s' ended without an answer", run->name);
    else
        (void)fail(err, ERR_INTERNAL, "tool '%s' ended with the unknown outcome %d", run->name, outcome);
}

/* True: the run has stopped at its checkpoint, and nobody will answer for now. */
static bool after_handler(struct run *run, int outcome) {
    struct theseus_error err = {0};

    if (outcome == THESEUS_LATER || atomic_load(&run->replied))
        return false;
    if (outcome != THESEUS_SUSPENDED || call_is_over(run->request))
        fail_ended(run, outcome, &err);
    else if (check_suspended(run, &err) == 0)
        return true;
    (void)run_reply(run, error_result_new(&err));
    return false;
}

/* Nothing of its plugin is in use any more when others see that it is suspended. It begins anew on the loop, which
 * keeps it for as long as there is a pause. */
static void suspend(struct run *run) {
    run_leave_offer(run);
    run->suspended = true;
    atomic_store(&run->request->stage, CALL_SUSPENDED);
    loop_post_task(run->host->loop, &run->resume);
}

/* Does the client, whose answer a crash would be, wait for a result with a schema? An inner tool's is none of its. */
static bool is_structured(const struct run *run) {
    while (run->outer)
        run = run->outer;
    return run->offer->tool->output != NULL;
}

/* The handler; whatever goes wrong on this thread meanwhile is its plugin's. */
static int blamed_handler(struct run *run) {
    const struct generation *generation = run->offer->generation;
    const struct tool *tool = run->offer->tool;
    const struct call_key *key = &run->request->key;
    run->blame = (struct blame){.plugin = generation->name,
                                .version = generation->version,
                                .hash = image_hash(generation->image),
                                .tool = run->name,
                                .structured = is_structured(run),
                                .conn = key->conn,
                                .offset = key->offset,
                                .index = key->index};
    amends_before_call(run->entered_ns);
    blame_enter(&run->blame);
    int outcome = tool->call(&run->call, generation->self, run->args);
    amends_behind_call(run->entered_ns);
    blame_leave(&run->blame);
    return outcome;
}

/* A client's call on a worker is watched; what is part of it, or on the loop's thread, is not a thread of its own. */
static int call_handler(struct run *run) {
    struct hangs *hangs = run->host->hangs;
    bool watched = hangs && !run->outer && !pthread_equal(pthread_self(), run->host->loop_thread);

    if (watched)
        hangs_enter(hangs, run);
    int outcome = blamed_handler(run);
    if (watched)
        hangs_leave(hangs, run);
    return outcome;
}

/* From here on the plugin may answer at any time on a thread that does not say for which call; an isolated one has none
 * here. */
static void note_later(struct run *run) {
    if (!run->outer && !atomic_load(&run->replied) && !image_guest(run->offer->generation->image))
        keep_later(run->request, run->offer->generation->name, run->offer->tool->output != NULL);
}

void run_enter(struct run *run) {
    if (!run->outer && !keep_entered(run->request)) {
        (void)run_unref(run); /* it was held for too long, and is answered */
        return;
    }
    if (!run->outer)
        atomic_store(&run->request->stage, CALL_RUNNING);
    run->entered_ns = clock_now_ns();
    (void)atomic_fetch_add(&run->refs, 1); /* the answer's */
    int outcome = call_handler(run);
    if (outcome == THESEUS_LATER)
        note_later(run);
    if (after_handler(run, outcome)) {
        (void)run_unref(run); /* there is no answer to come: not the last one */
        suspend(run);         /* with the handler's */
        return;
    }
    (void)run_unref(run); /* the handler's */
}

/* Whoever pauses looks at the stage afterwards: either the pause is seen here, or the running call there. */
static void on_worker(void *job) {
    struct run *run = container_of((struct work *)job, struct run, work);
    struct call *request = run->request;
    int before = atomic_exchange(&request->stage, CALL_RUNNING);

    registry_dequeue(run->host->registry, &run->queue_link);
    if (call_is_over(request)) {
        (void)run_unref(run); /* cancelled, or out of time, before it began */
    } else if (run_is_paused(run) || request->ops->park(request, NULL)) {
        atomic_store(&request->stage, before);
        loop_post_task(run->host->loop, &run->resume);
    } else {
        run_enter(run);
    }
}

/* The client has too much unread output, or there is a pause: the run waits, and meanwhile stands in nobody's way. Then
 * it begins anew. */
static void on_resume(void *arg) {
    struct run *run = arg;

    loop_enter();
    run_leave_offer(run);
    if (call_is_over(run->request))
        (void)run_unref(run);
    else if (!run->request->ops->park(run->request, &run->resume))
        run_begin(run);
}

/* ---- beginning ---- */

/* Ends a run whose handler was not entered. */
static void refuse(struct run *run, const struct theseus_error *err) {
    call_answer(run->request, shape_tool_result(run->request->revision, error_result_new(err)));
    (void)run_unref(run);
}

/* Was a handler at work on the call when an earlier image of the server ended, or until this one suspended it? What was
 * only held has had no effect. */
static bool has_begun(const struct run *run) {
    return run->request->attempts > 0 || run->suspended;
}

static int fail_begun(const struct run *run, struct theseus_error *err) {
    if (run->host->explains && run->host->explains(run->host->arg, run->request, run->name, err))
        return -1;
    return fail(err, ERR_INTERNAL,
                "the server was restarted while tool '%s' ran; it may have executed, and is not run again: check what "
                "it did before calling it again",
                run->name);
}

static int check_attempts(const struct run *run, struct theseus_error *err) {
    unsigned flags = run->offer->tool->flags;
    if (run->request->crashes >= CRASHES_MAX)
        return fail(err, ERR_INTERNAL,
                    "the server crashed twice while tool '%s' ran; it may have executed, and is not run a third time",
                    run->name);
    bool resumes = (flags & THESEUS_RESUMABLE) && run->request->resume;

    return !has_begun(run) || resumes || (flags & MAY_RUN_AGAIN) ? 0 : fail_begun(run, err);
}

static bool refuse_banned(struct run *run) ON_LOOP {
    CLEANUP(ban_fini) struct ban ban = {0};

    if (!ban_of_tool(run->host->ledger, run->name, &ban))
        return false;
    CLEANUP(free) char *reason = ban_reason(&ban);
    CLEANUP(free) char *text = xasprintf("tool '%s' is not served: %s", run->name, reason);
    call_answer(run->request, shape_tool_result(run->request->revision, run_text_result_new(text, true)));
    (void)run_unref(run);
    return true;
}

/* What is read is no result of a tool. */
static void refuse_access(struct run *run, const struct theseus_error *err) ON_LOOP {
    if (strcmp(run->request->method, "resources/read") != 0) {
        refuse(run, err);
        return;
    }
    call_fail(run->request, err, NULL);
    (void)run_unref(run);
}

/* The same for a tool that is hidden, of which nothing may be learnt. */
static void fail_unknown(struct run *run) ON_LOOP {
    const struct plugin_host *host = run->host;
    CLEANUP(free) char *more = host->misses ? host->misses(host->arg, run->request) : xstrdup("");
    CLEANUP(free) char *text = xasprintf("unknown tool '%.100s'%s", run->name, more);

    utf8_mend(text);
    call_fail_text(run->request, ERR_PARAMS, text);
    (void)run_unref(run);
}

static void refuse_unknown(struct run *run, bool hidden) ON_LOOP {
    CLEANUP(free) char *owner = hidden ? NULL : registry_late_owner(run->host->registry, run->name);
    struct theseus_error err = {0};

    if (has_begun(run)) { /* by a handler that is not there any more */
        (void)fail_begun(run, &err);
        refuse(run, &err);
        return;
    }
    if (!hidden && refuse_banned(run))
        return;
    if (owner) {
        (void)fail(&err, ERR_MISSING,
                   "tool '%s' of plugin '%s' is not offered any more; ask for the list of tools again", run->name,
                   owner);
        refuse(run, &err);
        return;
    }
    fail_unknown(run);
}

int run_check_args(const struct run *run, struct theseus_error *err) {
    if (tool_read(run->offer->tool, err) < 0)
        return -1;
    if (schema_check(run->offer->tool->input, run->args, err) < 0)
        return error_prefix(err, "invalid arguments for tool '%s': ", run->name);
    return 0;
}

static void submit(struct run *run) ON_LOOP {
    limit_time(run, run->offer->tool);
    if (run->host->hangs)
        hangs_watch(run->host->hangs);
    run->serial = run->offer->tool->flags & THESEUS_SERIAL;
    registry_enqueue(run->host->registry, run->offer->generation, &run->queue_link);
    if (!run->serial || registry_serial_enter(run->host->registry, run->offer, &run->wait_link))
        to_worker(run);
}

/* On the loop thread; a handler that answers later gets its time limited, others have no time to take. */
static void enter_inline(struct run *run) ON_LOOP {
    CLEANUP(call_unref) struct call *request = call_ref(run->request);

    struct hangs *hangs = run->host->hangs;
    int64_t limit_ms = limit_of(run, run->offer->tool).ms;

    run_ref(run);
    if (hangs)
        hangs_enter_inline(hangs, limit_ms < LIMIT_INLINE_MS ? limit_ms : LIMIT_INLINE_MS);
    run_enter(run);
    if (hangs)
        hangs_leave_inline(hangs);
    if (run->offer && !call_is_over(request) && !atomic_load(&run->replied))
        limit_time(run, run->offer->tool);
    (void)run_unref(run);
}

/* Its handler stopped at a checkpoint: the next one begins there. */
static void take_checkpoint(struct run *run) ON_LOOP {
    atomic_store(&run->request->suspending, false);
    atomic_store(&run->told, false);
    keep_restore_checkpoint(run->request);
}

void run_begin(struct run *run) {
    struct theseus_error err = {0};

    int access = has_begun(run) ? 0 : access_check(run, run->name, &err); /* what has begun was allowed */
    if (access < 0) {
        refuse_access(run, &err);
        return;
    }
    run->offer = access == ACCESS_HIDDEN ? NULL : registry_find(run->host->registry, run->name);
    if (!run->offer) {
        refuse_unknown(run, access == ACCESS_HIDDEN);
        return;
    }
    struct generation *generation = run->offer->generation;
    atomic_store(&run->request->tool_flags, run->offer->tool->flags);
    if (generation->holding || run_is_paused(run)) {
        limit_time(run, run->offer->tool);
        registry_release(run->host->registry, TAKE_PTR(run->offer));
        run_wait(run, generation->holding ? generation : NULL);
        return;
    }
    if (run->suspended)
        take_checkpoint(run);
    if (check_attempts(run, &err) < 0 || run_check_args(run, &err) < 0) {
        refuse(run, &err);
    } else if (is_inline(run->offer->tool)) {
        enter_inline(run);
    } else {
        submit(run);
    }
}

void run_start(const struct plugin_host *host, struct call *request, const char *name, json_t *args) {
    run_begin(run_new(host, request, name, args));
}
