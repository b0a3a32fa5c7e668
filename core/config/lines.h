/*
 * Cuts the text of an INI file into lines and says what each one is. Lines that cannot be read (too long, a NUL byte,
 * not UTF-8) are reported here and come out as LINE_BAD, so that reading goes on and finds the next problem too.
 */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "config/problems.h"

enum line_kind {
    LINE_END,     /* of the text */
    LINE_NOTHING, /* blank, or a comment */
    LINE_BAD,     /* reported */
    LINE_MORE,    /* indented: continues the value before it */
    LINE_SECTION, /* begins with '[' */
    LINE_ENTRY,   /* anything else */
};

struct line {
    enum line_kind kind;
    int number;       /* from 1 */
    struct span text; /* without white space at both ends */
};

struct lines {
    const char *file;          /* borrowed */
    struct span rest;          /* borrowed */
    struct problems *problems; /* borrowed */
    struct line ahead;         /* the next line, already cut */
};

void lines_init(struct lines *lines, const char *file, struct span text, struct problems *problems);
struct line lines_next(struct lines *lines);
enum line_kind lines_peek(const struct lines *lines); /* of the line that lines_next() will return */

struct span span_trim(struct span text);
