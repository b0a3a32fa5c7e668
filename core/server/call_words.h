/* What `theseus call` says to a server, whichever it is, and how it prints what that answers. */
#pragma once

#include <jansson.h>

#include "base/buf.h"

enum { EXIT_TOOL_ERROR = 1, EXIT_PROTOCOL_ERROR = 2 }; /* statuses; 0: the result is printed */

/* The line with its end, appended to `out`. Borrows `arguments`. */
MUST_CHECK int call_words_write(const char *tool, json_t *arguments, struct buf *out, struct theseus_error *err);
int call_words_print(const json_t *answer); /* the exit status */
