/* The reader of the configuration: any bytes are a configuration or are refused with a reason, and never differ from
 * themselves. */
#include <stdint.h>
#include <stdlib.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void no_change(void *arg, const char *name, bool in_place) {
    (void)arg, (void)name, (void)in_place;
    abort();
}

static void note(void *arg, const char *file, int line, const char *text) {
    if (!*file || line < 0 || !*text)
        abort();
    ++*(size_t *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct config_source source = {.path = "/etc/theseus/theseus.ini",
                                         .text = {data ? (const char *)data : "", size}};
    CLEANUP(config_free) struct config *first = NULL;
    CLEANUP(config_free) struct config *second = NULL;
    struct theseus_error err = {0};
    size_t problems = 0;
    int r = config_load(&first, &source, note, &problems, &err);

    if ((r < 0) != (problems > 0) || (r < 0) != (err.code != 0) || (r < 0) != !first)
        abort();
    if (r < 0)
        return 0;
    if (config_load(&second, &source, NULL, NULL, &err) < 0)
        abort();
    config_diff(first, second, no_change, NULL);
    return 0;
}
