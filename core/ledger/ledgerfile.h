/*
 * The file in which a server that listens keeps its ledger, so that what it says is still there when the process was
 * killed: the next one opens it and goes on from it.
 *
 * It lies on a tmpfs, in memory, and never on a disk, for it says in plain what clients have asked and what plugins
 * remember. It is the user's alone, and locked (flock) for the life of the process, across exec too: of two servers for
 * one socket the second one finds it locked. It is named by the socket, and removed by a server that leaves. Linux
 * only.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/mem.h"

enum { LEDGERFILE_LEFT = 1 }; /* outcome of ledgerfile_open(): a server that is gone has left it */

/*
 * The file for the socket at `socket` in `dir`, which is made if it is not there, and may be passed through by others
 * where it is `open` to them. ERR_MISSING: no file in memory can be there, and the ledger does without. ERR_BUSY: a
 * server has it, which may be just ending. ERR_ACCESS: what is there is not ours alone.
 */
MUST_CHECK int ledgerfile_open(const char *dir, const char *socket, bool open, int *ret_fd, struct theseus_error *err);

/* Is it a file that another process could find? */
bool ledgerfile_is_found(int fd);
/* So that nobody finds it any more. Harmless for a ledger that is in no such file. */
void ledgerfile_remove(int fd);

/* Why a ledger in `dir` would not outlive the process, and how to mend it; NULL: it would. Owned. */
char *ledgerfile_obstacle(const char *dir);
