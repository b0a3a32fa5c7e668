/* A schema and a value, divided by the first NUL byte: whatever they are, compiling and checking come to an end. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "rpc/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *load_new(const uint8_t *text, size_t len) {
    return json_loadb((const char *)text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
}

static void check_both(const json_t *document, const json_t *value, bool lenient) {
    const struct schema_remote remote = {.uri = "http://localhost/value", .document = value};
    const struct schema_options options = {.remotes = &remote, .remote_count = 1, .lenient = lenient};
    CLEANUP(schema_free) struct schema *schema = NULL;
    struct theseus_error err = {0};

    if (schema_new_with_options(&schema, document, &options, &err) == 0 && schema_check(schema, value, &err) < 0 &&
        err.code == ERR_UNSET)
        abort(); /* refused without a reason */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *nul = size ? memchr(data, '\0', size) : NULL;

    if (!nul)
        return 0;
    size_t len = (size_t)(nul - data);
    json_auto_t *document = load_new(data, len);
    json_auto_t *value = load_new(nul + 1, size - len - 1);
    if (document && value) {
        check_both(document, value, false);
        check_both(document, value, true);
    }
    return 0;
}
