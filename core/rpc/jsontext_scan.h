/* Finds how far a JSON string can be taken as it is. Shared by jsontext_read.c and jsontext_write.c. */
#pragma once

/*
 * The first byte that cannot stand in a JSON string by itself: a quote, a backslash, a control character, or the lead
 * of what is not UTF-8 (the only one at or above 0x80). `end` if there is none.
 */
const char *jsontext_skip_plain(const char *at, const char *end);

/* The same for ASCII alone: every byte at or above 0x80 ends it. Eight bytes at a time, on any machine. */
const char *jsontext_skip_ascii(const char *at, const char *end);
