/* Where in a JSON document we are: a chain of steps on the stack, written out as a JSON pointer only for an error. */
#pragma once

#include <stddef.h>

struct place {
    const struct place *up; /* NULL: this is the document's root, and has neither key nor index */
    const char *key;        /* NULL: a step into an array */
    size_t key_len;
    size_t index;
};

enum { PLACE_TEXT_BYTES = 144 };

/* The pointer, or `root` for the root itself. What does not fit is left out at the front. Returns a part of `text`. */
const char *place_text(const struct place *place, const char *root, char text[static PLACE_TEXT_BYTES]);

/* Copies text for a message: control characters become '?', and what is longer than `max` bytes ends in "…" at a
 * character's border. `out` has room for max + 4 bytes. Returns the length. */
size_t place_printable(char *out, size_t max, const char *text, size_t len);
