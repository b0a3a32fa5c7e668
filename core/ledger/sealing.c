#include "ledger/sealing.h"

_Static_assert(sizeof(SONAME_SODIUM) > 1 && sizeof(SONAME_ZSTD) > 1, "the Makefile did not find these libraries");

struct sodium_functions sodium;
struct zstd_functions zstd;

int sealing_open_sodium(struct theseus_error *err) {
    static const char *const names[] = {SODIUM_FUNCTIONS(LIBRARY_NAME) NULL};
    static struct library library = LIBRARY_INIT(SONAME_SODIUM, names, &sodium);

    return library_open(&library, err);
}

int sealing_open_zstd(struct theseus_error *err) {
    static const char *const names[] = {ZSTD_FUNCTIONS(LIBRARY_NAME) NULL};
    static struct library library = LIBRARY_INIT(SONAME_ZSTD, names, &zstd);

    return library_open(&library, err);
}
