/* What a section [tool:NAME] says, read and checked: the definition of one tool. */
#pragma once

#include <stdatomic.h>

#include <theseus/plugin.h>

#include "command.h"

struct section {
    atomic_uint references;
    char *name;        /* owned */
    json_t *source;    /* owned: what it was made of; borrowed from it: */
    const char *title; /* … NULL: none */
    char *description; /* owned */
    char *schema;      /* owned: the input schema as text */
    struct inputs inputs;
    struct command command;
    struct template input; /* what the program reads; empty: nothing */
    char *directory;       /* owned, absolute; NULL: the caller's */
    unsigned timeout;      /* seconds; 0: the server's */
    size_t max_output;     /* bytes kept of what the program prints */
    unsigned flags;        /* of struct theseus_tool */
};

/* Reads {"command": "…", "input.path": "string", …}. 0, or -1 with "[tool:NAME] key: reason". */
int section_new(struct section **ret_section, const char *name, const json_t *source, struct theseus_error *err);
struct section *section_ref(struct section *section);
void section_unref(struct section *section); /* accepts NULL */

/* Adds "NAME=value" for each key env.NAME. */
void section_environment(const struct section *section, struct strings *environment);
