/* Where the program lies that this process runs. */
#pragma once

#include "base/mem.h"

/* The file itself, symbolic links resolved; where it had been, if it is not there any more. Owned. */
char *program_path(void);

/* The program itself, whatever its path leads to by now: a descriptor, the caller's; -1 with errno. */
int program_open(void);

/*
 * The path by which it was started, made absolute: what it leads to may be another version by the next restart. `path`
 * is program_path(), and the answer where the first argument leads somewhere else. Owned.
 */
char *program_started_by(const char *argument, const char *path);
