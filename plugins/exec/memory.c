#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *memory) {
    if (memory)
        return memory;
    (void)fputs("exec: out of memory\n", stderr);
    abort();
}

void *memory_grown(void *items, size_t count, size_t size) {
    char *grown = checked(reallocarray(items, count + 1, size));

    memset(grown + count * size, 0, size);
    return grown;
}

char *memory_copied(const char *text, size_t len) {
    return checked(strndup(text, len));
}
