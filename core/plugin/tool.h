/*
 * One tool as the host keeps it: checked, and with nothing in it that belongs to the plugin's image but its code.
 *
 * The schemas of one that was checked before, in another process image, are read when they are first asked for: nobody
 * waits for that at a restart.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <jansson.h>

#include "base/mem.h"

struct resource;
struct schema;
struct theseus_call;
struct theseus_tool;

struct tool {
    char *name, *title, *description; /* title and description: NULL where the plugin gave none */

    /* behind tool_read() */
    json_t *input_schema;
    json_t *output_schema;         /* NULL: none */
    struct schema *input, *output; /* the same, compiled */

    atomic_bool is_read;
    pthread_mutex_t reading;        /* of the next two */
    char *input_text, *output_text; /* owned, until they are read */
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

/* One that tool_new() has taken before, in whatever process: its schemas are not looked at yet. */
MUST_CHECK int tool_new_trusted(struct tool **ret_tool, const struct theseus_tool *declared, struct theseus_error *err);
struct tool *tool_free(struct tool *tool);

/* Before its schemas are used. Any thread. Fails if they are not what they were taken for, and then each time. */
MUST_CHECK int tool_read(struct tool *tool, struct theseus_error *err);

DEFINE_CLEANUP(struct tool *, tool_free)
