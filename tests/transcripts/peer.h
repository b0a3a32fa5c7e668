/* The server that a transcript talks to: a process of its own, or an object in this one. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/mem.h"

struct sandbox;
struct peer;

enum peer_kind { PEER_PIPE, PEER_SOCKET, PEER_OBJECT };

/* Serves with standard error in the sandbox's file `stderr`. `input`: a file that it reads from; NULL: from us. */
MUST_CHECK int peer_new(struct peer **ret_peer, enum peer_kind kind, const struct sandbox *sandbox, const char *input,
                        struct theseus_error *err);
struct peer *peer_free(struct peer *peer); /* ends it, whatever it does */

int peer_in(const struct peer *peer);  /* to be written, without blocking; -1: closed */
int peer_out(const struct peer *peer); /* to be read, without blocking */
void peer_close_in(struct peer *peer); /* the end of the input */

/* An object works only inside this call, for at most so long; a process always does, and this returns at once. */
bool peer_turn(struct peer *peer, int timeout_ms);

/* An object is thrown away and made again from its ledger. */
MUST_CHECK int peer_remake(struct peer *peer, struct theseus_error *err);

/* Has it ended by itself? Then its exit status; a signal is 128 and its number. */
bool peer_is_over(struct peer *peer, int *ret_status);
int peer_over_fd(const struct peer *peer);    /* readable when a process has ended; -1: none */
long peer_memory_kb(const struct peer *peer); /* resident; -1: not to be told apart from ours */

DEFINE_CLEANUP(struct peer *, peer_free)
