/* Its constructor takes its time. */
#include <time.h>

#include <theseus/plugin.h>

__attribute__((constructor)) static void linger(void) {
    const struct timespec time = {.tv_nsec = 800000000};

    (void)nanosleep(&time, NULL);
}

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "ctorslow",
    .version = "1",
};
