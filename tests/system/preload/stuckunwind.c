/*
 * A search for the way to a crash that comes to no end. Preloaded into a server, it keeps whoever unwinds the stack in
 * a signal handler for ever, when he looks for the first object: waiting, or turning round and round if $THESEUS_UNWIND
 * says "busy".
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct dl_find_object;
typedef int find_fn(void *pc, struct dl_find_object *ret_object);

static find_fn *real;
static volatile unsigned turns;

__attribute__((constructor)) static void attach(void) {
    *(void **)&real = dlsym(RTLD_NEXT, "_dl_find_object");
}

static void stay(void) {
    const char *how = getenv("THESEUS_UNWIND");

    for (;;)
        if (how && strcmp(how, "busy") == 0)
            turns++;
        else
            (void)pause();
}

__attribute__((visibility("default"))) int _dl_find_object(void *pc, struct dl_find_object *ret_object) {
    stack_t stack = {0};

    if (sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_ONSTACK))
        stay();
    return real ? real(pc, ret_object) : -1;
}
