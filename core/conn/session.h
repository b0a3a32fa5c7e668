/* What a legacy client agreed on by `initialize`. A modern client has nothing of this: it says everything each time. */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "ledger/records.h"
#include "rpc/revision.h"

enum { SESSION_ID_BYTES = 33, SESSION_SECRET_BYTES = 65 };

struct session {
    char id[SESSION_ID_BYTES];       /* names the connection for people, also without a legacy session */
    const struct revision *revision; /* NULL: no initialize has come */
    bool initialized;                /* notifications/initialized has come */
    json_t *client;                  /* clientInfo, owned; NULL: unknown */
    json_t *capabilities;            /* owned; NULL: unknown */
    int log_level;                   /* -1: none was set */
    json_t *subscriptions;           /* owned: URIs of resources; NULL: none */
    char *directory;                 /* first root that the client named, absolute path, owned; NULL: unknown */
    char *home;                      /* where the client was started, as it says, absolute path, owned; NULL: unknown */
    char secret[SESSION_SECRET_BYTES]; /* by which another socket takes the session over; empty: none can */
};

void session_init(struct session *session);
void session_fini(struct session *session);
void session_make_secret(struct session *session);
/* A new handshake: what was agreed before is forgotten, the id stays. */
void session_begin(struct session *session, const struct revision *revision, json_t *client, json_t *capabilities);

/* To and from the fields of the connection's record. The texts of `record` belong to `texts`. */
enum { SESSION_TEXTS = 3 };
MUST_CHECK int session_pack(const struct session *session, struct conn_record *record, struct buf texts[SESSION_TEXTS],
                            struct theseus_error *err);
void session_unpack(struct session *session, const struct conn_record *record);
