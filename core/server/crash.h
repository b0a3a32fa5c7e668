/*
 * When this image crashes, its own binary is executed in its place, with the same ledger: the next image answers the
 * call that crashed, and goes on with everything else (recovery.h).
 *
 * The thread that crashes writes down where, and asks the loop to execute, which does it between two of its callbacks:
 * no line and no record is half written then. A loop that has crashed itself, or waits for what the crashed thread
 * holds, does not: after a moment the crashed thread takes the gate and executes. Others that crash meanwhile wait.
 *
 * From the signal to the exec nothing is called that is not async-signal-safe. What it takes is made ready before. A
 * fault of the handler itself, too, leads to the exec; the next one ends the process.
 *
 * A process has one such way, so this is state of the process.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/thread.h"
#include "ledger/ledger.h"
#include "loop/loop.h"

struct crash_spec {
    struct ledger *ledger;
    struct loop *loop;
    int exe_fd; /* the binary of this image; borrowed, as what follows */
    char *const *argv;
};

/* Is there a handler in this build? Sanitizers have their own. */
bool crash_is_handled(void);

/* On the loop's thread, before any code of a plugin runs; what was armed before is armed anew. */
MUST_CHECK int crash_arm(const struct crash_spec *spec, struct theseus_error *err) ON_LOOP;
void crash_disarm(void) ON_LOOP; /* harmless when it is not armed */

/* For the handler to know; any thread. */
void crash_set_core_dump(bool wanted); /* a child process writes a core before the exec */
void crash_set_leaving(void);          /* the next image is to end, too */
