#include "clock.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };

int64_t clock_now(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * SECOND + now.tv_nsec / 1000000;
}

void clock_print(int64_t ms, char text[static CLOCK_TEXT]) {
    time_t seconds = (time_t)(ms / SECOND);
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) || strftime(text, CLOCK_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        text[0] = '\0';
}

/* Exactly `digits` digits at *at, which moves behind them; -1: there are not so many. */
static int number(const char **at, int digits) {
    int value = 0;

    for (int i = 0; i < digits; i++, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return -1;
        value = value * 10 + (**at - '0');
    }
    return value;
}

static bool pass(const char **at, char wanted) {
    if (**at != wanted)
        return false;
    (*at)++;
    return true;
}

static bool parse_date(const char **at, int64_t *ret_ms) {
    int year = number(at, 4);
    int month = pass(at, '-') ? number(at, 2) : -1;
    int day = pass(at, '-') ? number(at, 2) : -1;
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};

    if (year < 1 || month < 1 || day < 1)
        return false;
    *ret_ms = (int64_t)timegm(&tm) * SECOND;
    return tm.tm_mon == month - 1 && tm.tm_mday == day; /* the 31st of February has become another day */
}

/* ".250" */
static int fraction(const char **at) {
    int ms = 0, weight = 100;

    if (!pass(at, '.'))
        return 0;
    for (; isdigit((unsigned char)**at); (*at)++, weight /= 10)
        ms += weight * (**at - '0');
    return ms;
}

static bool parse_time(const char **at, int64_t *ms) {
    int hour = number(at, 2);
    int minute = pass(at, ':') ? number(at, 2) : -1;
    int second = pass(at, ':') ? number(at, 2) : 0;

    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
        return false;
    *ms += (int64_t)hour * HOUR + (int64_t)minute * MINUTE + (int64_t)second * SECOND + fraction(at);
    return true;
}

static bool parse_zone(const char **at, int64_t *ms) {
    int sign = **at == '-' ? -1 : 1;

    if (pass(at, 'Z') || !**at)
        return true;
    if (!pass(at, '+') && !pass(at, '-'))
        return false;
    int hours = number(at, 2);
    (void)pass(at, ':');
    int minutes = number(at, 2);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
        return false;
    *ms -= sign * ((int64_t)hours * HOUR + (int64_t)minutes * MINUTE);
    return true;
}

bool clock_parse(const char *text, int64_t *ret_ms) {
    int64_t ms = 0;

    if (!parse_date(&text, &ms))
        return false;
    if ((pass(&text, 'T') || pass(&text, ' ')) && (!parse_time(&text, &ms) || !parse_zone(&text, &ms)))
        return false;
    *ret_ms = ms;
    return !*text;
}
