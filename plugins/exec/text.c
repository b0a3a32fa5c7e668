#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool text_reserve(struct text *text, size_t room) {
    size_t capacity = text->capacity ? text->capacity : 64;

    while (capacity - text->len < room)
        capacity *= 2;
    if (capacity == text->capacity)
        return true;
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
    if (len == 0 || text->failed || !text_reserve(text, len))
        return;
    memcpy(text->data + text->len, bytes, len);
    text->len += len;
}

void text_printf(struct text *text, const char *format, ...) {
    char *printed = NULL;
    va_list args;

    va_start(args, format);
    int len = vasprintf(&printed, format, args);
    va_end(args);
    if (len < 0) {
        text->failed = true;
        return;
    }
    text_add(text, printed, (size_t)len);
    free(printed);
}

char *text_take(struct text *text) {
    char *data;

    text_add(text, "", 1);
    if (text->failed) {
        text_fini(text);
        return NULL;
    }
    data = text->data;
    *text = (struct text){0};
    return data;
}

void text_fini(struct text *text) {
    free(text->data);
    *text = (struct text){0};
}

void strings_add(struct strings *strings, char *text) {
    char **items = text ? reallocarray(strings->items, strings->count + 2, sizeof(*items)) : NULL;

    if (!items) {
        strings->failed = true;
        free(text);
        return;
    }
    strings->items = items;
    items[strings->count++] = text;
    items[strings->count] = NULL;
}

void strings_fini(struct strings *strings) {
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
    *strings = (struct strings){0};
}
