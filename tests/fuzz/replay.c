/*
 * Runs a fuzz target without a fuzzer, over the files named and everything in the directories named:
 *
 *     replay [-v] PATH...
 *
 * Each file is fed as it is, then cut at every power of two, then with bytes changed by a generator that is seeded from
 * the content alone: the same inputs on every run and every machine. An input lies in memory of exactly its size, so
 * that a sanitizer sees a read beyond it. A failure ends the process on the spot; -v prints each input before it is
 * fed.
 */
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"

enum {
    VARIANTS_PER_FILE = 200,
    CHANGES_PER_VARIANT = 4,
    FILE_BYTES = 64 << 20,
    OPEN_DIRECTORIES = 16,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static bool verbose;
static size_t files, inputs;

static void feed(const char *path, const char *what, size_t number, struct span input) {
    uint8_t *exact = try_malloc(input.len);

    if (!exact) {
        (void)fprintf(stderr, "replay: no memory for %zu bytes of '%s'\n", input.len, path);
        exit(1);
    }
    if (input.len)
        memcpy(exact, input.data, input.len);
    if (verbose) {
        (void)printf("%s %s %zu\n", path, what, number);
        (void)fflush(stdout);
    }
    (void)LLVMFuzzerTestOneInput(exact, input.len);
    free(exact);
    inputs++;
}

static size_t feed_cut(const char *path, struct span content) {
    size_t count = 0;

    for (size_t len = 1; len < content.len; len *= 2, count++)
        feed(path, "cut to", len, (struct span){content.data, len});
    return count;
}

/* xorshift64*: short, and the same everywhere. */
static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t seed_of(struct span content) {
    uint64_t seed = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    for (size_t i = 0; i < content.len; i++)
        seed = (seed ^ (unsigned char)content.data[i]) * UINT64_C(0x100000001b3);
    return seed ? seed : 1;
}

static void change(char *data, size_t size, uint64_t *seed) {
    static const char telling[] = "{}[]\",:\\/\n\r;#= -+.eE09\xff\x80";
    char *at = &data[next_random(seed) % size];

    switch (next_random(seed) % 3) {
    case 0:
        *at = (char)(*at ^ (1 << (next_random(seed) % 8)));
        break;
    case 1:
        *at = telling[next_random(seed) % sizeof(telling)]; /* the NUL too */
        break;
    default:
        *at = data[next_random(seed) % size];
    }
}

static void feed_changed(const char *path, struct span content, size_t count) {
    CLEANUP(free) char *changed = xcalloc(content.len, 1);
    uint64_t seed = seed_of(content);

    for (size_t i = 0; i < count; i++) {
        memcpy(changed, content.data, content.len);
        for (uint64_t changes = 1 + next_random(&seed) % CHANGES_PER_VARIANT; changes > 0; changes--)
            change(changed, content.len, &seed);
        feed(path, "changed", i, (struct span){changed, content.len});
    }
}

static void replay_file(const char *path) {
    CLEANUP(buf_fini) struct buf content = {0};
    struct theseus_error err = {0};

    if (fs_read_file(path, FILE_BYTES, &content, &err) < 0) {
        (void)fprintf(stderr, "replay: %s\n", err.message);
        exit(1);
    }
    files++;
    feed(path, "whole", 0, buf_span(&content));
    if (content.len > 0)
        feed_changed(path, buf_span(&content), VARIANTS_PER_FILE - feed_cut(path, buf_span(&content)));
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)ftw;
    if (type == FTW_F)
        replay_file(path);
    return type == FTW_DNR || type == FTW_NS ? -1 : 0;
}

int main(int argc, char **argv) {
    if (LLVMFuzzerInitialize)
        (void)LLVMFuzzerInitialize(&argc, &argv);
    int first = argc > 1 && strcmp(argv[1], "-v") == 0 ? 2 : 1;
    verbose = first == 2;
    for (int i = first; i < argc; i++) {
        if (nftw(argv[i], visit, OPEN_DIRECTORIES, FTW_PHYS) < 0) {
            (void)fprintf(stderr, "replay: cannot read all of '%s'\n", argv[i]);
            return 1;
        }
    }
    if (!files) {
        (void)fprintf(stderr, "replay: no input: %s [-v] FILE-OR-DIRECTORY...\n", argv[0]);
        return 2;
    }
    (void)printf("%s: %zu files, %zu inputs replayed\n", path_base(argv[0]), files, inputs);
    return 0;
}
