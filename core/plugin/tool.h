/* One tool as the host keeps it: checked, and with nothing in it that belongs to the plugin's image but its code. */
#pragma once

#include <jansson.h>

#include "base/mem.h"

struct resource;
struct schema;
struct theseus_call;
struct theseus_tool;

struct tool {
    char *name, *title, *description; /* title and description: NULL where the plugin gave none */
    json_t *input_schema;
    json_t *output_schema;         /* NULL: none */
    struct schema *input, *output; /* the same, compiled */
    unsigned flags;
    unsigned timeout; /* seconds; 0: the configured one */
    int (*call)(struct theseus_call *call, void *self, const json_t *args);
    void *data;                  /* the plugin's */
    void (*release)(void *data); /* by tool_free(); NULL: nothing */
    struct resource *resource;   /* owned; NULL: it is a tool, and no resource */
};

/*
 * Copies what was declared and refuses what a server must not offer, or what makes a client drop the whole list of
 * tools. Messages begin with the tool's name.
 */
MUST_CHECK int tool_new(struct tool **ret_tool, const struct theseus_tool *declared, struct theseus_error *err);
struct tool *tool_free(struct tool *tool);

DEFINE_CLEANUP(struct tool *, tool_free)
