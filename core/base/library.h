/*
 * A library of the system that is mapped when it is wanted, and stays: what only some servers ever need costs the
 * others neither time at their start, and at each exec, nor memory.
 *
 * Whoever wraps it declares a struct of pointers to the functions, and calls them through that once library_open() has
 * succeeded.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/mem.h"

struct library {
    const char *file;         /* as the dynamic linker knows it */
    const char *const *names; /* NULL-terminated */
    void *functions;          /* the struct: their addresses, in that order */
    pthread_mutex_t lock;
    atomic_bool is_open;
};

/* What such a struct, and the names, are made with. */
#define LIBRARY_FIELD(name) __typeof__(&(name)) name; /* NOLINT(bugprone-macro-parentheses) */
#define LIBRARY_NAME(name) #name,
#define LIBRARY_INIT(file_, names_, functions_) \
    { .file = (file_), .names = (names_), .functions = (functions_), .lock = PTHREAD_MUTEX_INITIALIZER }

/* Any thread, however often. */
MUST_CHECK int library_open(struct library *library, struct theseus_error *err);
