/* Built for a contract that never was. */
#include <theseus/plugin.h>

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI + 41,
    .size = sizeof(struct theseus_plugin),
    .name = "abi",
    .version = "1",
};
