/*
 * An INI text as sections, keys and values, before anybody asks what they mean.
 *
 * inih is what takes a line apart, but Debian's cuts lines at 200 bytes and section names at 49, silently, and takes
 * " ;" inside a value for a comment. So it only ever sees short lines that we make: section names and values go through
 * it as numbers, and its handler looks up what they stand for.
 *
 * Rules: ';' and '#' begin a comment as the first character of a line only; an indented line continues the value with a
 * newline (blank lines and comments between do not count, and an empty first line adds nothing); a key or a section
 * that is given twice is a problem, also where it is a plain section such as [limits].
 */
#pragma once

#include "config/problems.h"

enum { DOCUMENT_SECTION_BYTES = 200, DOCUMENT_KEY_BYTES = 128 };

struct document_entry {
    char *key, *value; /* owned */
    int line;
};

struct document_section {
    char *name; /* owned */
    int line;
    struct document_entry *entries; /* owned */
    size_t count;
};

struct document {
    char *file;                        /* owned */
    struct document_section *sections; /* owned, in the order of the text */
    size_t count;
};

/* Never NULL; what could not be read is in `problems`. */
struct document *document_new(const char *file, struct span text, struct problems *problems);
struct document *document_free(struct document *document);

/* Only A-Z a-z 0-9 _ - and the characters of `also`, and not empty. */
bool document_is_name(struct span text, const char *also);

DEFINE_CLEANUP(struct document *, document_free)
