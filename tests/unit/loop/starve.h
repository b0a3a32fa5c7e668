/* Takes the address space away, so that no thread can be started; and gives it back. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STARVE_WORKS false
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STARVE_WORKS false
#endif
#ifndef STARVE_WORKS
#define STARVE_WORKS true /* a sanitizer needs more address space than it lets us count */
#endif

static inline struct rlimit starve(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    struct rlimit before, none;
    unsigned long pages = 0;

    (void)getrlimit(RLIMIT_AS, &before);
    if (file && fscanf(file, "%lu", &pages) != 1)
        pages = 0;
    if (file)
        (void)fclose(file);
    none = before;
    none.rlim_cur = pages * (unsigned long)sysconf(_SC_PAGESIZE);
    (void)setrlimit(RLIMIT_AS, &none);
    return before;
}
