/*
 * Has a statement come upon damage in the database? SQLite says so to whoever made the statement, on any thread: to the
 * core, or to a plugin that may tell nobody. Here it is remembered for all of the process.
 */
#pragma once

#include <stdbool.h>

enum { DAMAGE_TEXT_BYTES = 200 };

/* To be called once, before anything in the process uses SQLite. */
void damage_watch(void);
/* False: none was met. Else what SQLite said of the first. Any thread. */
bool damage_met(char text[static DAMAGE_TEXT_BYTES]);
