/* The command line. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "base/mem.h"

enum command {
    COMMAND_SERVE,
    COMMAND_CHECK,
    COMMAND_CALL,
    COMMAND_CLIENT,
    COMMAND_CONNECT,
    COMMAND_BACKUP,
    COMMAND_RESTORE,
    COMMAND_IMPORT,
    COMMAND_STATUS,
    COMMAND_RELOAD,
    COMMAND_RESTART,
    COMMAND_METRICS,
    COMMAND_AUDIT,
    COMMAND_VERSION,
    COMMAND_HELP,
    COMMAND_TEST_LOAD,
    COMMAND_HOST_PLUGIN,
    COMMAND_PREFLIGHT,
    COMMAND_READ_SESSIONS,
    COMMAND_LAUNCH,
};

struct args {
    enum command command;
    const char *config; /* -c; NULL: not given */
    const char **sets;  /* --set, owned array of borrowed texts */
    size_t set_count;
    bool listen, no_start; /* --listen, --no-start */
    bool json, watch;      /* --json, --watch */
    bool running;          /* --running */
    const char *since;     /* --since; NULL: not given */
    char **rest;           /* what follows, borrowed from argv */
    int rest_count;
};

MUST_CHECK int args_read(struct args *ret_args, int argc, char **argv, struct theseus_error *err);
void args_fini(struct args *args);
void args_fini_cleanup(struct args *args);
void args_print_help(FILE *out);
