/*
 * Tasks that are over and that nobody has touched for `[tasks] archive_after` are archived: those whose state may be
 * followed by it, that have no open children, and whose parent is over too, for an open one shows their progress.
 */
#pragma once

#include "work.h"

/* A few of them. 1: there may be more; 0, or -1. */
int archive_sweep(struct work *work);
