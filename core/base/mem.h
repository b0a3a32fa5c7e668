/*
 * Memory and ownership.
 *
 * An owning local is declared with CLEANUP(destructor) and initialised on the same line; the one line on which
 * ownership leaves says TAKE_PTR. Sizes that we choose are allocated with x…() which abort when memory is out; sizes
 * that a peer chooses with try_…(), which return NULL. Under a limit on memory both have a reserve (base/memlimit.h).
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "base/error.h"

/* CLEANUP(foo_free) struct foo *foo = …; needs DEFINE_CLEANUP(struct foo *, foo_free) once, in foo's header. */
#define CLEANUP(function) __attribute__((cleanup(function##_cleanup)))
#define DEFINE_CLEANUP(type, function)                    \
    static inline void function##_cleanup(type *object) { \
        if (*object)                                      \
            (void)function(*object);                      \
    }

/* The value of `pointer`, which becomes NULL: its destructor has nothing left to do. */
#define TAKE_PTR(pointer)                       \
    ({                                          \
        __typeof__(pointer) taken_ = (pointer); \
        (pointer) = NULL;                       \
        taken_;                                 \
    })

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *memory, size_t size);
void *xreallocarray(void *memory, size_t count, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t len);
char *xasprintf(const char *format, ...) PRINTF_LIKE(1, 2);
char *xvasprintf(const char *format, va_list args) PRINTF_LIKE(1, 0);

/* NULL when there is no memory (and for sizes that overflow): the peer's request is answered with an error. */
MUST_CHECK void *try_malloc(size_t size);
MUST_CHECK void *try_realloc(void *memory, size_t size);

/*
 * Memory that stays until the process ends because somebody who never comes back may still use it. Nothing leads to it
 * any more; the leak checker, where there is one, is told that this is known.
 */
void mem_abandon(const void *memory);

void free_cleanup(void *pointer);     /* CLEANUP(free) char *text = …; */
void fd_close_cleanup(const int *fd); /* CLEANUP(fd_close) int fd = -1; errno is kept */
int fd_take(int *fd);                 /* the descriptor, whose variable becomes -1 */
