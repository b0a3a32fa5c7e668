/*
 * The thread that brings large artifacts to the disk, before the calls that they belong to are queued for the writer:
 * a file takes as long as many transactions. It is there from the first large one on.
 */
#pragma once

#include "work.h"

struct filer;

struct filer *filer_new(struct tasks *tasks);
struct filer *filer_free(struct filer *filer); /* what is queued is done first; the writer must still be there */

/* Takes `work`: prepares it, and hands it to the writer. Any thread; never blocks. THESEUS_LATER or _DONE. */
int filer_submit(struct filer *filer, struct work *work);
