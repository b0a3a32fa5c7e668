/* An error as a value: a sentence in memory of the caller's. Never allocates, so it can also report that memory ran
 * out. */
#ifndef THESEUS_ERROR_H
#define THESEUS_ERROR_H

#include <stdarg.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define THESEUS_PRINTF_LIKE(string, first) __attribute__((__format__(printf, string, first)))
#else
#define THESEUS_PRINTF_LIKE(string, first)
#endif

/*
 * Filled by whoever finds the error; the caller owns the memory and starts with zeroes. `code` is 0 while nothing was
 * reported; plugins use any other number they like. `message` is UTF-8, starts in lower case and has no full stop.
 */
struct theseus_error {
    int code;
    char message[240];
};

/* Reports an error: fills `err` (which may be NULL) and returns -1, so that `return theseus_fail(err, …)` is one line.
 */
static inline int theseus_fail(struct theseus_error *err, const char *format, ...) THESEUS_PRINTF_LIKE(2, 3);

static inline int theseus_fail(struct theseus_error *err, const char *format, ...) {
    va_list args;

    if (err == NULL)
        return -1;
    err->code = 1;
    va_start(args, format);
    (void)vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    return -1;
}

#ifdef __cplusplus
}
#endif

#endif
