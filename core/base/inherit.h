/*
 * The descriptors that a crash takes along into the next image: a set that may be looked at in a signal handler,
 * whatever the rest of the process is doing. Whoever opens or closes one of them says so. State of the process; any
 * thread.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

enum { INHERIT_MAX = 1 << 16 }; /* numbers of descriptors */

MUST_CHECK int inherit_add(int fd, struct theseus_error *err);
void inherit_drop(int fd); /* before it is closed; harmless where it is none of them, or -1 */
bool inherit_has(int fd);

/* Async-signal-safe: all of them stay open in an exec, or are closed by it again. */
void inherit_set(bool stay_open);
