/* Any bytes at all, read and written by us and by jansson: a difference that is not meant ends the run. */
#include <stdint.h>
#include <stdio.h>

#include "../unit/rpc/jsontext_difference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *what = jsontext_difference((struct span){(const char *)data, size});

    if (what) {
        (void)fprintf(stderr, "json: %s\n", what);
        abort();
    }
    return 0;
}
