/* What /proc says of another process. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* When it was started, in clock ticks since boot (proc(5), stat, field 22): tells it from a later one of the same pid.
 */
MUST_CHECK int proc_start_time(long pid, uint64_t *ret_start_time, struct theseus_error *err);

/* Which start of the machine this is; "": not known. */
enum { PROC_BOOT_BYTES = 64 };
void proc_boot_id(char boot[static PROC_BOOT_BYTES]);

/* Is that very process still at work? One that has ended, and that nobody reaps, is not. */
bool proc_lives(long pid, uint64_t start_time);

/* Is a process of that group still at work? One that has ended, and that nobody reaps, is not. */
bool proc_group_lives(long group);

/* The bytes of memory that it occupies. */
MUST_CHECK int proc_memory(long pid, uint64_t *ret_bytes, struct theseus_error *err);
