/* What happens to the names in directories, as the system tells it: inotify, read by the loop. Watch.c makes sense of
 * it. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "loop/loop.h"

struct dirnotify;

enum dir_event {
    DIR_TOUCHED, /* the name's file was written and closed, came, went, or changed its mode */
    DIR_MADE,    /* the name is new; whether the file is complete is not known */
    DIR_WRITING, /* the name's file is being written */
    DIR_SUBDIR,  /* the name is a directory's, which came, went or changed */
    DIR_ITSELF,  /* no name: the directory's own mode changed */
    DIR_GONE,    /* no name: the directory was deleted or moved away, the id is dead */
    DIR_LOST,    /* no name, no id: events were dropped */
};

typedef void dirnotify_fn(void *arg, int id, enum dir_event event, const char *name);

/* `fn` must not free the object. */
MUST_CHECK int dirnotify_new(struct dirnotify **ret_notify, struct loop *loop, dirnotify_fn *fn, void *arg,
                             struct theseus_error *err) ON_LOOP;
struct dirnotify *dirnotify_free(struct dirnotify *notify) ON_LOOP;

/* The id of the directory; the same one however often and under whatever name it is added. <0: errno says why. */
int dirnotify_add(struct dirnotify *notify, const char *path) ON_LOOP;
void dirnotify_remove(struct dirnotify *notify, int id) ON_LOOP;

/*
 * To make such a descriptor and to close it takes the system milliseconds. One that an earlier image of the process has
 * left can be had again: what it still watches for nobody is dropped at its first event. `fd` stays the caller's, and
 * is open until it is offered no more.
 */
void dirnotify_offer(int fd) ON_LOOP;
void dirnotify_offer_none(void) ON_LOOP;

DEFINE_LOOP_CLEANUP(struct dirnotify *, dirnotify_free)
