/*
 * Tools that are gone, the newest few hundred of them: so that a client with an old list is told what became of one.
 * Not safe between threads by itself: the registry's lock guards it.
 */
#pragma once

#include <stddef.h>

enum { LATE_MAX = 256 };

struct late_name {
    char *name, *owner; /* owned; NULL: not used yet */
};

struct late {
    struct late_name names[LATE_MAX]; /* a ring */
    size_t next;
};

void late_fini(struct late *late); /* begins as zeroes */
void late_remember(struct late *late, const char *name, const char *owner);
/* Of which plugin it was, the last time; borrowed until the next late_remember(). NULL: not lately. */
const char *late_owner(const struct late *late, const char *name);
