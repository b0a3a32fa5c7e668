/* The end of a child process as a descriptor: a system call of Linux. */
#pragma once

#include <sys/types.h>

#include "base/error.h"

/* Readable once our child `pid` has ended; it is still to be reaped then. The caller closes the descriptor. */
MUST_CHECK int pidfd_new(pid_t pid, int *ret_fd, struct theseus_error *err);
