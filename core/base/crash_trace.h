/*
 * What a crash handler writes down: where, whose code, by which way. Everything here but crash_trace_prepare() is
 * async-signal-safe, as far as a process that has crashed allows: what goes wrong is a fault of its own, and what was
 * written before it stays.
 */
#pragma once

#include <signal.h>
#include <ucontext.h>

#include "base/crash_note.h"

/* Makes ready what would be loaded or made at the first use. */
void crash_trace_prepare(void);

/* The signal and whose code the thread is in, by blame_current(). */
void crash_trace_begin(struct crash_note *note, int signum, const siginfo_t *info);
/* The way there, to `context`, or, where it is NULL, to the caller; and if nobody is to blame so far, the plugin whose
 * image the way leads through first. */
void crash_trace_walk(struct crash_note *note, const ucontext_t *context);
