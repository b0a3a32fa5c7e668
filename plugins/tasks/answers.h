/* What calls were answered, in the database: a call that is run again gets the same answer and does nothing. */
#pragma once

#include "work.h"

int answers_find(struct work *work);  /* 1: `result` is what it was answered; 0: it has not run yet; -1 */
int answers_keep(struct work *work);  /* 0; -1, also where it has run before */
int answers_sweep(struct work *work); /* forgets a few of those that nobody runs again. 0 or -1 */
