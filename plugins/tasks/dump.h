/* JSON as text, compact: what json_dumps() writes, for the writer's thread, which does it for each call that it runs.
 */
#pragma once

#include <jansson.h>

#include "text.h"

void dump_json(struct text *into, const json_t *value); /* without memory for it `into` has failed */
