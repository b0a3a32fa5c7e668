/*
 * Text that grows, of a size that callers choose. When memory runs out it remembers that and takes no more: one builds
 * first and asks once, at the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <theseus/error.h>

struct text {
    char *data; /* owned; NULL while nothing was added; NUL-terminated otherwise */
    size_t len, capacity;
    bool failed; /* memory ran out: what is here is not all */
};

void text_add(struct text *text, const char *bytes, size_t len);
void text_print(struct text *text, const char *format, ...) THESEUS_PRINTF_LIKE(2, 3);
void text_clear(struct text *text); /* empty again; its memory stays */
void text_fini(struct text *text);

/* Bytes of the longest beginning of `text` that has at most `limit` bytes and ends between two characters. */
size_t text_fitting(const char *text, size_t limit);
/* The same, but counted as JSON writes it: a control character may take six. */
size_t text_fitting_json(const char *text, size_t limit);
