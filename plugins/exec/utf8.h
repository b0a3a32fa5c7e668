/* Bytes of a program as text that may go into JSON. */
#pragma once

#include <stddef.h>

#include "text.h"

/* Bytes of the character that begins here; 0: none does (or it is NUL, which text cannot hold). */
size_t utf8_character(const char *bytes, size_t len);

/* Adds at most `max` characters; what is no character becomes U+FFFD. */
void utf8_add(struct text *text, const char *bytes, size_t len, size_t max);

/* How many bytes at the end are the beginning of a character that is cut off; how many at the front, its rest. */
size_t utf8_cut_end(const char *bytes, size_t len);
size_t utf8_cut_front(const char *bytes, size_t len);
