/* A core of a process that has crashed and goes on: a child process, which is its copy, writes it. Linux and glibc
 * only. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Async-signal-safe. On the thread that has crashed; the child ends by that signal. 0: there is no child. */
pid_t coredump_fork(int signum);
