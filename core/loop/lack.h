/*
 * What waits because no thread can be had for it. The log is told once when that begins and once when it is over;
 * meanwhile whoever asks is told.
 */
#pragma once

#include "base/error.h"
#include "base/list.h"

struct loop;

/* Embedded in the object that wants the thread, and begun before that is used by two threads. Starts as zeroes. */
struct lack {
    struct list link; /* private */
    char *text;       /* owned; NULL: nothing is lacking */
};

/* `waits`: a sentence without its end. Any thread. */
void lack_begin(struct loop *loop, struct lack *lack, const char *waits, const struct theseus_error *why);
/* There is one, or it is not wanted any more. Harmless where nothing was lacking. Any thread. */
void lack_end(struct loop *loop, struct lack *lack);

typedef void lack_visit_fn(void *arg, const char *text);
void lacks_each(struct loop *loop, lack_visit_fn *visit, void *arg); /* any thread; `visit` takes no lock */
