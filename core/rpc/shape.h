/*
 * What depends on the client's revision in the results that it gets; the one place that knows. Handlers build
 * everything in its newest form, and here it is fitted. All functions steal the value they fit and return the fitted
 * one (a new reference), or NULL when memory is out.
 */
#pragma once

#include "rpc/revision.h"

/* Any result: a modern client is told its type and who answered, and how long a list may be kept (not at all: tools
 * come and go). `server_info`: an Implementation object, borrowed. */
json_t *shape_result(const struct revision *revision, json_t *result, json_t *server_info, bool cacheable);

/* An entry of tools/list. */
json_t *shape_tool(const struct revision *revision, json_t *tool);

/* A CallToolResult. */
json_t *shape_tool_result(const struct revision *revision, json_t *result);
