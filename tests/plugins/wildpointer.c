/* Loads well, but a pointer of its structure leads nowhere. */
#include <theseus/plugin.h>

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "wildpointer",
    .version = (const char *)16,
};
