/* What an image of `theseus connect` leaves to the next one, as a JSON object. */
#pragma once

#include "connect/relay.h"

/* Is nothing on its way? Subscriptions that are open and heard of do not count. */
bool left_is_possible(const struct relay *relay);

/* New reference; only when it is possible. NULL: no memory. */
json_t *left_new(const struct relay *relay) ON_LOOP;

/* Keeps the descriptors that it names open in an exec, or not again. */
void left_keep_open(const struct relay *relay, bool keep) ON_LOOP;

/* The relay as it was: its client and server, if they were open. Fails as a whole, and closes nothing then. */
MUST_CHECK int left_restore(struct relay *relay, const json_t *left, struct theseus_error *err) ON_LOOP;
