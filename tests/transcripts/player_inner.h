/* The player's own struct, for its two files. */
#pragma once

#include "group.h"
#include "peer.h"
#include "player.h"
#include "sandbox.h"
#include "script.h"
#include "wire.h"

/* A file that `@` lines put together, and that is saved as a whole before anything else happens. */
struct document {
    char *path; /* owned */
    struct buf text;
    bool changed;
};

struct player {
    const struct script *script;
    enum player_mode mode;
    struct sandbox *sandbox; /* owned */
    struct peer *peer;       /* owned; NULL before the first line */
    struct wire wire;
    struct group group;
    json_t *names; /* owned */
    json_t *modes; /* owned: those that the transcript is for; empty: all */
    struct document config, tools, input;
    json_t *allowed_errors; /* owned: texts, one of which is in each line of stderr */
    size_t repeat;          /* of the next line; 0: once */
    int sent;
    int within_ms, exit_ms, exit_status;
};

enum { DEFAULT_WITHIN_MS = 20000, DEFAULT_EXIT_MS = 20000 };

/* player.c */
MUST_CHECK int player_start(struct player *player, struct theseus_error *err);
MUST_CHECK int player_start_from(struct player *player, const char *input, struct theseus_error *err);
MUST_CHECK int player_wait(struct player *player, struct theseus_error *err);  /* for the open group */
MUST_CHECK int player_flush(struct player *player, struct theseus_error *err); /* until all is written */
MUST_CHECK int player_step(struct player *player, const struct step *step, struct theseus_error *err);

/* directive.c */
MUST_CHECK int directive_run(struct player *player, const char *text, struct theseus_error *err);
bool directive_adds_to_document(const char *text);
