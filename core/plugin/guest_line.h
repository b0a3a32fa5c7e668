/*
 * The way to an isolated plugin's THESEUS_INLINE tools. Their handlers are not run on the loop thread – nobody vouches
 * for what they do to everybody's time – but on one thread of the process, one after the other, while the loop only
 * sends and reads: no worker has to be woken in between.
 *
 * What a handler wants of the host meanwhile is done on the loop as well, or on a worker if it may wait. A call that
 * cannot take this way (the process just begins again, the arguments are long) goes to a worker as other tools do.
 */
#pragma once

#include <jansson.h>

#include "loop/loop.h"

struct guest;
struct guest_line;
struct run;

/* The handler of a run that was entered on the loop: returns as a handler does. `args` is borrowed. */
int guest_line_call(struct guest *guest, struct run *run, const json_t *args) ON_LOOP;
/* No call is on it any more. */
struct guest_line *guest_line_free(struct guest_line *line) ON_LOOP;
