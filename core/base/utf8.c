#include "base/utf8.h"

#include "base/mem.h"

/* Length of the character at the front; 0: it is none (Unicode 15, table 3-7). */
static size_t character(const unsigned char *at, size_t left) {
    unsigned char lead = at[0];
    size_t len = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;

    if (len < 2 || len > left)
        return len > left ? 0 : len;
    unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

bool utf8_is_valid(struct span text) {
    for (size_t at = 0; at < text.len;) {
        size_t len = character((const unsigned char *)text.data + at, text.len - at);
        if (len == 0)
            return false;
        at += len;
    }
    return true;
}

char *utf8_clean(struct span text, size_t *ret_len) {
    static const char replacement[] = "\xEF\xBF\xBD";
    char *clean = try_malloc(3 * text.len + 1);
    size_t out = 0;

    for (size_t at = 0; clean && at < text.len;) {
        size_t len = character((const unsigned char *)text.data + at, text.len - at);
        memcpy(clean + out, len ? text.data + at : replacement, len ? len : 3);
        out += len ? len : 3;
        at += len ? len : 1;
    }
    if (clean)
        clean[out] = '\0';
    *ret_len = out;
    return clean;
}

void utf8_mend(char *text) {
    size_t end = strlen(text);

    for (size_t at = 0; at < end;) {
        size_t len = character((const unsigned char *)text + at, end - at);
        if (len == 0)
            text[at] = '?';
        at += len ? len : 1;
    }
}
