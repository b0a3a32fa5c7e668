/* What a new image drops of the ledger, and what it puts aside until it is certain that it stays. */
#pragma once

#include "ledger/ledger.h"

void carried_drop_gone(struct ledger *ledger); /* calls inside calls, which have ended with the image before */
void carried_drop_saved(struct ledger *ledger);

/* Plugin state, checkpoints and what was saved, for a restart that does not carry them on. */
void carried_put_aside(struct ledger *ledger);
void carried_take_back(struct ledger *ledger);  /* by the image before, if the way led back to it */
void carried_drop_aside(struct ledger *ledger); /* this image stays */
