/* `theseus connect`: a client's stdin and stdout, joined to the server that everybody shares. */
#pragma once

#include "config/config.h"

/* `socket` NULL: where the configuration says. `starts`: a server where none runs. Returns the exit status. */
int connect_run(const struct config_source *source, const char *program, char *const *argv, const char *socket,
                bool starts);
