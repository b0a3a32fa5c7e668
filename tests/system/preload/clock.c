/*
 * Lets time pass. Preloaded into a server, it puts a number of milliseconds, which a test changes while the server
 * runs, on top of the monotonic clock: whatever waits for its time finds that it has come. The kernel's own timers are
 * left alone, and so is who sleeps already: something must wake it.
 *
 * $THESEUS_CLOCK names a file with that number, 8 bytes, little-endian. It is mapped, so that an exec changes nothing.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef int clock_fn(clockid_t clock, struct timespec *ret_time);

static const _Atomic int64_t *ahead_ms;
static clock_fn *real;

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("THESEUS_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd >= 0 ? mmap(NULL, sizeof(*ahead_ms), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (fd >= 0)
        (void)close(fd);
    ahead_ms = at == MAP_FAILED ? NULL : at;
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *ret_time) {
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int r = real(clock, ret_time);
    if (r == 0 && ahead_ms && (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE))
        ret_time->tv_sec += *ahead_ms / 1000;
    return r;
}
