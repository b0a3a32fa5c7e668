/* Time: what elapses (monotonic) and what the calendar says (UTC). */
#pragma once

#include <stdint.h>
#include <time.h>

enum { CLOCK_TEXT_BYTES = 32 };

int64_t clock_now_ns(void);              /* monotonic nanoseconds; never goes back, goes on across exec */
struct timespec clock_in_ms(int64_t ms); /* so far from now, for pthread_cond_clockwait() with CLOCK_MONOTONIC */
int64_t clock_wall_ms(void);             /* milliseconds since 1970-01-01 UTC */

/* RFC 3339 in UTC with milliseconds, such as 2026-11-22T08:30:00.125Z. Returns `text`. */
char *clock_rfc3339(int64_t wall_ms, char text[static CLOCK_TEXT_BYTES]);
