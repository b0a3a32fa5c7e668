/* Points in time as milliseconds since 1970, and as the text that clients read and write: ISO 8601. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { CLOCK_TEXT = 32 };

int64_t clock_now(void);
/* "2026-03-01T09:30:00Z" */
void clock_print(int64_t ms, char text[static CLOCK_TEXT]);
/*
 * "2026-03-01", with a time "T09:30", "T09:30:00" or "T09:30:00.250" behind it, and "Z" or an offset "+01:00"; without
 * one it is UTC. False: it is none of these, or no such day.
 */
bool clock_parse(const char *text, int64_t *ret_ms);
