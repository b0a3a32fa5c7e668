#include "text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Room for `more` bytes and the NUL behind them. */
static bool reserve(struct text *text, size_t more) {
    size_t needed = text->len + more + 1, capacity = text->capacity ? text->capacity : 256;

    if (text->failed)
        return false;
    if (needed <= text->capacity)
        return true;
    while (capacity < needed)
        capacity *= 2;
    char *data = realloc(text->data, capacity);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void text_add(struct text *text, const char *bytes, size_t len) {
    if (!reserve(text, len))
        return;
    memcpy(text->data + text->len, bytes, len);
    text->len += len;
    text->data[text->len] = '\0';
}

void text_print(struct text *text, const char *format, ...) {
    va_list args, again;

    if (!reserve(text, 0))
        return;
    size_t room = text->capacity - text->len;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(text->data + text->len, room, format, args);
    if (len < 0) {
        text->data[text->len] = '\0';
        text->failed = true;
    } else if ((size_t)len < room || reserve(text, (size_t)len)) {
        if ((size_t)len >= room)
            (void)vsnprintf(text->data + text->len, (size_t)len + 1, format, again);
        text->len += (size_t)len;
    } else {
        text->data[text->len] = '\0';
    }
    va_end(again);
    va_end(args);
}

void text_clear(struct text *text) {
    text->len = 0;
    text->failed = false;
    if (text->data)
        text->data[0] = '\0';
}

void text_fini(struct text *text) {
    free(text->data);
    *text = (struct text){0};
}

size_t text_fitting(const char *text, size_t limit) {
    size_t len = strnlen(text, limit + 1);

    if (len <= limit)
        return len;
    for (len = limit; len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80;)
        len--;
    return len;
}

static size_t json_bytes(unsigned char c) {
    if (c < 0x20)
        return strlen("\\u0001");
    return c == '"' || c == '\\' ? 2 : 1;
}

size_t text_fitting_json(const char *text, size_t limit) {
    size_t len = 0;

    for (size_t shown = 0; text[len]; len++)
        if ((shown += json_bytes((unsigned char)text[len])) > limit)
            break;
    return text_fitting(text, len);
}
