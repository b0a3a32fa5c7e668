/*
 * A process that goes on from the ledger of another one, which was killed. All that follows is as behind a crash
 * (recovery.h, arrival.c); what is different stands here:
 *
 * No descriptor came along. The locks of the server that is gone are taken again, and it listens anew. Clients on its
 * standard input, and those that have no session to come back to, are gone: of them nothing stays but the calls that
 * go on as tasks, and what was at work for them is told in the history. The others are awaited (conn.waits).
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/error.h"
#include "base/thread.h"

struct config;
struct history_event;
struct ledger;
struct server;
struct server_args;

struct heir {
    bool came;           /* this process is one */
    json_t *calls;       /* owned: of clients that are gone, as interrupted_tell() has them */
    int64_t interrupted; /* how many */
};

/* The ledger of a server that listens: the file that one before has left (then `args` says so), a new one, or one that
 * nobody will find, for there can be no file. */
MUST_CHECK int heir_open_ledger(struct ledger **ret_ledger, struct server_args *args, const struct config *config,
                                struct theseus_error *err);

/* Before anything else looks at the ledger. */
void heir_prepare(struct server *server) ON_LOOP;
void heir_add_to_event(const struct server *server, struct history_event *event) ON_LOOP;
void heir_fini(struct server *server);

/* Why nobody could go on if this server was killed, and how to mend it; NULL: somebody could. Owned. */
char *heir_obstacle(const struct server *server) ON_LOOP;
