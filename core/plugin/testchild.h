/* What every child that loads plugins on trial has in common. Its crash is an answer, and what it said before is too.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"

/*
 * No crash handler, no core file, and no life without the parent. Gives the descriptor to answer on: what plugins print
 * goes where errors go. -1: there is none.
 */
MUST_CHECK int testchild_begin(void);

/* One line, written at once: the next thing that happens may be a crash. Steals `line`. */
void testchild_say(int out, json_t *line);

/* Paths, and messages with paths in them, may hold any bytes. New reference. */
json_t *testchild_text_new(const char *bytes, const char *otherwise);
