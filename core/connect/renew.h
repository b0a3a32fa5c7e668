/*
 * A new version of this program in place of the old one, under the same client and the same socket: the file that it
 * was started from has changed, nothing is being worked on, and the new one can be executed at all. What the next image
 * has to know goes along in memory; the descriptors stay open.
 */
#pragma once

#include "connect/relay.h"

struct renew;

/* `argv` and `relay` are borrowed. */
MUST_CHECK int renew_new(struct renew **ret_renew, struct loop *loop, struct relay *relay, char *const *argv,
                         struct theseus_error *err) ON_LOOP;
struct renew *renew_free(struct renew *renew) ON_LOOP;

/* For the new image: what the one before has left; NULL: this is the first one. Owned. */
json_t *renew_take_left(void);

DEFINE_LOOP_CLEANUP(struct renew *, renew_free)
