/* One call of a tool inside the process of an isolated plugin. */
#pragma once

#include <stdatomic.h>

#include "plugin/inside.h"

struct inside_call {
    struct theseus_call call; /* what the handler sees */
    struct inside *inside;
    json_int_t id; /* the server's name for it */
    char *name;    /* owned: the tool's */
    void *data;    /* the tool's */
    bool is_inline;
    pthread_t thread; /* on which its handler runs */
    struct blame blame;
    json_t *args;    /* owned */
    atomic_int refs; /* the handler, and the answer that is still to come */
    atomic_bool replied;
    atomic_bool cancelled, suspending; /* said once, it stays so for this run */
    atomic_int_fast64_t asked_ns[2];   /* when the server was last asked for either */

    pthread_mutex_t lock; /* of what follows: asked for once, then kept */
    char *args_text, *key;
    json_t *resume;
    bool has_resume;
    json_t *client_texts; /* owns what `client` points to */
    struct theseus_client_info client;
};

static inline struct inside_call *inside_call_of(const struct theseus_call *call) {
    return container_of((struct theseus_call *)(uintptr_t)call, struct inside_call, call);
}

/* The answer: {"tell": verb, "call": …, "value": value}. Steals `value`. Returns THESEUS_DONE. */
int inside_call_reply(struct inside_call *call, const char *verb, json_t *value);
