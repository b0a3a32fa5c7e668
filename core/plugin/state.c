#include "plugin/state.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "rpc/jsontext.h"

/*
 * Values are kept as text: every reader parses its own, so that no json_t is shared between threads that may change it.
 */
struct value {
    size_t len;
    char text[];
};

struct state {
    pthread_mutex_t lock; /* over the map; held during `update` too */
    struct map *values;   /* "plugin\0key" → struct value, owned */
    struct ledger *ledger;
};

static int make_key(const char *plugin, const char *key, struct buf *out, struct theseus_error *err) {
    size_t len = key ? strlen(key) : 0;

    if (len == 0 || len > LIMIT_STATE_KEY)
        return fail(err, ERR_LIMIT, "a state's key must have 1 to %d bytes", LIMIT_STATE_KEY);
    if (buf_append(out, (struct span){plugin, strlen(plugin) + 1}, err) < 0)
        return -1;
    return buf_append(out, span_of(key), err);
}

static void keep(struct state *state, struct span key, struct span text) {
    struct value *value = xcalloc(1, sizeof(*value) + text.len);

    value->len = text.len;
    memcpy(value->text, text.data, text.len);
    free(map_put(state->values, key, value));
}

static void restore(void *arg, const void *recorded) {
    const struct state_record *record = recorded;
    CLEANUP(buf_fini) struct buf key = {0};
    CLEANUP(free) char *plugin = xstrndup(record->plugin.data, record->plugin.len);
    CLEANUP(free) char *name = xstrndup(record->name.data, record->name.len);
    struct theseus_error err = {0};

    if (make_key(plugin, name, &key, &err) < 0)
        log_error("a recorded state is left out: %s", err.message);
    else
        keep(arg, buf_span(&key), record->value);
}

struct state *state_new(struct ledger *ledger) {
    struct state *state = xcalloc(1, sizeof(*state));

    (void)pthread_mutex_init(&state->lock, NULL);
    state->values = map_new();
    state->ledger = ledger;
    ledger_each(ledger, &state_kind, restore, state);
    return state;
}

static void free_value(struct span key, void *value, void *arg) {
    (void)key;
    (void)arg;
    free(value);
}

struct state *state_free(struct state *state) {
    if (!state)
        return NULL;
    map_each(state->values, free_value, NULL);
    state->values = map_free(state->values);
    (void)pthread_mutex_destroy(&state->lock);
    free(state);
    return NULL;
}

static int put_locked(struct state *state, struct span key, struct state_record *record, const json_t *value,
                      struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf text = {0};

    if (json_is_null(value)) {
        if (ledger_drop(state->ledger, &state_kind, record, err) < 0)
            return -1;
        free(map_take(state->values, key));
        return 0;
    }
    if (jsontext_write(value, &text, err) < 0)
        return -1;
    if (text.len > LIMIT_STATE_VALUE)
        return fail(err, ERR_LIMIT, "the state's value of %zu bytes is longer than %d", text.len, LIMIT_STATE_VALUE);
    record->value = buf_span(&text);
    if (ledger_put(state->ledger, &state_kind, record, err) < 0)
        return -1;
    keep(state, key, record->value);
    return 0;
}

int state_put(struct state *state, const char *plugin, const char *key, json_t *value, struct theseus_error *err) {
    json_auto_t *owned = value;
    CLEANUP(buf_fini) struct buf id = {0};

    if (!owned)
        return fail(err, ERR_INVALID, "the state's value is NULL");
    if (make_key(plugin, key, &id, err) < 0)
        return -1;
    struct state_record record = {.plugin = span_of(plugin), .name = span_of(key)};
    (void)pthread_mutex_lock(&state->lock);
    int r = put_locked(state, buf_span(&id), &record, owned, err);
    (void)pthread_mutex_unlock(&state->lock);
    return r;
}

static json_t *get_locked(struct state *state, struct span key) {
    const struct value *value = map_get(state->values, key);

    return value ? jsontext_read((struct span){value->text, value->len}, NULL) : NULL;
}

json_t *state_get(struct state *state, const char *plugin, const char *key) {
    CLEANUP(buf_fini) struct buf id = {0};

    if (make_key(plugin, key, &id, NULL) < 0)
        return NULL;
    (void)pthread_mutex_lock(&state->lock);
    json_t *value = get_locked(state, buf_span(&id));
    (void)pthread_mutex_unlock(&state->lock);
    return value;
}

int state_update(struct state *state, const char *plugin, const char *key, theseus_state_fn *update, void *arg,
                 struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf id = {0};

    if (make_key(plugin, key, &id, err) < 0)
        return -1;
    struct state_record record = {.plugin = span_of(plugin), .name = span_of(key)};
    (void)pthread_mutex_lock(&state->lock);
    json_t *before = get_locked(state, buf_span(&id));
    json_t *after = update(before, arg);
    int r = after ? put_locked(state, buf_span(&id), &record, after, err) : 0;
    (void)pthread_mutex_unlock(&state->lock);
    json_decref(before);
    json_decref(after);
    return r;
}
