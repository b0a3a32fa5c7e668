/*
 * What is mapped where: the program, libraries, plugins. The dynamic linker may not be asked in a signal handler, so
 * the table is made anew whenever something was mapped or unmapped, and a handler finds the last one. State of the
 * process.
 */
#pragma once

#include <stdint.h>

enum { MODULES_MAX = 256, MODULE_PATH_BYTES = 192, MODULE_NAME_BYTES = 64, MODULE_HASH_BYTES = 72 };

struct module {
    uint64_t base, end;                                         /* addresses */
    char path[MODULE_PATH_BYTES];                               /* its end, when it is longer */
    char plugin[MODULE_NAME_BYTES], version[MODULE_NAME_BYTES]; /* whose image it is; empty: no plugin's */
    char hash[MODULE_HASH_BYTES];
};

/* Something was mapped or unmapped. Any thread, not in a handler. */
void modules_refresh(void);
/* The module at that address is the image of this plugin. Likewise. */
void modules_name(const void *address, const char *plugin, const char *version, const char *hash);

/* Async-signal-safe. From here on the table stays as it is; and the module that an address lies in, NULL: none. */
void modules_freeze(void);
const struct module *modules_find(uint64_t address);
