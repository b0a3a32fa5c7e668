/*
 * A core that takes its time. Preloaded into a server, it keeps the process that is about to write one waiting for as
 * long as the file $THESEUS_CORE_WAITS is there.
 */
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* Nobody but such a process raises that limit; others want none of it. */
static int set(int resource, const struct rlimit *limit) {
    const struct timespec nap = {.tv_nsec = 1000000};
    const char *path = getenv("THESEUS_CORE_WAITS");

    while (resource == RLIMIT_CORE && limit->rlim_cur > 0 && path && access(path, F_OK) == 0)
        (void)nanosleep(&nap, NULL);
    return (int)syscall(SYS_prlimit64, 0, resource, limit, NULL);
}

EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit) {
    return set((int)resource, limit);
}

/* Which is the same here. */
EXPORT int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit) {
    const struct rlimit same = {limit->rlim_cur, limit->rlim_max};

    return set((int)resource, &same);
}
