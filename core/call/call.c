#include "call/call.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "call/keep.h"
#include "loop/timer.h"
#include "rpc/shape.h"

static atomic_uint_fast64_t served;

uint64_t call_served(void) {
    return atomic_load_explicit(&served, memory_order_relaxed);
}

struct call *call_new(const struct call_ops *ops, void *owner, struct ledger *ledger, struct loop *loop) {
    struct call *call = xcalloc(1, sizeof(*call));

    atomic_init(&call->refs, 1);
    call->ops = ops;
    call->owner = owner;
    call->ledger = ledger;
    call->loop = loop;
    call->log_level = -1;
    call->accepted_ns = clock_now_ns();
    call->last_progress = -1;
    list_init(&call->link);
    list_init(&call->over_link);
    return call;
}

struct call *call_ref(struct call *call) {
    (void)atomic_fetch_add(&call->refs, 1);
    return call;
}

struct call *call_unref(struct call *call) {
    if (!call || atomic_fetch_sub(&call->refs, 1) > 1)
        return NULL;
    struct call_journal *journal = atomic_load(&call->journal);
    if (journal)
        journal->unref(journal);
    message_fini(&call->message);
    json_decref(call->id);
    json_decref(call->server_info);
    json_decref(call->progress_token);
    json_decref(call->resume);
    json_decref(call->shape);
    for (size_t i = 0; i < ARRAY_SIZE(call->client_text); i++)
        free(call->client_text[i]);
    free(call->method);
    free(call->held_text);
    free(call->step);
    if (call->ops->release)
        call->ops->release(call->owner);
    free(call);
    return NULL;
}

void call_set_message(struct call *call, struct message *message) {
    call->id = json_incref(message->id);
    call->method = xstrdup(message->method);
    call->message = *message;
    *message = (struct message){0};
}

void call_set_key(struct call *call, struct call_key key, const char *boot_id) {
    call->key = key;
    (void)snprintf(call->key_text, sizeof(call->key_text), "%s-%" PRIu64 "-%" PRIu64 "-%" PRIu64, boot_id, key.conn,
                   key.offset, key.index);
}

void call_set_client(struct call *call, const struct theseus_client_info *client) {
    const char *given[] = {client->name, client->version, client->transport, client->session, client->directory};
    const char **kept[] = {&call->client.name, &call->client.version, &call->client.transport, &call->client.session,
                           &call->client.directory};

    for (size_t i = 0; i < ARRAY_SIZE(given); i++) {
        free(call->client_text[i]);
        call->client_text[i] = xstrdup(given[i] ? given[i] : "");
        *kept[i] = call->client_text[i];
    }
    call->client.uid = client->uid;
}

void call_read_meta(struct call *call) {
    json_t *meta = json_object_get(call->message.params, "_meta");
    json_t *token = json_object_get(meta, "progressToken");
    const char *level = json_string_value(json_object_get(meta, META_LOG_LEVEL));

    if (!call->progress_token && (json_is_string(token) || json_is_integer(token)))
        call->progress_token = json_incref(token);
    if (call->revision->modern && level)
        call->log_level = revision_log_level(level);
}

/* Ends the call with these bytes, together with every record that only an open call has. */
static void finish(struct call *call, struct buf *line) {
    CLEANUP(batch_fini) struct batch batch = {0};

    keep_drop_all(call, &batch);
    (void)call->ops->finish(call, &batch, line);
}

/* `r`, with its `err`: of writing the line. */
static void finish_written(struct call *call, int r, struct buf *line, const struct theseus_error *err) {
    if (r < 0) {
        log_error("an answer could not be written: %s", err->message);
        buf_fini(line); /* half a line would spoil the next one too */
    }
    finish(call, line);
}

static void finish_failed(struct call *call, const struct theseus_error *error, json_t *data) {
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};

    int r = message_write_error(call->id, error, data, &line, &err);
    finish_written(call, r, &line, &err);
}

void call_fail(struct call *call, const struct theseus_error *error, json_t *data) {
    json_auto_t *owned = data;

    finish_failed(call, error, owned);
}

void call_fail_text(struct call *call, enum errc code, const char *text) {
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};

    int r = message_write_error_text(call->id, code, text, &line, &err);
    finish_written(call, r, &line, &err);
}

/* What a result longer than the limit is answered with. */
static void fail_too_long(struct call *call, size_t len) {
    struct theseus_error error = {0};

    (void)fail(&error, ERR_INTERNAL, "the result of %zu bytes is longer than limits.max_result (%zu bytes)", len,
               call->max_result);
    finish_failed(call, &error, NULL);
}

/* False: the call has been answered, with an error. */
static bool reshape(struct call *call, json_t **result) {
    struct theseus_error error = {0};
    json_t *data = NULL;

    if (call->reshape(call, result, &error, &data))
        return true;
    json_decref(*result);
    call_fail(call, &error, data);
    return false;
}

static void answer(struct call *call, json_t *result, bool cacheable) {
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};
    json_auto_t *shaped = NULL;
    bool is_error = json_is_true(json_object_get(result, "isError"));

    if (call_is_over(call)) {
        json_decref(result);
        return;
    }
    if (call->reshape && !reshape(call, &result))
        return;
    shaped = shape_result(call->revision, result, call->server_info, cacheable);
    if (!shaped)
        (void)fail(&err, ERR_MEMORY, "no memory for the result");
    if (!shaped || message_write_result(call->id, shaped, &line, &err) < 0)
        finish_failed(call, &err, NULL);
    else if (line.len > call->max_result)
        fail_too_long(call, line.len);
    else
        finish(call, &line);
    if (!is_error)
        (void)atomic_fetch_add_explicit(&served, 1, memory_order_relaxed);
}

void call_answer(struct call *call, json_t *result) {
    answer(call, result, call->cacheable);
}

void call_answer_list(struct call *call, json_t *result) {
    answer(call, result, true);
}

void call_cancel(struct call *call) {
    finish(call, NULL); /* first: a handler that hears of it and answers at once is too late */
    atomic_store(&call->cancelled, true);
}

/* A deadline that waits on the loop; it keeps its call. */
struct deadline {
    struct call *call;
    struct call_limit limit;
    char *plugin; /* owned: of the limit */
    call_timeout_fn *timed_out;
};

static void on_deadline(void *arg) {
    struct deadline *deadline = arg;
    CLEANUP(call_unref) struct call *call = call_ref(deadline->call);

    loop_enter();
    deadline->timed_out(call, &deadline->limit);
    atomic_store(&call->cancelled, true);
}

void call_set_deadline(struct call *call, const struct call_limit *limit, call_timeout_fn *timed_out) {
    if (call->deadline)
        return; /* it was submitted before, and taken back: its time goes on */
    int64_t left = limit->ms - (clock_now_ns() - call->accepted_ns) / 1000000 + 1; /* never too soon */
    struct deadline *deadline = xcalloc(1, sizeof(*deadline));

    *deadline = (struct deadline){.call = call, .limit = *limit, .timed_out = timed_out};
    if (limit->plugin)
        deadline->limit.plugin = deadline->plugin = xstrdup(limit->plugin);
    call->deadline_arg = deadline;
    call->deadline = timer_new(call->loop, on_deadline, deadline);
    timer_start(call->deadline, left > 0 ? left : 0, 0);
}

void call_end_on_loop(struct call *call) {
    struct deadline *deadline = TAKE_PTR(call->deadline_arg);

    call->deadline = timer_free(call->deadline);
    if (deadline)
        free(deadline->plugin);
    free(deadline);
}
