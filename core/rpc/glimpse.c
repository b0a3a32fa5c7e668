#include "rpc/glimpse.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "rpc/jsontext.h"

enum { ESCAPED_BYTE = 6, KEY_ROOM = 8 };

enum expected { VALUE, VALUE_OR_END, KEY, KEY_OR_END, COLON, NEXT_OR_END, NOTHING };
enum inside { OUTSIDE, IN_STRING, IN_ESCAPE, IN_WORD };
enum member { OTHER, ID, METHOD };

struct glimpse {
    struct buf id; /* as it stands there, with its quotes */
    char key[KEY_ROOM];
    size_t key_len;
    enum expected expected;
    enum inside inside;
    enum member member; /* of the outermost object: whose value is going by */
    bool is_key;        /* the string that is going by */
    bool has_id, has_method, is_lost, is_doubtful;
    int depth;
    uint8_t is_object[LIMIT_GLIMPSE_DEPTH / 8]; /* a bit for each that is open */
};

struct glimpse *glimpse_new(void) {
    struct glimpse *glimpse = try_malloc(sizeof(*glimpse));

    if (glimpse)
        memset(glimpse, 0, sizeof(*glimpse));
    return glimpse;
}

struct glimpse *glimpse_free(struct glimpse *glimpse) {
    if (!glimpse)
        return NULL;
    buf_fini(&glimpse->id);
    free(glimpse);
    return NULL;
}

static bool in_object(const struct glimpse *glimpse) {
    int at = glimpse->depth - 1;

    return at >= 0 && (glimpse->is_object[at / 8] & 1u << at % 8);
}

static bool lose(struct glimpse *glimpse) {
    glimpse->is_lost = true;
    return false;
}

static bool doubt(struct glimpse *glimpse) {
    glimpse->is_doubtful = true;
    return lose(glimpse);
}

/* ---- the outermost object's members ---- */

static bool take_key(struct glimpse *glimpse) {
    struct span key = {glimpse->key, glimpse->key_len};

    glimpse->expected = COLON;
    glimpse->is_key = false;
    if (glimpse->depth != 1)
        return true;
    glimpse->member = span_equals(key, "id") ? ID : span_equals(key, "method") ? METHOD : OTHER;
    return glimpse->member == ID && glimpse->id.len > 0 ? doubt(glimpse) : true;
}

static bool begins_value(const struct glimpse *glimpse) {
    return glimpse->expected == VALUE || glimpse->expected == VALUE_OR_END;
}

/* Behind a member's value stands what ends it: only then is a number whole. */
static void end_member(struct glimpse *glimpse) {
    if (glimpse->depth != 1)
        return;
    glimpse->has_id |= glimpse->member == ID;
    glimpse->member = OTHER;
}

/* The id's own bytes, and the first ones of a key. */
static bool note(struct glimpse *glimpse, const char *at, size_t len) {
    if (glimpse->is_key && glimpse->depth == 1) {
        size_t room = KEY_ROOM - glimpse->key_len;
        memcpy(glimpse->key + glimpse->key_len, at, len < room ? len : room);
        glimpse->key_len += len < room ? len : room;
    }
    if (glimpse->is_key || glimpse->depth != 1 || glimpse->member != ID)
        return true;
    if (glimpse->id.len + len > (size_t)ESCAPED_BYTE * LIMIT_ID_BYTES + 2 ||
        buf_append(&glimpse->id, (struct span){at, len}, NULL) < 0)
        return doubt(glimpse);
    return true;
}

/* ---- the structure ---- */

static bool open_nested(struct glimpse *glimpse, bool is_object) {
    int at = glimpse->depth;

    if (!begins_value(glimpse) || at == LIMIT_GLIMPSE_DEPTH || (at == 0 && !is_object))
        return lose(glimpse);
    if (at == 1 && glimpse->member == ID)
        return doubt(glimpse);
    glimpse->is_object[at / 8] &= (uint8_t) ~(1u << at % 8);
    glimpse->is_object[at / 8] |= (uint8_t)((unsigned)is_object << at % 8);
    glimpse->depth++;
    glimpse->expected = is_object ? KEY_OR_END : VALUE_OR_END;
    return true;
}

