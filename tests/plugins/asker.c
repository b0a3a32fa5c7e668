/*
 * Asks the core's services what it is told to ask, and says the answer as it came. Beside that: calls of every kind
 * that take as long as they are told, and one that keeps a transaction open.
 */
#include <sqlite3.h>
#include <time.h>

#include <theseus/plugin.h>

static json_int_t number_at(const json_t *value, const json_t *path) {
    json_t *step;
    size_t i;

    json_array_foreach (path, i, step)
        value = json_object_get(value, json_string_value(step));
    return json_integer_value(value);
}

/* Again and again until the number at `path` is at least `least`. */
static json_t *ask_until(struct theseus_call *call, const json_t *args) {
    const char *verb = json_string_value(json_object_get(args, "verb"));
    const json_t *path = json_object_get(args, "path");
    json_int_t least = json_integer_value(json_object_get(args, "least"));

    for (;;) {
        json_t *answer = theseus_control(call, verb, json_object_get(args, "args"));
        if (!path || !answer || number_at(answer, path) >= least || theseus_cancelled(call))
            return answer;
        json_decref(answer);
    }
}

static int ask(struct theseus_call *call, void *self, const json_t *args) {
    json_t *answer = ask_until(call, args);

    (void)self;
    return answer ? theseus_reply_json(call, answer) : theseus_reply_error(call, "nothing was said");
}

static void sit(struct theseus_call *call, const json_t *args) {
    const struct timespec part = {0, 5000000};

    for (long ms = (long)json_integer_value(json_object_get(args, "ms")); ms > 0 && !theseus_cancelled(call); ms -= 5)
        (void)nanosleep(&part, NULL);
}

static int sitting(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    sit(call, args);
    return theseus_reply_text(call, "sat");
}

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    (void)err;
    *ret_self = ctx;
    return 0;
}

static int transaction(struct theseus_call *call, void *self, const json_t *args) {
    struct theseus_ctx *ctx = self;
    struct sqlite3 *db = theseus_db(ctx);

    if (!db || sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return theseus_reply_error(call, "no transaction: %s", db ? sqlite3_errmsg(db) : theseus_last_error(ctx->host));
    const char *verb = json_string_value(json_object_get(args, "verb"));
    json_t *answer = verb ? theseus_control(call, verb, json_object_get(args, "args")) : NULL;
    sit(call, args);
    (void)json_object_set_new(answer, "still_inside", json_boolean(!sqlite3_get_autocommit(db)));
    (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return answer ? theseus_reply_json(call, answer) : theseus_reply_text(call, "rolled back");
}

#define MS "{\"type\":\"object\",\"properties\":{\"ms\":{\"type\":\"integer\"}},\"required\":[\"ms\"]}"
#define SITTING(tool, what, kind) \
    { .name = tool, .description = what, .input_schema = MS, .flags = kind, .call = sitting, .timeout = 600 }

static const struct theseus_tool tools[] = {
    {.name = "ask",
     .description = "Asks a service of the core.",
     .input_schema =
         "{\"type\":\"object\",\"properties\":{\"verb\":{\"type\":\"string\"},\"args\":{\"type\":"
         "\"object\"},\"path\":{\"type\":\"array\"},\"least\":{\"type\":\"integer\"}},\"required\":[\"verb\"]}",
     .flags = THESEUS_READ_ONLY,
     .call = ask},
    SITTING("sit", "May be run once only.", 0),
    SITTING("sit_reading", "May be run again.", THESEUS_READ_ONLY),
    SITTING("sit_again", "May be run again.", THESEUS_IDEMPOTENT),
    SITTING("sit_resumable", "Goes on.", THESEUS_RESUMABLE),
    {.name = "transaction",
     .description = "Keeps a transaction open for so long, or while it asks a service.",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"ms\":{\"type\":\"integer\"},\"verb\":{\"type\":\"string\"}"
                     ",\"args\":{\"type\":\"object\"}}}",
     .flags = THESEUS_READ_ONLY,
     .call = transaction,
     .timeout = 600},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "asker",
    .version = "1",
    .start = start,
    .tools = tools,
};
