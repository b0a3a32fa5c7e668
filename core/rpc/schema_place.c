#include "rpc/schema_place.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { STEP_BYTES = 48 };

static const char ellipsis[] = "\xe2\x80\xa6";

size_t place_printable(char *out, size_t max, const char *text, size_t len) {
    size_t kept = len <= max ? len : max;

    while (kept < len && kept > 0 && ((unsigned char)text[kept] & 0xC0) == 0x80)
        kept--;
    for (size_t i = 0; i < kept; i++)
        out[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7F ? '?' : text[i];
    if (kept < len) {
        memcpy(out + kept, ellipsis, sizeof(ellipsis) - 1);
        return kept + sizeof(ellipsis) - 1;
    }
    return kept;
}

/* One step with its slash, in the escapes of JSON pointers. `out` has room for 2 * (STEP_BYTES + 4) bytes. */
static size_t write_step(char *out, const struct place *place) {
    char key[STEP_BYTES + 4];
    size_t used = 0;

    if (!place->key)
        return (size_t)snprintf(out, STEP_BYTES, "/%zu", place->index);
    size_t len = place_printable(key, STEP_BYTES, place->key, place->key_len);
    out[used++] = '/';
    for (size_t i = 0; i < len; i++) {
        bool escaped = key[i] == '/' || key[i] == '~';
        if (escaped)
            out[used++] = '~';
        out[used++] = escaped ? (key[i] == '/' ? '1' : '0') : key[i];
    }
    return used;
}

const char *place_text(const struct place *place, const char *root, char text[static PLACE_TEXT_BYTES]) {
    char step[2 * (STEP_BYTES + 4)];
    size_t start = PLACE_TEXT_BYTES - 1;

    if (!place || !place->up)
        return root;
    text[start] = '\0';
    for (; place->up; place = place->up) {
        size_t len = write_step(step, place);
        if (len + sizeof(ellipsis) > start) {
            start -= sizeof(ellipsis) - 1;
            memcpy(text + start, ellipsis, sizeof(ellipsis) - 1);
            break;
        }
        start -= len;
        memcpy(text + start, step, len);
    }
    return text + start;
}
