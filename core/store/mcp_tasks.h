/*
 * MCP tasks: requests that were answered with a task, for whoever asks for one later, also after the process that
 * worked on it is gone. Any thread; each function may wait for the database.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

struct store;

struct mcp_task_row {
    const char *id, *tool;
    int64_t uid; /* whose client asked */
    int64_t created_ms, updated_ms, ttl_ms;
    const char *status;       /* as the protocol has it */
    const char *message;      /* the last step, or why it failed; NULL: none */
    const char *answer;       /* the line of the response; NULL: there is none (yet) */
    int64_t pid, pid_started; /* who works on it; pid_started as /proc has it */
};

/* A new one, or the next state of one. */
MUST_CHECK int mcp_task_put(struct store *store, const struct mcp_task_row *row, struct theseus_error *err);

/* 0: `ret_row` is the row, its texts are the caller's; 1: there is none. */
enum { MCP_TASK_NONE = 1 };
MUST_CHECK int mcp_task_find(struct store *store, const char *id, struct mcp_task_row *ret_row,
                             struct theseus_error *err);
void mcp_task_row_fini(struct mcp_task_row *row);

/* Who works on it is another process from now on. 0; 1: not so, for it is not as `row` says any more. */
enum { MCP_TASK_TAKEN = 1 };
MUST_CHECK int mcp_task_claim(struct store *store, const struct mcp_task_row *row, int64_t pid, int64_t pid_started,
                              struct theseus_error *err);

MUST_CHECK int mcp_task_drop(struct store *store, const char *id, struct theseus_error *err);

/* Removes those that are over and whose time is. */
MUST_CHECK int mcp_tasks_sweep(struct store *store, int64_t now_ms, int *ret_removed, struct theseus_error *err);
