/* The thread of a lane: runs one job at a time and posts to the loop that it has. Nobody but lane.c uses it. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "loop/lane.h"

struct lane_runner;

MUST_CHECK int lane_runner_new(struct lane_runner **ret_runner, struct loop *loop, const char *name,
                               struct theseus_error *err);

/* Waits for the job that is running, for ever if it must. */
struct lane_runner *lane_runner_free(struct lane_runner *runner);

/* The thread frees what it has when it comes back, and tells nobody. */
struct lane_runner *lane_runner_abandon(struct lane_runner *runner);

void lane_runner_give(struct lane_runner *runner, struct lane_job *job); /* it has none */

/* What is left of the present job's limit; -1: it has none, or has returned. */
int64_t lane_runner_left_ms(struct lane_runner *runner);

/* Waits until the job has returned or its limit has passed. */
void lane_runner_wait(struct lane_runner *runner);
