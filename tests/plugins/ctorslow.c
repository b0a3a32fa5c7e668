/* Its constructor takes its time, and more while the file that CTORSLOW_HOLD names has the number of its process. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <theseus/plugin.h>

static bool is_held(void) {
    const char *path = getenv("CTORSLOW_HOLD");
    FILE *file = path ? fopen(path, "re") : NULL;
    char number[32] = "";

    if (!file)
        return false;
    bool held = fgets(number, sizeof(number), file) && strtol(number, NULL, 10) == (long)getpid();
    (void)fclose(file);
    return held;
}

__attribute__((constructor)) static void linger(void) {
    const struct timespec time = {.tv_nsec = 800000000}, step = {.tv_nsec = 5000000};

    (void)nanosleep(&time, NULL);
    while (is_held())
        (void)nanosleep(&step, NULL);
}

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "ctorslow",
    .version = "1",
};
