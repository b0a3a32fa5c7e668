#include "plugin/state.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "rpc/jsontext.h"

/*
 * Values are kept as text: every reader parses its own, so that no json_t is shared between threads that may change it.
 *
 * Two locks. Who changes a key holds that key's lock, also while the plugin's `update` runs: changes of one key come
 * one after the other, and nobody else waits for a plugin's code. The lock over the tables is held for moments only,
 * never across somebody's code or the parser; it is taken inside a key's lock, never the other way round.
 *
 * What the ledger has of a plugin is taken from there when it is first wanted, so that a process image which takes over
 * much does not begin with it. For that once, the tables are locked while the ledger is read.
 */
struct value {
    atomic_uint refs;
    size_t len;
    char text[];
};

struct entry {
    pthread_mutex_t changing;
    struct value *value; /* owned; NULL: none. Set with both locks */
    unsigned users;      /* who change it, or wait to */
};

/* What one plugin has. */
struct owner {
    struct map *entries; /* key → struct entry, owned: those with a value, and those that are being changed */
    size_t values;       /* of them; those that are about to get one count already */
    size_t bytes;        /* of the values, those to come included */
};

struct state {
    pthread_mutex_t lock; /* over all the tables */
    struct map *owners;   /* plugin → struct owner, owned */
    struct ledger *ledger;
};

/* A change in progress: its key's lock is held. */
struct change {
    struct state *state;
    struct owner *owner;
    struct entry *entry;
    struct state_record record; /* plugin and name are the caller's */
};

static void lock(struct state *state) {
    (void)pthread_mutex_lock(&state->lock);
}

static void unlock(struct state *state) {
    (void)pthread_mutex_unlock(&state->lock);
}

/* ---- values ---- */

/* NULL: no memory. */
static struct value *value_new(struct span text) {
    struct value *value = try_malloc(sizeof(*value) + text.len);

    if (!value)
        return NULL;
    atomic_init(&value->refs, 1);
    value->len = text.len;
    memcpy(value->text, text.data, text.len);
    return value;
}

static struct value *value_unref(struct value *value) {
    if (value && atomic_fetch_sub(&value->refs, 1) == 1)
        free(value);
    return NULL;
}
DEFINE_CLEANUP(struct value *, value_unref)

static size_t len_of(const struct value *value) {
    return value ? value->len : 0;
}

/* ---- the tables; with the lock ---- */

static struct entry *entry_of(struct owner *owner, struct span key) {
    struct entry *entry = map_get(owner->entries, key);

    if (entry)
        return entry;
    entry = xcalloc(1, sizeof(*entry));
    (void)pthread_mutex_init(&entry->changing, NULL);
    (void)map_put(owner->entries, key, entry);
    return entry;
}

struct restoring {
    struct span plugin;
    struct owner *owner;
};

static void restore(void *arg, const void *recorded) {
    struct restoring *restoring = arg;
    const struct state_record *record = recorded;

    if (!span_same(record->plugin, restoring->plugin))
        return;
    struct value *value = value_new(record->value);
    if (!value) {
        log_error("a recorded state of plugin '%.*s' is left out: no memory for its %zu bytes", (int)record->plugin.len,
                  record->plugin.data, record->value.len);
        return;
    }
    struct entry *entry = entry_of(restoring->owner, record->name);
    restoring->owner->values += !entry->value;
    restoring->owner->bytes += value->len - len_of(entry->value);
    (void)value_unref(entry->value);
    entry->value = value;
}

static struct owner *owner_of(struct state *state, struct span plugin) {
    struct owner *owner = map_get(state->owners, plugin);

    if (owner)
        return owner;
    owner = xcalloc(1, sizeof(*owner));
    owner->entries = map_new();
    (void)map_put(state->owners, plugin, owner);
    ledger_each(state->ledger, &state_kind, restore, &(struct restoring){plugin, owner});
    return owner;
}

