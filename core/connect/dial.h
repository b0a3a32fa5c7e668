/* The way to a server's socket. */
#pragma once

#include "base/error.h"

/*
 * A connected descriptor, which does not block; -1: nobody listens there, or what listens is not to be trusted: a
 * process of another user's, unless that is root or `path` lies in a directory that is that user's own.
 */
int dial(const char *path, struct theseus_error *err);
