/*
 * The settings that serve, kept in the ledger as the text that they came from.
 *
 * An edit of the file that has a mistake is refused, and the settings before go on. That has to hold across an exec for
 * which nobody could be asked first, as behind a crash: an image that finds a file which it has to refuse goes on with
 * what served before it, and says so as ever.
 */
#pragma once

#include "base/thread.h"
#include "config/config.h"
#include "ledger/ledger.h"

struct server;

/* Those of the file, or, if they are refused, those that `ledger` has (NULL: there is no image before). `ret_kept`:
 * these. */
MUST_CHECK int settings_load(struct config **ret_config, const struct config_source *source, struct ledger *ledger,
                             bool *ret_kept, struct theseus_error *err);
void settings_keep(struct server *server) ON_LOOP; /* for the next image; a failure is logged */