static void entry_free(struct entry *entry) {
    entry->value = value_unref(entry->value);
    (void)pthread_mutex_destroy(&entry->changing);
    free(entry);
}

/* ---- life ---- */

static int check_key(const char *key, struct theseus_error *err) {
    size_t len = key ? strlen(key) : 0;

    if (len == 0 || len > LIMIT_STATE_KEY)
        return fail(err, ERR_LIMIT, "a state's key must have 1 to %d bytes", LIMIT_STATE_KEY);
    return 0;
}

struct state *state_new(struct ledger *ledger) {
    struct state *state = xcalloc(1, sizeof(*state));

    (void)pthread_mutex_init(&state->lock, NULL);
    state->owners = map_new();
    state->ledger = ledger;
    return state;
}

static void free_entry(struct span key, void *value, void *arg) {
    (void)key;
    (void)arg;
    entry_free(value);
}

static void free_owner(struct span key, void *value, void *arg) {
    struct owner *owner = value;

    (void)key;
    (void)arg;
    map_each(owner->entries, free_entry, NULL);
    owner->entries = map_free(owner->entries);
    free(owner);
}

struct state *state_free(struct state *state) {
    if (!state)
        return NULL;
    map_each(state->owners, free_owner, NULL);
    state->owners = map_free(state->owners);
    (void)pthread_mutex_destroy(&state->lock);
    free(state);
    return NULL;
}

/* ---- changes ---- */

/* Waits until nobody else changes this key. */
static int change_begin(struct change *change, struct state *state, const char *plugin, const char *key,
                        struct theseus_error *err) {
    if (check_key(key, err) < 0)
        return -1;
    *change = (struct change){.state = state, .record = {.plugin = span_of(plugin), .name = span_of(key)}};
    lock(state);
    change->owner = owner_of(state, change->record.plugin);
    change->entry = entry_of(change->owner, change->record.name);
    change->entry->users++;
    unlock(state);
    (void)pthread_mutex_lock(&change->entry->changing);
    return 0;
}

static void change_end(struct change *change) {
    struct entry *entry = change->entry;

    (void)pthread_mutex_unlock(&entry->changing);
    lock(change->state);
    bool unused = --entry->users == 0 && !entry->value;
    if (unused)
        (void)map_take(change->owner->entries, change->record.name);
    unlock(change->state);
    if (unused)
        entry_free(entry);
}

static void set_value(struct change *change, struct value *value) {
    lock(change->state);
    struct value *before = change->entry->value;
    change->entry->value = value;
    unlock(change->state);
    (void)value_unref(before);
}

/* What is kept beyond the limits would be memory that nobody can ask the plugin to give back. With the lock. */
static int check_room(const struct change *change, size_t len, struct theseus_error *err) {
    const struct owner *owner = change->owner;
    const struct value *before = change->entry->value;

    if (!before && owner->values >= LIMIT_STATE_KEYS)
        return fail(err, ERR_LIMIT, "plugin '%.*s' has %d keys already, which is the limit; remove some",
                    (int)change->record.plugin.len, change->record.plugin.data, LIMIT_STATE_KEYS);
    if (len > len_of(before) && owner->bytes - len_of(before) + len > LIMIT_STATE_BYTES)
        return fail(
            err, ERR_LIMIT,
            "plugin '%.*s' keeps %zu bytes already, and with %zu more would be over the limit of %d; remove some",
            (int)change->record.plugin.len, change->record.plugin.data, owner->bytes, len, LIMIT_STATE_BYTES);
    return 0;
}

static int take_room(struct change *change, size_t len, struct theseus_error *err) {
    lock(change->state);
    int r = check_room(change, len, err);
    if (r == 0) {
        change->owner->values += !change->entry->value;
        change->owner->bytes += len - len_of(change->entry->value);
    }
    unlock(change->state);
    return r;
}

/* The value that there is stays. */
static void give_room_back(struct change *change, size_t len) {
    lock(change->state);
    change->owner->values -= !change->entry->value;
    change->owner->bytes -= len - len_of(change->entry->value);
    unlock(change->state);
}

