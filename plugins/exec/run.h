/* One run of a program, from its start until it is reaped, and what the caller is told about it. */
#pragma once

#include "section.h"

/* Runs what the section says with these arguments and answers the call. Returns what a handler returns. */
int run_tool(struct theseus_call *call, const struct section *section, const json_t *args);
