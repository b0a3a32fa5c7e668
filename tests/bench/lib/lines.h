/* Lines to and from a server: what is to be written waits here, what was read is cut into lines. */
#pragma once

#include "base/buf.h"
#include "child.h"

struct lines {
    struct child *child; /* borrowed */
    struct buf out, in;
};

/* Writes as much as the server takes now. */
MUST_CHECK int lines_flush(struct lines *lines, struct theseus_error *err);

/*
 * Waits until the server has said something, or until `until_ns` (clock_now_ns; 0: for ever), writing meanwhile what
 * waits to be written. The end of the server's output is an error.
 */
MUST_CHECK int lines_wait(struct lines *lines, int64_t until_ns, struct theseus_error *err);

/* The next whole line, without its newline; good until the next call of any of these. False: there is none. */
bool lines_next(struct lines *lines, struct span *ret_line);

/* Sends `request` and waits for the line that holds `"id":0`. Only while nothing else is asked. */
MUST_CHECK int lines_ask(struct lines *lines, const char *request, struct span *ret_line, struct theseus_error *err);

/* The handshake, then until the server lists `tool`. */
MUST_CHECK int lines_greet(struct lines *lines, struct theseus_error *err);
MUST_CHECK int lines_await_tool(struct lines *lines, const char *tool, struct theseus_error *err);

void lines_fini_cleanup(struct lines *lines);
