#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum { BUF_FIRST_CAPACITY = 256 };

void buf_fini(struct buf *buf) {
    free(buf->data);
    *buf = (struct buf){0};
}

void buf_fini_cleanup(struct buf *buf) {
    buf_fini(buf);
}

char *buf_reserve(struct buf *buf, size_t room) {
    if (room > PTRDIFF_MAX - buf->start - buf->len)
        return NULL; /* no sum below can overflow */
    if (buf->start > 0 && buf->start + buf->len + room > buf->capacity) {
        memmove(buf->data, buf->data + buf->start, buf->len);
        buf->start = 0;
    }
    if (!buf->data || buf->len + room > buf->capacity) {
        size_t capacity = buf->capacity ? buf->capacity : BUF_FIRST_CAPACITY;
        while (capacity < buf->len + room)
            capacity *= 2;
        char *data = try_realloc(buf->data, capacity);
        if (!data)
            return NULL;
        buf->data = data;
        buf->capacity = capacity;
    }
    return buf->data + buf->start + buf->len;
}

void buf_added(struct buf *buf, size_t count) {
    buf->len += count;
}

int buf_append(struct buf *buf, struct span bytes, struct theseus_error *err) {
    char *end = buf_reserve(buf, bytes.len);

    if (!end)
        return fail(err, ERR_MEMORY, "no memory for %zu bytes", bytes.len);
    if (bytes.len)
        memcpy(end, bytes.data, bytes.len);
    buf_added(buf, bytes.len);
    return 0;
}

int buf_append_integer(struct buf *buf, int64_t number, struct theseus_error *err) {
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    char text[24], *digit = text + sizeof(text);

    do {
        *--digit = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        *--digit = '-';
    return buf_append(buf, (struct span){digit, (size_t)(text + sizeof(text) - digit)}, err);
}

int buf_printf(struct buf *buf, struct theseus_error *err, const char *format, ...) {
    va_list args;

    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *end = len < 0 ? NULL : buf_reserve(buf, (size_t)len + 1);
    if (!end)
        return fail(err, ERR_MEMORY, "no memory for a text");
    va_start(args, format);
    (void)vsnprintf(end, (size_t)len + 1, format, args);
    va_end(args);
    buf_added(buf, (size_t)len);
    return 0;
}

void buf_consume(struct buf *buf, size_t count, size_t keep) {
    buf->start += count;
    buf->len -= count;
    if (buf->len > 0)
        return;
    buf->start = 0;
    if (buf->capacity > keep)
        buf_fini(buf);
}

char *buf_take_string(struct buf *buf) {
    if (buf_append(buf, (struct span){"", 1}, NULL) < 0)
        return NULL;
    if (buf->start > 0)
        memmove(buf->data, buf->data + buf->start, buf->len);
    char *text = TAKE_PTR(buf->data);
    *buf = (struct buf){0};
    return text;
}
