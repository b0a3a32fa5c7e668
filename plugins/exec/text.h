/*
 * Text that grows, and lists of it, of sizes that others choose. When memory runs out they remember it and take no
 * more: one builds first and asks once, at the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <theseus/error.h>

struct text {
    char *data; /* owned; may be NULL while len is 0; not NUL-terminated */
    size_t len, capacity;
    bool failed; /* memory ran out: what is here is not all */
};

void text_add(struct text *text, const char *bytes, size_t len);
void text_printf(struct text *text, const char *format, ...) THESEUS_PRINTF_LIKE(2, 3);
char *text_take(struct text *text); /* owned, NUL-terminated; NULL: memory ran out. The text is empty afterwards */
void text_fini(struct text *text);

/* A NULL-terminated list of owned strings, such as argv. */
struct strings {
    char **items; /* NULL while empty */
    size_t count;
    bool failed;
};

void strings_add(struct strings *strings, char *text); /* takes `text`; NULL counts as memory that ran out */
void strings_fini(struct strings *strings);
