/*
 * The log: time, level, area, text. Everything at the level goes to the log file; to stderr only warnings and errors,
 * unless stderr is a terminal (hosts show each line of stderr as an error). Until log_open() names the file, lines wait
 * in memory, so that a server that lives for milliseconds leaves no trace. Any thread.
 *
 * The folder in the source path is the area: core/conn/outbox.c logs as "conn".
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

#define log_at(level, ...)                             \
    do {                                               \
        if (log_wants(level))                          \
            log_write((level), __FILE__, __VA_ARGS__); \
    } while (0)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_at(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)

bool log_wants(enum log_level level);
void log_set_level(enum log_level level);
void log_write(enum log_level level, const char *area, const char *format, ...) PRINTF_LIKE(3, 4);

/* Appends to `path` (0600) from here on, what waited first. Called again: another file. */
MUST_CHECK int log_open(const char *path, struct theseus_error *err);
bool log_is_open(void);
void log_close(void);
