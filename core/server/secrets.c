#include "server/secrets.h"

#include <pthread.h>
#include <stdlib.h>

#include "rpc/jsontext.h"

struct secrets {
    pthread_mutex_t lock;
    char **texts; /* owned */
    size_t count;
};

struct secrets *secrets_new(void) {
    struct secrets *secrets = xcalloc(1, sizeof(*secrets));

    (void)pthread_mutex_init(&secrets->lock, NULL);
    return secrets;
}

struct secrets *secrets_free(struct secrets *secrets) {
    if (!secrets)
        return NULL;
    for (size_t i = 0; i < secrets->count; i++) {
        explicit_bzero(secrets->texts[i], strlen(secrets->texts[i]));
        free(secrets->texts[i]);
    }
    free(secrets->texts);
    (void)pthread_mutex_destroy(&secrets->lock);
    free(secrets);
    return NULL;
}

/* ---- knowing ---- */

static void add_text(struct secrets *secrets, const char *text) {
    if (!text || !*text)
        return;
    for (size_t i = 0; i < secrets->count; i++)
        if (strcmp(secrets->texts[i], text) == 0)
            return;
    secrets->texts = xreallocarray(secrets->texts, secrets->count + 1, sizeof(char *));
    secrets->texts[secrets->count++] = xstrdup(text);
}

static void add_value(struct secrets *secrets, const json_t *value) {
    const char *key;
    json_t *item;
    size_t i;

    if (json_is_string(value)) {
        add_text(secrets, json_string_value(value));
    } else if (json_is_number(value)) {
        CLEANUP(free) char *text = json_dumps(value, JSON_ENCODE_ANY);
        add_text(secrets, text);
    }
    json_array_foreach (value, i, item)
        add_value(secrets, item);
    json_object_foreach ((json_t *)value, key, item)
        add_value(secrets, item);
}

void secrets_add(struct secrets *secrets, const json_t *value) {
    (void)pthread_mutex_lock(&secrets->lock);
    add_value(secrets, value);
    (void)pthread_mutex_unlock(&secrets->lock);
}

uint64_t secrets_count(struct secrets *secrets) {
    (void)pthread_mutex_lock(&secrets->lock);
    uint64_t count = secrets->count;
    (void)pthread_mutex_unlock(&secrets->lock);
    return count;
}

/* ---- finding; with the lock ---- */

static bool contains(const struct secrets *secrets, struct span text) {
    for (size_t i = 0; i < secrets->count; i++) {
        size_t len = strlen(secrets->texts[i]);
        if (len >= SECRET_SEARCHED_BYTES ? text.len && memmem(text.data, text.len, secrets->texts[i], len) != NULL
                                         : span_equals(text, secrets->texts[i]))
            return true;
    }
    return false;
}

/* Strings as they are meant, names of members too, and numbers as they are written. */
static bool value_contains(const struct secrets *secrets, const json_t *value) {
    const char *key;
    json_t *item;
    size_t i;

    if (json_is_string(value))
        return contains(secrets, (struct span){json_string_value(value), json_string_length(value)});
    if (json_is_number(value)) {
        CLEANUP(free) char *text = json_dumps(value, JSON_ENCODE_ANY);
        return text && contains(secrets, span_of(text));
    }
    json_array_foreach (value, i, item)
        if (value_contains(secrets, item))
            return true;
    json_object_foreach ((json_t *)value, key, item)
        if (contains(secrets, span_of(key)) || value_contains(secrets, item))
            return true;
    return false;
}

/* Is there one that a search in the text as it is written might miss? */
static bool must_be_read(const struct secrets *secrets, struct span text) {
    if (text.len && memchr(text.data, '\\', text.len))
        return true;
    for (size_t i = 0; i < secrets->count; i++)
        if (strlen(secrets->texts[i]) < SECRET_SEARCHED_BYTES)
            return true;
    return false;
}

bool secrets_are_in(struct secrets *secrets, struct span text) {
    bool found;

    (void)pthread_mutex_lock(&secrets->lock);
    found = secrets->count > 0 && contains(secrets, text);
    if (secrets->count > 0 && !found && must_be_read(secrets, text)) {
        json_auto_t *value = jsontext_read(text, NULL);
        found = value_contains(secrets, value);
    }
    (void)pthread_mutex_unlock(&secrets->lock);
    return found;
}