static void forget_value(struct change *change) {
    lock(change->state);
    change->owner->values -= change->entry->value != NULL;
    change->owner->bytes -= len_of(change->entry->value);
    unlock(change->state);
    set_value(change, NULL);
}

static int change_remove(struct change *change, struct theseus_error *err) {
    if (ledger_drop(change->state->ledger, &state_kind, &change->record, err) < 0)
        return -1;
    forget_value(change);
    return 0;
}

/* With room for it. */
static int record_value(struct change *change, struct span text, struct theseus_error *err) {
    CLEANUP(value_unref) struct value *value = value_new(text);

    if (!value)
        return fail(err, ERR_MEMORY, "no memory for the state's value of %zu bytes", text.len);
    change->record.value = text;
    if (ledger_put(change->state->ledger, &state_kind, &change->record, err) < 0)
        return -1;
    set_value(change, TAKE_PTR(value));
    return 0;
}

static int change_put(struct change *change, const json_t *value, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf text = {0};

    if (json_is_null(value))
        return change_remove(change, err);
    if (jsontext_write(value, &text, err) < 0)
        return -1;
    if (text.len > LIMIT_STATE_VALUE)
        return fail(err, ERR_LIMIT, "the state's value of %zu bytes is longer than %d", text.len, LIMIT_STATE_VALUE);
    if (take_room(change, text.len, err) < 0)
        return -1;
    int r = record_value(change, buf_span(&text), err);
    if (r < 0)
        give_room_back(change, text.len);
    return r;
}

int state_put(struct state *state, const char *plugin, const char *key, json_t *value, struct theseus_error *err) {
    json_auto_t *owned = value;
    struct change change;

    if (!owned)
        return fail(err, ERR_INVALID, "the state's value is NULL");
    if (change_begin(&change, state, plugin, key, err) < 0)
        return -1;
    int r = change_put(&change, owned, err);
    change_end(&change);
    return r;
}

int state_update(struct state *state, const char *plugin, const char *key, theseus_state_fn *update, void *arg,
                 struct theseus_error *err) {
    struct change change;

    if (change_begin(&change, state, plugin, key, err) < 0)
        return -1;
    json_auto_t *before = state_get(state, plugin, key);
    json_auto_t *after = update(before, arg);
    int r = after ? change_put(&change, after, err) : 0;
    change_end(&change);
    return r;
}

static int change_bring_back(struct change *change, struct span text, bool *ret_taken, struct theseus_error *err) {
    *ret_taken = !change->entry->value;
    if (change->entry->value)
        return 0;
    if (take_room(change, text.len, err) < 0)
        return -1;
    int r = record_value(change, text, err);
    if (r < 0)
        give_room_back(change, text.len);
    return r;
}

int state_bring_back(struct state *state, const struct state_record *record, bool *ret_taken,
                     struct theseus_error *err) {
    CLEANUP(free) char *plugin = xstrndup(record->plugin.data, record->plugin.len);
    CLEANUP(free) char *key = xstrndup(record->name.data, record->name.len);
    struct change change;

    if (change_begin(&change, state, plugin, key, err) < 0)
        return -1;
    int r = change_bring_back(&change, record->value, ret_taken, err);
    change_end(&change);
    return r;
}

/* ---- reading ---- */

static struct value *find_value(struct state *state, const char *plugin, const char *key) {
    lock(state);
    const struct entry *entry = map_get(owner_of(state, span_of(plugin))->entries, span_of(key));
    struct value *value = entry ? entry->value : NULL;
    if (value)
        (void)atomic_fetch_add(&value->refs, 1);
    unlock(state);
    return value;
}

json_t *state_get(struct state *state, const char *plugin, const char *key) {
    if (check_key(key, NULL) < 0)
        return NULL;
    CLEANUP(value_unref) struct value *value = find_value(state, plugin, key);
    return value ? jsontext_read((struct span){value->text, value->len}, NULL) : NULL;
}
