/*
 * access.restart = confirm: before a restart that a client asks for, the person at that client is asked, by
 * elicitation.
 *
 * Legacy: a request of ours, elicitation/create, while the call waits. Modern: the call is answered with
 * input_required, and comes again with the answer and our requestState. Either is good once, for the same user and the
 * same restart, and for access.confirm_within; no image after this one knows of it.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/thread.h"

struct conn;
struct message;
struct restart_request;
struct server;

/* The answer to who asks for a restart, a new reference; NULL: the call is answered later. */
json_t *confirm_restart(struct server *server, const struct restart_request *request) ON_LOOP;
/* For struct method_env. False: the message answers none of our questions. */
bool confirm_take_answer(void *arg, struct conn *conn, const struct message *message);
/* Nobody is to be waited for any more; `why` is what the calls are answered with. */
void confirm_refuse_all(struct server *server, const char *why) ON_LOOP;
void confirm_fini(struct server *server) ON_LOOP;
