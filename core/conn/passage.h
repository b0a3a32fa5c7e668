/*
 * The directory of a socket, and whether other users may pass through it to the socket.
 *
 * Who may pass is the server's setting, and the mode that it has set itself is not to keep the next server from
 * starting: an empty file beside the socket, SOCKET.open, says that it was a server that has opened the directory
 * (0711) for that socket. It outlives an exec and a crash. Whoever lets nobody else in any more closes the directory
 * (0700) and removes the mark; a directory that is open without one was opened by somebody else, and stays as it is.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

/* Makes the directory of the socket at `path`, or refuses it, and locks it for as long as `*ret_fd` is open: of two
 * that find a socket left behind one replaces it, and the other finds the first. */
MUST_CHECK int passage_enter(const char *path, bool open, int *ret_fd, struct theseus_error *err);
/* Has a server opened it for this socket? */
bool passage_is_ours(const char *path);
/* Opens it to others, or closes what was opened for this socket, unless another server's socket in it is open as well.
 */
MUST_CHECK int passage_set(const char *path, bool open, struct theseus_error *err);
