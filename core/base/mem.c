#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memlimit.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHECKS_LEAKS
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define CHECKS_LEAKS
#endif

#ifdef CHECKS_LEAKS
#include <sanitizer/lsan_interface.h>
#endif

/* Once more, with what of the limit is the core's own. */
#define WITH_RESERVE(memory, chosen_by_us)              \
    ({                                                  \
        void *memory_ = (memory);                       \
        if (!memory_ && memlimit_raise(chosen_by_us)) { \
            memory_ = (memory);                         \
            memlimit_lower();                           \
        }                                               \
        memory_;                                        \
    })

static void *need(void *memory) {
    if (memory)
        return memory;
    (void)fputs("theseus: out of memory\n", stderr);
    abort();
}

void *xcalloc(size_t count, size_t size) {
    return need(WITH_RESERVE(calloc(count ? count : 1, size ? size : 1), true));
}

void *xrealloc(void *memory, size_t size) {
    return xreallocarray(memory, 1, size);
}

void *xreallocarray(void *memory, size_t count, size_t size) {
    return need(WITH_RESERVE(reallocarray(memory, count ? count : 1, size ? size : 1), true));
}

void *xmalloc(size_t size) {
    return need(WITH_RESERVE(malloc(size ? size : 1), true));
}

char *xstrdup(const char *text) {
    return xstrndup(text, strlen(text));
}

char *xstrndup(const char *text, size_t len) {
    char *copy;

    if (len)
        len = strnlen(text, len); /* an empty span has no data */
    copy = xmalloc(len + 1);
    if (len)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *xvasprintf(const char *format, va_list args) {
    va_list again;

    if (!format)
        abort(); /* which the compiler sees possible where a sanitizer checks for it */
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (len < 0)
        return need(NULL);
    char *text = xmalloc((size_t)len + 1);
    (void)vsnprintf(text, (size_t)len + 1, format, args);
    return text;
}

char *xasprintf(const char *format, ...) {
    va_list args;

    va_start(args, format);
    char *text = xvasprintf(format, args);
    va_end(args);
    return text;
}

/* Without the reserve, which is too small for it; but that it is missing is noted. */
static void *noted(void *memory) {
    if (!memory)
        memlimit_note();
    return memory;
}

void *try_malloc(size_t size) {
    return size > MEMLIMIT_SMALL_BYTES ? noted(malloc(size)) : WITH_RESERVE(malloc(size ? size : 1), false);
}

void *try_realloc(void *memory, size_t size) {
    return size > MEMLIMIT_SMALL_BYTES ? noted(realloc(memory, size))
                                       : WITH_RESERVE(realloc(memory, size ? size : 1), false);
}

void free_cleanup(void *pointer) {
    free(*(void **)pointer);
}

void fd_close_cleanup(const int *fd) {
    int saved = errno;

    if (*fd >= 0)
        (void)close(*fd);
    errno = saved;
}

int fd_take(int *fd) {
    int taken = *fd;

    *fd = -1;
    return taken;
}

void mem_abandon(const void *memory) {
#ifdef CHECKS_LEAKS
    __lsan_ignore_object(memory);
#else
    (void)memory;
#endif
}