static bool close_nested(struct glimpse *glimpse, bool is_object) {
    enum expected expected = glimpse->expected;

    if (glimpse->depth == 0 || in_object(glimpse) != is_object ||
        (expected != NEXT_OR_END && expected != (is_object ? KEY_OR_END : VALUE_OR_END)))
        return lose(glimpse);
    end_member(glimpse);
    glimpse->depth--;
    glimpse->expected = glimpse->depth > 0 ? NEXT_OR_END : NOTHING;
    return true;
}

static bool go_on(struct glimpse *glimpse, enum expected wanted, enum expected then) {
    if (glimpse->expected != wanted)
        return lose(glimpse);
    glimpse->expected = then;
    return true;
}

static bool take_comma(struct glimpse *glimpse) {
    end_member(glimpse);
    return go_on(glimpse, NEXT_OR_END, in_object(glimpse) ? KEY : VALUE);
}

static bool begin_string(struct glimpse *glimpse, const char *at) {
    glimpse->is_key = glimpse->expected == KEY || glimpse->expected == KEY_OR_END;
    glimpse->key_len = 0;
    if (glimpse->depth == 0 || (!glimpse->is_key && !begins_value(glimpse)))
        return lose(glimpse);
    glimpse->inside = IN_STRING;
    return glimpse->is_key ? true : note(glimpse, at, 1);
}

static bool end_string(struct glimpse *glimpse, const char *at) {
    glimpse->inside = OUTSIDE;
    if (glimpse->is_key)
        return take_key(glimpse);
    glimpse->has_method |= glimpse->depth == 1 && glimpse->member == METHOD;
    glimpse->expected = NEXT_OR_END;
    return note(glimpse, at, 1);
}

static bool is_of_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '-' ||
           c == '.';
}

static bool begin_word(struct glimpse *glimpse, const char *at) {
    if (glimpse->depth == 0 || !is_of_word(*at) || !begins_value(glimpse))
        return lose(glimpse);
    glimpse->inside = IN_WORD;
    return note(glimpse, at, 1);
}

static bool take_sign(struct glimpse *glimpse, const char *at) {
    switch (*at) {
    case ' ':
    case '\t':
    case '\r':
        return true;
    case '{':
    case '[':
        return open_nested(glimpse, *at == '{');
    case '}':
    case ']':
        return close_nested(glimpse, *at == '}');
    case ',':
        return take_comma(glimpse);
    case ':':
        return go_on(glimpse, COLON, VALUE);
    case '"':
        return begin_string(glimpse, at);
    default:
        return begin_word(glimpse, at);
    }
}

/* ---- going along ---- */

/* Moves behind what stands in a string. */
static const char *pass_string(struct glimpse *glimpse, const char *at, const char *end) {
    const char *start = at;

    if (glimpse->inside == IN_ESCAPE) {
        glimpse->inside = IN_STRING;
        at++;
    }
    while (at < end && *at != '"' && *at != '\\')
        at++;
    if (!note(glimpse, start, (size_t)(at - start)) || at == end)
        return at;
    if (*at == '"') {
        (void)end_string(glimpse, at);
        return at + 1;
    }
    glimpse->inside = IN_ESCAPE;
    if (glimpse->is_key && glimpse->depth == 1)
        (void)doubt(glimpse);
    else
        (void)note(glimpse, at, 1);
    return at + 1;
}

static const char *pass_word(struct glimpse *glimpse, const char *at, const char *end) {
    const char *start = at;

    while (at < end && is_of_word(*at))
        at++;
    if (at < end) {
        glimpse->inside = OUTSIDE;
        glimpse->expected = NEXT_OR_END;
    }
    (void)note(glimpse, start, (size_t)(at - start));
    return at;
}

void glimpse_feed(struct glimpse *glimpse, struct span bytes) {
    const char *at = bytes.data, *end = at + bytes.len;

    while (at < end && !glimpse->is_lost) {
        if (glimpse->inside == OUTSIDE)
            (void)take_sign(glimpse, at++);
        else
            at = glimpse->inside == IN_WORD ? pass_word(glimpse, at, end) : pass_string(glimpse, at, end);
    }
}

json_t *glimpse_id_new(const struct glimpse *glimpse) {
    if (!glimpse->has_id || !glimpse->has_method || glimpse->is_doubtful)
        return NULL;
    json_auto_t *id = jsontext_read(buf_span(&glimpse->id), NULL);
    bool is_id = json_is_integer(id) || (json_is_string(id) && json_string_length(id) <= LIMIT_ID_BYTES);

    return is_id ? TAKE_PTR(id) : NULL;
}
