/* What a client is told of an MCP task, as JSON. */
#pragma once

#include <stdint.h>

#include <jansson.h>

/* Without its outcome; `message` NULL: none. New reference. */
json_t *mcp_task_new(const char *id, const char *status, const char *message, int64_t created_ms, int64_t updated_ms);
/* The response's own member: exactly what the call would have been answered with. `answer`: its line; NULL or "": none.
 */
void mcp_task_add_outcome(json_t *task, const char *answer);
const char *mcp_task_status(const char *answer); /* that such a line comes to; "": cancelled */

/* Why a call is not gone on with whose process has ended: a sentence with the step that it had reached. Owned. */
char *mcp_task_lost(const char *tool, const char *step, const char *why);
/* The line of the response that says so. Owned. */
char *mcp_task_lost_answer(const char *text);
