/*
 * Runs of tools that are over, kept for the next ones.
 *
 * A run is begun on the loop thread, filled by the writer and answered by a third thread. Were its memory given back
 * each time, these would wait for each other in free() and malloc(), which is what most of a write's time went into.
 * Any thread.
 */
#pragma once

struct spares;
struct work;

struct spares *spares_new(void); /* NULL: no memory */
struct spares *spares_free(struct spares *spares);

struct work *spares_take(struct spares *spares);           /* empty but for the room of its texts. NULL: no memory */
void spares_put(struct spares *spares, struct work *work); /* takes one that has been reset */
