#include "connect/asked.h"

#include <stdlib.h>
#include <string.h>

#include "rpc/message.h"

enum { KEPT_KEY_BYTES = 256 };

void asks_init(struct asks *asks) {
    *asks = (struct asks){.ids = map_new()};
    list_init(&asks->sent);
    list_init(&asks->held);
}

void asks_fini(struct asks *asks) {
    list_splice(&asks->held, &asks->sent);
    list_for_each (link, &asks->held)
        asks_drop(asks, list_entry(link, struct asked, link));
    asks->ids = map_free(asks->ids);
    buf_fini(&asks->key);
}

struct asked_text *asked_text_new(struct span line) {
    struct asked_text *text = try_malloc(sizeof(*text) + line.len);

    if (!text)
        return NULL;
    text->refs = 1;
    text->len = line.len;
    memcpy(text->data, line.data, line.len);
    return text;
}

void asked_text_drop(struct asked_text *text) {
    if (text && --text->refs == 0)
        free(text);
}

/* Ids that a client sends have passed message_read(): they have a key. Good until the next one is asked for. */
static bool key_of(struct asks *asks, const json_t *id, struct span *ret_key) {
    buf_consume(&asks->key, asks->key.len, KEPT_KEY_BYTES);
    bool has_key = message_id_key(id, &asks->key, NULL) == 0;
    *ret_key = buf_span(&asks->key);
    return has_key;
}

struct asked *asks_find(struct asks *asks, const json_t *id) {
    struct span key;

    return key_of(asks, id, &key) ? map_get(asks->ids, key) : NULL;
}

struct asked *asks_add(struct asks *asks, const json_t *id, struct asked_text *text, int64_t now_ms) {
    struct asked *asked = id ? asks_find(asks, id) : NULL;
    struct span key;

    if (asked) {
        asked->doubled++;
        return asked;
    }
    asked = xcalloc(1, sizeof(*asked));
    asked->id = id ? json_deep_copy(id) : NULL;
    asked->text = text;
    text->refs++;
    asked->since_ms = now_ms;
    list_append(&asks->held, &asked->link);
    asks->bytes += text->len;
    if (id) {
        asks->held_count++;
        if (key_of(asks, id, &key))
            (void)map_put(asks->ids, key, asked);
    }
    return asked;
}

void asks_set_sent(struct asks *asks, struct asked *asked, uint64_t sent_at) {
    if (!asked->id) {
        asks_drop(asks, asked);
        return;
    }
    list_remove(&asked->link);
    list_append(&asks->sent, &asked->link);
    asked->fate = ASKED_SENT;
    asked->sent_at = sent_at;
    asks->held_count--;
}

void asks_set_held(struct asks *asks, struct asked *asked, int64_t now_ms) {
    list_remove(&asked->link);
    list_append(asks->held.next, &asked->link);
    asked->fate = ASKED_HELD;
    asked->since_ms = now_ms;
    asks->held_count++;
}

void asks_drop(struct asks *asks, struct asked *asked) {
    struct span key;

    if (asked->id && asked->fate == ASKED_HELD)
        asks->held_count--;
    if (asked->id && key_of(asks, asked->id, &key))
        (void)map_take(asks->ids, key);
    asks->bytes -= asked->text->len;
    list_remove(&asked->link);
    asked_text_drop(asked->text);
    json_decref(asked->id);
    free(asked);
}

json_t *asks_sent_ids_new(const struct asks *asks) {
    json_t *ids = json_array();

    list_for_each (link, &asks->sent)
        json_array_append(ids, list_entry(link, struct asked, link)->id);
    return ids;
}
