/* Text in two columns for a terminal of 80: a word on the left, and what belongs to it, wrapped, on the right. */
#pragma once

#include <stdio.h>

#include "base/mem.h"

/* Without a label the row belongs to the one before. What a terminal would obey is shown as '?'. */
void rows_print(FILE *out, const char *label, const char *format, ...) PRINTF_LIKE(3, 4);
