/* What is recorded of a call while it is open, so that the next image of the process can go on with it. Any thread. */
#pragma once

#include "call/call.h"

/* From here on it is not held but running. Said by the thread that enters the handler, before it does. False: it must
 * not be entered any more, and is answered: one that ran unrecorded would run a second time behind a restart. */
bool keep_entered(struct call *call);
/* Its handler has returned and will answer later; `structured`: with a result that has an output schema. */
void keep_later(struct call *call, const char *plugin, bool structured);
/* Bars the way: no handler of this image has been entered, and none will be. False: one has been, or an earlier
 * image's. */
bool keep_bar(struct call *call);
MUST_CHECK int keep_checkpoint(struct call *call, json_t *state, struct theseus_error *err); /* steals */
MUST_CHECK int keep_child(struct call *call, long pid, struct theseus_error *err);
void keep_child_ended(struct call *call, long pid);
void keep_progress(struct call *call, double value);

/* A call's inner call (theseus_call_tool) has a record of its own, under the next `index`. */
uint64_t keep_inner_entered(struct call *call);
bool keep_is_inner(uint64_t index); /* is a record with that index one of those? */
void keep_inner_left(struct call *call, uint64_t index);

/* Everything above and the request itself, except children: into `batch`. */
void keep_drop_all(struct call *call, struct batch *batch);
void keep_drop_key(const struct call_key *key, struct batch *batch); /* the same of a call that is not there any more */

/* On coming back: finds what was recorded (attempts, checkpoint, progress). */
void keep_restore(struct call *call);
/* Only the last checkpoint, in the same image: call->resume is another one from here on. No handler is at work. */
void keep_restore_checkpoint(struct call *call);
