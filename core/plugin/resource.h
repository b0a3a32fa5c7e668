/*
 * A resource is kept as a tool of its own kind: named by its URI (which no tool's name can be), only read, and listed
 * elsewhere. So everything that is true of tools – threads, time limits, replacement, restarts – is true of it.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/mem.h"

struct theseus_resource;
struct tool;

struct resource {
    char *mime_type; /* owned; NULL: it depends on the content */
    bool is_template;
    json_t *entry; /* owned: its entry in resources/list or resources/templates/list */
};

/* Checks what was declared. Messages begin with the resource's URI. */
MUST_CHECK int resource_tool_new(struct tool **ret_tool, const struct theseus_resource *declared,
                                 struct theseus_error *err);
struct resource *resource_free(struct resource *resource);

/* The arguments for reading `uri`: {"uri": …, and each name of the template}; new reference. NULL: it is another's. */
json_t *resource_match_new(const struct tool *tool, const char *uri);
