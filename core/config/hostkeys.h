/* The keys of a [plugin:NAME] section that begin with a point: they are the host's, not the plugin's. */
#pragma once

#include "config/config.h"
#include "config/problems.h"

/* Reads them into the section's own fields; what is wrong with them goes to `problems`. */
void hostkeys_read(struct config_section *section, struct problems *problems);
