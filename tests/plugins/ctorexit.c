/* Its constructor ends the process. */
#include <unistd.h>

#include <theseus/plugin.h>

__attribute__((constructor)) static void leave(void) {
    _exit(3);
}

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "ctorexit",
    .version = "1",
};
