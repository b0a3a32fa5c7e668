/* Its constructor crashes. */
#include <signal.h>

#include <theseus/plugin.h>

__attribute__((constructor)) static void crash(void) {
    (void)raise(SIGSEGV);
}

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "ctorcrash",
    .version = "1",
};
