#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void *need(void *memory) {
    if (memory)
        return memory;
    (void)fputs("theseus: out of memory\n", stderr);
    abort();
}

void *xcalloc(size_t count, size_t size) {
    return need(calloc(count ? count : 1, size ? size : 1));
}

void *xreallocarray(void *memory, size_t count, size_t size) {
    return need(reallocarray(memory, count ? count : 1, size ? size : 1));
}

char *xstrdup(const char *text) {
    return need(strdup(text));
}

char *xstrndup(const char *text, size_t len) {
    return need(strndup(len ? text : "", len)); /* an empty span has no data */
}

char *xvasprintf(const char *format, va_list args) {
    char *text = NULL;

    return vasprintf(&text, format, args) < 0 ? need(NULL) : text;
}

char *xasprintf(const char *format, ...) {
    va_list args;

    va_start(args, format);
    char *text = xvasprintf(format, args);
    va_end(args);
    return text;
}

void *try_malloc(size_t size) {
    return malloc(size ? size : 1);
}

void *try_realloc(void *memory, size_t size) {
    return realloc(memory, size ? size : 1);
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
