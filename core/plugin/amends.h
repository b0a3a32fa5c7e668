/*
 * What a plugin's code may have changed of the process that is the core's: what the signals of crashes do, whether they
 * come, the stack that they are handled on, and its descriptors. Around that code it is looked at; what was changed is
 * put back, and the log says whose it was. Where descriptors are gone there is nothing to put back: the process ends.
 *
 * A look is a dozen system calls. Around calls a thread takes one every 10 ms at most, before and behind: of calls that
 * come seldom it is known exactly who it was.
 */
#pragma once

#include <stdint.h>

struct blame;

/* A call begins or has ended that was begun at that time. Behind: still under its blame. */
void amends_before_call(int64_t begun_ns);
void amends_behind_call(int64_t begun_ns);
/* At once. `blame` NULL: nobody is known to be to blame. */
void amends_look(const struct blame *blame);
