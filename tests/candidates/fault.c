/*
 * What makes a server one that fails on purpose, linked in front of it. FAULT is "<when>-<how>":
 *
 *     preflight   when it is examined
 *     first       as an image that follows another, before it has read the ledger
 *     early       likewise, when it has read the ledger and the configuration
 *     late        likewise, when all is restored and only the serving is missing
 *     ended       when a restart is over, well or not, and who asked is not answered yet; not behind a crash
 *
 *     exits, crashes, aborts, hangs; fails: as it does by itself; differs: it reads the ledger otherwise. "none":
 *     nothing of this, another version.
 *
 * The server knows nothing of it: the linker leads calls of the functions below here.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn/conn.h"
#include "server/handover.h"
#include "server/preflight.h"
#include "server/restart_inner.h"
#include "server/server.h"

enum { IS_CRASH = 4 }; /* of the variable's last number */

/* This image follows another, one that has crashed; found out before the server can take the variable away. */
static bool follows, follows_crash;

__attribute__((constructor)) static void look_at_environment(void) {
    const char *text = getenv(HANDOVER_VARIABLE);
    unsigned flags = 0;

    follows = text != NULL;
    follows_crash = text && sscanf(text, "%*d:%*d:%u", &flags) == 1 && flags & IS_CRASH;
}

/* Volatile, for compilers and sanitizers that would see through it. */
static int *volatile nowhere = (int *)64;

static void fail_at(const char *moment) {
    const size_t len = strlen(moment);

    if (strncmp(FAULT, moment, len) != 0 || FAULT[len] != '-')
        return;
    const char *how = FAULT + len + 1;
    if (strcmp(how, "exits") == 0)
        exit(3);
    if (strcmp(how, "crashes") == 0)
        *nowhere = 1;
    if (strcmp(how, "aborts") == 0)
        abort();
    while (strcmp(how, "hangs") == 0)
        (void)pause();
}

_Noreturn void __real_preflight_main(const struct config_source *source, const char *room);
_Noreturn void __wrap_preflight_main(const struct config_source *source, const char *room);
_Noreturn void __wrap_preflight_main(const struct config_source *source, const char *room) {
    fail_at("preflight");
    __real_preflight_main(source, room);
}

void __real_ledger_digest(struct ledger *ledger, uint64_t *ret_digest);
void __wrap_ledger_digest(struct ledger *ledger, uint64_t *ret_digest);
void __wrap_ledger_digest(struct ledger *ledger, uint64_t *ret_digest) {
    __real_ledger_digest(ledger, ret_digest);
    if (strcmp(FAULT, "preflight-differs") == 0)
        *ret_digest ^= 1;
}

int __real_ledger_open(struct ledger **ret_ledger, int fd, struct theseus_error *err);
int __wrap_ledger_open(struct ledger **ret_ledger, int fd, struct theseus_error *err);
int __wrap_ledger_open(struct ledger **ret_ledger, int fd, struct theseus_error *err) {
    if (follows)
        fail_at("first");
    return __real_ledger_open(ret_ledger, fd, err);
}

int __real_server_new(struct server **ret_server, const struct server_args *args, struct config *config,
                      struct ledger *ledger, struct theseus_error *err);
int __wrap_server_new(struct server **ret_server, const struct server_args *args, struct config *config,
                      struct ledger *ledger, struct theseus_error *err);
int __wrap_server_new(struct server **ret_server, const struct server_args *args, struct config *config,
                      struct ledger *ledger, struct theseus_error *err) {
    if (follows)
        fail_at("early");
    if (follows && strcmp(FAULT, "early-fails") == 0)
        return fail(err, ERR_INTERNAL, "this server fails on purpose");
    return __real_server_new(ret_server, args, config, ledger, err);
}

void __real_conn_start(struct conn *conn);
void __wrap_conn_start(struct conn *conn);
void __wrap_conn_start(struct conn *conn) {
    if (follows)
        fail_at("late");
    __real_conn_start(conn);
}

void __real_restart_end(struct server *server, enum phase phase);
void __wrap_restart_end(struct server *server, enum phase phase);
void __wrap_restart_end(struct server *server, enum phase phase) {
    __real_restart_end(server, phase);
    if (!follows_crash)
        fail_at("ended");
}
