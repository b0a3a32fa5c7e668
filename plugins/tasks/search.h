/* The full-text index over titles and descriptions. */
#pragma once

#include "work.h"

int search_update(struct work *work); /* brings it up to what the transaction has changed. 0 or -1 */

/*
 * What a person types as an expression of FTS5: words that must all be there, in any order and form; "quoted ones" as
 * they stand; word* is the beginning of a word. Of one session; 0: of all.
 */
void search_expression(struct text *into, const char *typed, int64_t session);
