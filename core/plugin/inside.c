#include "plugin/inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/memlimit.h"
#include "plugin/cord.h"
#include "plugin/image.h"
#include "store/migrate.h"
#include "store/store.h"

/* ---- slots: 0, or -1 with a reason ---- */

static int start(struct inside *inside, const json_t *message, struct theseus_error *err) {
    const struct theseus_plugin *slots = inside->slots;
    json_t *saved = json_object_get(message, "saved");

    atomic_store(&inside->config, json_incref(json_object_get(message, "config")));
    inside->saved = json_is_null(saved) ? NULL : json_incref(saved);
    if (slots->migrations && !inside->store)
        return fail(err, ERR_ACCESS, "migrations: there is no directory in which this plugin may keep a database");
    if (slots->migrations && store_migrate(inside->store, slots->name, slots->migrations, err) < 0)
        return error_prefix(err, "migrations: ");
    int r = slots->start ? slots->start(&inside->ctx, &inside->self, err) : 0;
    inside->started = r >= 0;
    json_decref(TAKE_PTR(inside->saved));
    return r < 0 ? -1 : 0;
}

static int activate(struct inside *inside, const json_t *message, struct theseus_error *err) {
    (void)message;
    return inside->slots->activate(inside->self, err);
}

static int selftest(struct inside *inside, const json_t *message, struct theseus_error *err) {
    (void)message;
    return inside->slots->selftest(inside->self, err);
}

static int check(struct inside *inside, const json_t *message, struct theseus_error *err) {
    return inside->slots->check(inside->self, json_object_get(message, "config"), err);
}

/* A call may have asked for the settings just before they were replaced. */
static int configure(struct inside *inside, const json_t *message, struct theseus_error *err) {
    json_t *config = json_object_get(message, "config");

    if (inside->slots->configure(inside->self, config, err) < 0)
        return -1;
    json_t *before = atomic_exchange(&inside->config, json_incref(config));
    return json_array_append_new(inside->past_configs, before) < 0
               ? fail(err, ERR_MEMORY, "no memory for the former settings")
               : 0;
}

static int stop(struct inside *inside, const json_t *message, struct theseus_error *err) {
    (void)message, (void)err;
    if (inside->started && inside->slots->stop)
        inside->slots->stop(inside->self);
    inside->started = false;
    inside_thread_join(inside, 0);
    return 0;
}

/* ---- what the server asks ---- */

static const struct {
    const char *verb;
    int (*run)(struct inside *inside, const json_t *message, struct theseus_error *err);
    size_t slot; /* of struct theseus_plugin; 0: it is never missing */
} verbs[] = {
    {"start", start, 0},
    {"activate", activate, offsetof(struct theseus_plugin, activate)},
    {"selftest", selftest, offsetof(struct theseus_plugin, selftest)},
    {"check", check, offsetof(struct theseus_plugin, check)},
    {"configure", configure, offsetof(struct theseus_plugin, configure)},
    {"stop", stop, 0},
};

/* A slot that failed without a word still has to say something. */
static json_t *refusal_new(const struct theseus_error *err) {
    return channel_error_new(err->message[0] ? err->message : "no reason was given");
}

static bool has_slot(const struct inside *inside, size_t slot) {
    void *function;

    memcpy(&function, (const char *)inside->slots + slot, sizeof(function));
    return slot == 0 || function;
}

static json_t *describe(const struct inside *inside) {
    return inside->description ? channel_answer_new(json_incref(inside->description)) : refusal_new(&inside->trouble);
}

static json_t *save(struct inside *inside) {
    const struct blame content = inside_blame(inside, "save", 0);
    struct blame *blame = blame_begin(&content);
    json_t *saved = inside->slots->save ? inside->slots->save(inside->self) : NULL;

    (void)blame_end(blame);
    return channel_answer_new(saved);
}

struct blame inside_blame(const struct inside *inside, const char *slot, json_int_t call) {
    return (struct blame){
        .plugin = inside->slots->name, .version = inside->slots->version, .slot = slot, .conn = (uint64_t)call};
}

/* What was used of the reserve is for the calls of now: the next ones are to find another process. */
static void look_at_memory(struct inside *inside) {
    if (memlimit_is_short() && memlimit_look_again() && !atomic_exchange(&inside->told_short, true))
        cord_send_short(inside->control);
}

static json_t *serve_slot(struct inside *inside, const char *verb, const json_t *message) {
    struct theseus_error err = {0};

    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        if (strcmp(verbs[i].verb, verb) != 0 || !has_slot(inside, verbs[i].slot))
            continue;
        const struct blame content = inside_blame(inside, verbs[i].verb, 0);
        struct blame *blame = blame_begin(&content);
        int r = verbs[i].run(inside, message, &err);
        (void)blame_end(blame);
        return r < 0 ? refusal_new(&err) : channel_answer_new(NULL);
    }
    return NULL;
}

static json_t *answer(struct inside *inside, const char *verb, const json_t *message) {
    if (strcmp(verb, "describe") == 0 || !inside->description)
        return describe(inside);
    if (strcmp(verb, "call") == 0)
        return inside_run_call(inside, message);
    return strcmp(verb, "save") == 0 ? save(inside) : serve_slot(inside, verb, message);
}

/* Threads take turns in an order that the server gives, which is another process: here is what lets each see what the
 * one before has done. */
static json_t *serve(struct inside *inside, const char *verb, const json_t *message) {
    (void)atomic_load(&inside->turns);
    json_t *said = answer(inside, verb, message);
    (void)atomic_fetch_add(&inside->turns, 1);
    return said;
}

json_t *inside_serve(void *arg, struct channel *channel, const char *verb, const json_t *message) {
    json_t *answer = serve(arg, verb, message);

    (void)channel;
    look_at_memory(arg);
    return answer;
}
