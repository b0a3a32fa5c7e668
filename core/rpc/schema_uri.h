/* URI references as RFC 3986 resolves them, and the pieces of their fragments. */
#pragma once

#include "base/mem.h"
#include "base/span.h"

/* Divides at the first '#'. The fragment has data NULL where there is none. */
void uri_split(struct span uri, struct span *ret_rest, struct span *ret_fragment);

char *uri_resolve(const char *base, struct span reference); /* owned; the reference has no fragment */

/* Percent-decoded, owned; NULL: not well encoded, or an encoded NUL. */
char *uri_decode(struct span text);

/* Takes the next token off a JSON pointer that begins with '/', decoding ~0 and ~1. Owned. */
char *uri_pointer_next(const char **pointer);
