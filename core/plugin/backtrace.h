/*
 * The addresses of a crash note in words: "echo.so+0x1234: crash_null+0x14". In two steps, for the symbols are in
 * files, which takes time: first which module, and where in it; then what that is called.
 */
#pragma once

#include <jansson.h>

#include "base/crash_note.h"

/* How a person gets from a frame to a line. */
#define BACKTRACE_HINT "MODULE+OFFSET: addr2line -Cfie MODULE OFFSET names the line"

/* {"path", "offset", "back"} for each frame, the innermost first; a string for what lies in no module. New reference.
 */
json_t *backtrace_new(const struct crash_note *note);

/* Puts words in the place of each frame. Any thread. */
void backtrace_name(json_t *frames);
/* Puts words in the place of those in "backtrace" of each of the errors that has one, and into the log. Any thread. */
void backtrace_resolve(json_t *errors);

/* What a module is called: "echo.so" for a private copy (echo.3.HASH.so). Owned. */
char *backtrace_module_name(const char *path);
