/* Its constructor never returns. */
#include <unistd.h>

#include <theseus/plugin.h>

__attribute__((constructor)) static void hang(void) {
    for (;;)
        (void)pause();
}

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "ctorhang",
    .version = "1",
};
