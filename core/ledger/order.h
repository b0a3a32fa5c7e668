/* Brings records into the order of their keys' bytes, in time proportional to their number. */
#pragma once

#include "ledger/index.h"

void order_items(struct item *items, size_t count);

/* Numbers, such as places, into their order. */
void order_numbers(uint64_t *numbers, size_t count);
