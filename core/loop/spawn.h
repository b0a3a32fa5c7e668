/* The system calls that make a child process: posix_spawn, because forking a process with threads is not safe. */
#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "loop/child.h"

/* As the specification says, but with `stdout_fd` (-1: /dev/null) as its standard output. */
MUST_CHECK int spawn_process(const struct child_spec *spec, int stdout_fd, pid_t *ret_pid, struct theseus_error *err);
