/* The parts of the relay: what comes from the client, what comes from the server, and the way between sockets. */
#pragma once

#include "connect/relay.h"
#include "connect/wire.h"

/* client_side.c */
extern const struct lines_ops client_side_ops;
void client_side_send_held(struct relay *relay) ON_LOOP; /* whatever was kept, in order */
void client_side_refuse(struct relay *relay, struct asked *asked, const struct theseus_error *error,
                        const json_t *data) ON_LOOP;       /* answers it, and drops it */
void client_side_refuse_held(struct relay *relay) ON_LOOP; /* what nobody has taken, because nobody can be reached */
void client_side_uncertain(struct relay *relay, struct asked *asked) ON_LOOP;
void client_side_pace(struct relay *relay) ON_LOOP; /* reads on or not */
void client_side_expire(void *arg);
void client_side_leave(struct relay *relay) ON_LOOP;
void client_side_say_bye(struct relay *relay) ON_LOOP;

/* server_side.c */
extern const struct lines_ops server_side_ops;
void server_side_send_ack(void *arg);

/* session.c: from one socket to the next */
void session_try(void *arg);
void session_launched(void *arg, const char *failed);
void session_lost(void *arg);
void session_give_up_greeting(void *arg);
void session_take_greeting(struct relay *relay, const struct message *message) ON_LOOP;

/* relay.c */
void relay_end(struct relay *relay, int status) ON_LOOP;
void relay_leave(struct relay *relay) ON_LOOP; /* at once; the session is over, too */
