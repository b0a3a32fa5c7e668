/* Prints while it is loaded, as libraries do that were never meant for a server whose stdout is a protocol. */
#include <stdio.h>

#include <theseus/plugin.h>

__attribute__((constructor)) static void chat(void) {
    (void)printf("{\"ok\":false,\"error\":\"said by a plugin\"}\n");
    (void)fflush(stdout);
}

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "chatty",
    .version = "1",
};
