/*
 * What a crash handler leaves: plain memory, since a handler can neither allocate nor write records. Addresses are of
 * the process that crashed; the table of modules gives them a meaning.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    CRASH_FRAMES_MAX = 48,
    CRASH_MODULES_MAX = 48,
    CRASH_NAME_BYTES = 64,
    CRASH_HASH_BYTES = 72,
    CRASH_PATH_BYTES = 192,
};

/* What ended it, where it was no signal from outside. */
enum crash_call { CRASH_BY_SIGNAL, CRASH_BY_EXIT, CRASH_BY_QUICK_EXIT, CRASH_BY_THREAD_END, CRASH_BY_CLOSING };

/* An object that was mapped: the program, a library, a plugin's private copy. */
struct crash_module {
    uint64_t base, end;          /* addresses */
    char path[CRASH_PATH_BYTES]; /* cut at the front when it is longer */
};

struct crash_note {
    char magic[8]; /* CRASH_MAGIC, written last: the rest is meant */
    int64_t at_ns; /* monotonic clock, when the signal came */
    int32_t signum, code;
    uint64_t address;    /* si_addr; of CRASH_BY_EXIT: the status */
    uint32_t faults;     /* 1: the handler itself did not crash */
    uint32_t on_loop;    /* 1: on the loop's thread */
    uint32_t leaving;    /* 1: the server was about to end */
    uint32_t structured; /* 1: the tool that the client has called declares an output schema */
    int32_t core_pid;    /* the child process that writes a core; 0: none does */
    uint32_t call;       /* enum crash_call */
    uint64_t served;     /* requests that the image had answered, errors not counted */
    char thread[16];     /* its name */
    char plugin[CRASH_NAME_BYTES], version[CRASH_NAME_BYTES], hash[CRASH_HASH_BYTES]; /* empty: the core's own code */
    char tool[CRASH_NAME_BYTES], slot[CRASH_NAME_BYTES];                              /* empty: none */
    uint64_t conn, offset, index; /* the client's request; conn 0: none */
    uint32_t frame_count, module_count;
    uint64_t frames[CRASH_FRAMES_MAX];              /* the innermost first */
    struct crash_module modules[CRASH_MODULES_MAX]; /* those that a frame or the address lies in */
};
#define CRASH_MAGIC "crashed"

/* Was the thread sent the signal because it did not come back (rescue.c)? */
static inline bool crash_note_is_hang(const struct crash_note *note) {
    return note->signum == SIGABRT && note->code == SI_QUEUE && note->call == CRASH_BY_SIGNAL;
}

/* "exit(3)"; empty where it was a signal. */
enum { CRASH_CALL_BYTES = 48 };
void crash_note_call(const struct crash_note *note, char text[static CRASH_CALL_BYTES]);

/* What a process in trouble has written need not be what it meant: afterwards every text ends, and every count fits. */
void crash_note_mend(struct crash_note *note);
