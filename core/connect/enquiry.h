/* One request to a server that runs, by its socket: asked and waited for, on a thread that has nothing else to do. */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "base/span.h"

/*
 * `request` is one line with its end, and has an id. New reference to the answer, as it came; who goes away meanwhile
 * takes the request back with him. -1 too when nothing came of the greeting within some seconds, or the server went
 * away.
 */
MUST_CHECK int enquiry_ask(const char *path, const char *directory, struct span request, json_t **ret_answer,
                           struct theseus_error *err);
