/* The full-text index over titles and descriptions. */
#pragma once

#include <jansson.h>

#include "work.h"

int search_update(struct work *work); /* brings it up to what the transaction has changed. 0 or -1 */

/*
 * What a person types as an expression of FTS5: words that must all be there, in any order and form; "quoted ones" as
 * they stand; word* is the beginning of a word. Of one session; 0: of all.
 *
 * The index has words as they stand between blanks and signs. Scripts that write without blanks, and signs themselves,
 * emoji among them, it cannot find: such a word goes into `pieces` instead, a list of texts that have to be contained,
 * and `into` stays empty where all are.
 */
void search_expression(struct text *into, json_t *pieces, const char *typed, int64_t session);
