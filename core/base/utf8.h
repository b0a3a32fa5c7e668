/* Text that must be UTF-8 and may not be: what a program printed, what a plugin said. */
#pragma once

#include "base/span.h"

bool utf8_is_valid(struct span text);
/* Every byte that belongs to no character becomes U+FFFD. Owned, NUL-terminated (a NUL inside stays); NULL: no memory.
 */
char *utf8_clean(struct span text, size_t *ret_len);
/* The same in place, where there is no room for more: such a byte becomes a question mark. */
void utf8_mend(char *text);
