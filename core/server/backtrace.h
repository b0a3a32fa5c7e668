/* The addresses of a crash note in words: "echo.so: crash_null+0x14". */
#pragma once

#include <jansson.h>

#include "server/crash_note.h"

/* An array of strings, the innermost frame first; opens the files of the modules. New reference. */
json_t *backtrace_new(const struct crash_note *note);

/* What a module is called: "echo.so" for a private copy (echo.3.HASH.so). Owned. */
char *backtrace_module_name(const char *path);

/* The module in which that address lies; NULL: in none. */
const struct crash_module *backtrace_module(const struct crash_note *note, uint64_t address);
