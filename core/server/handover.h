/*
 * From image to image: which descriptors go along, and the exec itself.
 *
 * Descriptors are close-on-exec until the last moment. Those that go along are the ledger's, the clients' (they stand
 * in the records of the connections) and what was recorded here under a name. The environment tells the next image
 * where the ledger is, and from which binary the way back leads.
 */
#pragma once

#include <stdbool.h>

#include "ledger/ledger.h"

#define HANDOVER_VARIABLE "THESEUS_HANDOVER" /* no child of ours ever sees it */

struct handover {
    int ledger_fd; /* -1: nothing was handed over, this is a fresh start */
    int back_fd;   /* the binary of the image before; -1: there is no way back */
    bool is_back;  /* this is the image before, executed again because the one after it failed */
    bool is_crash; /* the image before has crashed, and this one goes on in its place */
    bool is_torn;  /* the image before this one ended while it was reading or writing: how far that came is not known */
};

/* Takes it out of the environment. The descriptors are the caller's, and close-on-exec again. */
void handover_find(struct handover *ret_handover);

/* Records that `fd` goes along. It stays the caller's. */
MUST_CHECK int handover_keep(struct ledger *ledger, const char *name, int fd, struct theseus_error *err);
/* There is none of that name any more. */
MUST_CHECK int handover_forget(struct ledger *ledger, const char *name, struct theseus_error *err);
/* The descriptor that came along under that name, now the caller's. -1: none did. */
int handover_take(struct ledger *ledger, const char *name);
/* The descriptors in the records are close-on-exec again. */
void handover_seal(struct ledger *ledger);

/* An exec, made ready: from here on nothing is allocated. */
struct plan;

struct plan_spec {
    struct ledger *ledger; /* NULL: it could not be read; what came along goes on as it is */
    int ledger_fd;
    int exe_fd;        /* what is executed; borrowed */
    int back_fd;       /* what the next image executes if it fails; -1: it has no way back */
    bool is_back;      /* this is that way back */
    bool is_crash;     /* this image has crashed: what goes along is what base/inherit.h has at that moment */
    char *const *argv; /* borrowed */
    int startup_ms;    /* so long may the next image take; 0: no limit */
};

MUST_CHECK int plan_new(struct plan **ret_plan, const struct plan_spec *spec, struct theseus_error *err);
struct plan *plan_free(struct plan *plan);

/*
 * The exec. Returns only if it failed, with errno; then everything is as it was before. Async-signal-safe. The signals,
 * crashes aside, must be blocked, so that none is lost between the images; the mask is the next image's to clear.
 */
void plan_execute(struct plan *plan);

DEFINE_CLEANUP(struct plan *, plan_free)
