/*
 * A UNIX socket in the file system on which clients connect.
 *
 * It is made where nothing is, or where a socket was left behind on which nobody listens any more; whatever else stands
 * there is refused, and so is a directory that others could change. What the directory and the socket let in is not
 * what decides: who has connected is asked of each one by whoever gets it.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/mem.h"
#include "loop/loop.h"

struct listener;

struct listener_origin {
    struct loop *loop;
    /* Somebody has connected. Takes the descriptor, which is close-on-exec and does not block. */
    void (*connected)(void *arg, int fd);
    void *arg;
};

/* `open`: others than our own user may connect, too. */
MUST_CHECK int listener_open(struct listener **ret_listener, const struct listener_origin *origin, const char *path,
                             bool open, struct theseus_error *err) ON_LOOP;
/* One that listens already: takes `fd` on success. `is_given`: its file is not ours. */
MUST_CHECK int listener_adopt(struct listener **ret_listener, const struct listener_origin *origin, int fd,
                              bool is_given, struct theseus_error *err) ON_LOOP;
/* Leaves the file: another image goes on with it. */
struct listener *listener_free(struct listener *listener) ON_LOOP;
/* Removes the file, too: clients that come find that nobody is there. */
struct listener *listener_close(struct listener *listener) ON_LOOP;

void listener_accept(struct listener *listener, bool wanted) ON_LOOP; /* at first it does not */
MUST_CHECK int listener_set_open(struct listener *listener, bool open, struct theseus_error *err) ON_LOOP;

int listener_fd(const struct listener *listener); /* borrowed; -1 where there is none */
const char *listener_path(const struct listener *listener);
bool listener_is_given(const struct listener *listener);

/* Does a process that lives listen on the socket at `path`? */
bool listener_is_served(const char *path);

DEFINE_LOOP_CLEANUP(struct listener *, listener_free)
