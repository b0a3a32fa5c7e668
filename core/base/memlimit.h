/*
 * The limit on the process's memory, and the part of it that is the core's.
 *
 * The limit is RLIMIT_DATA, the private memory that can be written: the heap, and the stacks of threads. Memory that is
 * shared, as the ledger's is, and addresses that are only reserved do not count. It is set lower than what is asked
 * for, by a reserve: when an allocation of the core's fails, it is tried again with that much more, for that moment. So
 * whoever eats all memory finds its end before the core does.
 *
 * The limit belongs to the process, so this is state of the process. Any thread, where nothing else is said.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum {
    MEMLIMIT_SMALL_BYTES = 256 << 10,  /* more than that at once is never taken from the reserve for what peers chose */
    MEMLIMIT_RESERVE_BYTES = 16 << 20, /* half of it for what peers chose, the rest for what we did */
    MEMLIMIT_LEAST_BYTES = 64 << 20,   /* a limit below that leaves nobody anything */
};

/* 0: none. Children that are started inherit it, each for itself. */
MUST_CHECK int memlimit_set(size_t bytes, struct theseus_error *err);
/* The same of all addresses (RLIMIT_AS), for a process that is to have no more whatever it does. Once, in place of
 * that, before there is another thread. */
MUST_CHECK int memlimit_set_addresses(size_t bytes, struct theseus_error *err);

/* Around an exec: the limit is what it was before any was set, and again ours. Async-signal-safe. */
void memlimit_lift(void);
void memlimit_restore(void);

/*
 * An allocation failed. True: the reserve is there until memlimit_lower(), on the same thread, for one more attempt.
 * False: there is no limit of ours, so that it would fail again.
 */
bool memlimit_raise(bool chosen_by_us);
void memlimit_lower(void);
/* The same, of one that is too large for the reserve. */
void memlimit_note(void);

/* Was that so? It is until memlimit_look_again() finds that there is room again. */
bool memlimit_is_short(void);
bool memlimit_look_again(void); /* returns what memlimit_is_short() says now */
/* Is there, under a limit of ours, no room for so many bytes more? */
bool memlimit_lacks(size_t bytes);

/* Called whenever there is suddenly too little, in the middle of an allocation of any thread's: it must not allocate,
 * nor take a lock under which anybody does. NULL: nobody. */
typedef void memlimit_fn(void *arg);
void memlimit_tell(memlimit_fn *fn, void *arg);

/* Bytes in use that count, and the limit; 0: not known, none. */
size_t memlimit_used(void);
size_t memlimit_bytes(void);
size_t memlimit_addresses_used(void); /* bytes, whether they count or not; 0: not known. Async-signal-safe */
/* False: a sanitizer's memory would count too, and no limit is ever set. */
bool memlimit_works(void);
