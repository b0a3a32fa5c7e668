/* Does a plugin keep the contract? All of it that can be seen without calling the plugin. */
#pragma once

#include <stddef.h>

#include <jansson.h>

#include "base/mem.h"

struct schema;
struct theseus_plugin;
struct tool;

/*
 * Checks everything the structure says and gives its tools and resources (an array, owned) as the host keeps them.
 * Messages do not name the plugin: it may have no name.
 */
MUST_CHECK int contract_check(const struct theseus_plugin *plugin, struct tool ***ret_tools, size_t *ret_count,
                              struct theseus_error *err);

/* The same for one that was found good before, maybe by another process: its schemas are not looked at yet. */
MUST_CHECK int contract_take(const struct theseus_plugin *plugin, struct tool ***ret_tools, size_t *ret_count,
                             struct theseus_error *err);
void contract_tools_free(struct tool **tools, size_t count);

/* A name of 1 to `max` characters out of [A-Za-z0-9_-]; `what` says whose, in messages. */
MUST_CHECK int contract_name(const char *what, const char *name, size_t max, struct theseus_error *err);

/* Text for people: UTF-8; NULL is good. */
MUST_CHECK int contract_text(const char *what, const char *text, struct theseus_error *err);

/* A JSON Schema from its text: parsed (new reference) and compiled (owned). */
MUST_CHECK int contract_schema(const char *text, json_t **ret_document, struct schema **ret_schema,
                               struct theseus_error *err);
