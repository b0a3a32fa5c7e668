/* Names that a transcript gives to texts, and that stand in its lines as ${NAME}. */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "base/mem.h"

/* `names` is a JSON object of strings. An unknown name is an error. Owned. */
MUST_CHECK int names_expand(const json_t *names, const char *text, char **ret_text, struct theseus_error *err);

/* The same for C's escapes: \n \r \t \\ \0 and \xHH. */
MUST_CHECK int names_unescape(const char *text, struct buf *ret_bytes, struct theseus_error *err);
