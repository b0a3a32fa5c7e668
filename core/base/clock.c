#include "base/clock.h"

#include <stdio.h>
#include <time.h>

int64_t clock_now_ns(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct timespec clock_in_ms(int64_t ms) {
    int64_t at = clock_now_ns() + ms * 1000000;

    return (struct timespec){.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
}

int64_t clock_wall_ms(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

char *clock_rfc3339(int64_t wall_ms, char text[static CLOCK_TEXT_BYTES]) {
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm date;
    char day[24];

    (void)gmtime_r(&seconds, &date);
    (void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &date);
    (void)snprintf(text, CLOCK_TEXT_BYTES, "%s.%03dZ", day, (int)(wall_ms % 1000));
    return text;
}
