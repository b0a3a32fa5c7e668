/* What the two kinds of peer have in common. */
#pragma once

#include <sys/types.h>

#include "peer.h"
#include "sandbox.h"

struct object;

struct peer {
    enum peer_kind kind;
    int in, out; /* our ends */
    pid_t pid;   /* of a process; 0: none, or reaped */
    int pidfd;   /* -1: none */
    int status;
    struct object *object; /* owned */
};

/* The server's end of both directions is borrowed. */
MUST_CHECK int process_begin(struct peer *peer, const struct sandbox *sandbox, int in, int out,
                             struct theseus_error *err);
void process_end(struct peer *peer);

/* The descriptors are taken. */
MUST_CHECK int object_new(struct object **ret_object, const struct sandbox *sandbox, int in, int out,
                          struct theseus_error *err);
struct object *object_free(struct object *object);
MUST_CHECK int object_remake(struct object *object, struct theseus_error *err);
bool object_turn(struct object *object, int timeout_ms);
bool object_is_over(const struct object *object);
