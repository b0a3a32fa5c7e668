/* Plays one transcript against one server. */
#pragma once

#include "base/error.h"
#include "base/mem.h"

enum player_mode { PLAY_PIPE, PLAY_SOCKET, PLAY_REBUILD, PLAY_REBUILD_EARLY };
enum { PLAYED = 0, PLAY_SKIPPED = 1 };

/* `dir` is an empty private directory. PLAYED, PLAY_SKIPPED (`err` says why), or -1: what is missing is printed. */
MUST_CHECK int player_play(const char *path, enum player_mode mode, const char *dir, struct theseus_error *err);

const char *player_mode_name(enum player_mode mode);
