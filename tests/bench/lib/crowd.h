/*
 * Many clients of one server: some behind a `theseus connect` of their own, the others on sockets that say what
 * `theseus connect` would say (hello, acknowledgements, and resume when the socket has ended), which is quicker than a
 * thousand processes. Every answer is judged: it is awaited, comes once and is right, or says that the call may have
 * been executed.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/mem.h"
#include "lib/samples.h"

struct crowd_stats {
    unsigned asked, answered, uncertain, faults;
    char first_fault[240]; /* empty: there is none */
};

struct crowd;

struct crowd *crowd_new(const char *socket, unsigned relays, unsigned sockets);
struct crowd *crowd_free(struct crowd *crowd); /* their ends are closed; processes that remain are killed */

/* `argv`: of a `theseus connect`. Each has shaken hands when it returns. */
MUST_CHECK int crowd_start_relays(struct crowd *crowd, char *const argv[], struct theseus_error *err);
/* So many others: each has shaken hands, listed the tools, called one and confirmed what it has got. */
MUST_CHECK int crowd_connect(struct crowd *crowd, unsigned more, struct theseus_error *err);
MUST_CHECK int crowd_stop_relays(struct crowd *crowd, struct theseus_error *err);

pid_t crowd_server(const struct crowd *crowd); /* as it told those on sockets, or 0 */

/* Everybody calls the tool `echo` once. Without waiting: an answer may be on its way in both directions. */
void crowd_call(struct crowd *crowd);
/* Until everybody has everything. */
MUST_CHECK int crowd_await(struct crowd *crowd, struct theseus_error *err);

/*
 * The server has been killed, at `since`: everybody asks once more, those on sockets when they have their session
 * back. Adds how long it took each of them to have everything that it had asked for.
 */
MUST_CHECK int crowd_come_back(struct crowd *crowd, int64_t since, struct samples *relays, struct samples *sockets,
                               struct theseus_error *err);

struct crowd_stats crowd_stats(const struct crowd *crowd);

DEFINE_CLEANUP(struct crowd *, crowd_free)
