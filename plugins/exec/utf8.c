#include "utf8.h"

#include <stdint.h>
#include <string.h>

static bool continues(char byte) {
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* How long a character with this first byte is; 0: none begins with it. */
static size_t announced(unsigned char first) {
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

size_t utf8_character(const char *bytes, size_t len) {
    unsigned char first = len ? (unsigned char)bytes[0] : 0, second = len > 1 ? (unsigned char)bytes[1] : 0;
    size_t size = announced(first);

    if (first == 0 || size == 0 || size > len)
        return 0;
    for (size_t i = 1; i < size; i++)
        if (!continues(bytes[i]))
            return 0;
    /* longer than needed, a surrogate, beyond the last character */
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
        (first == 0xf4 && second > 0x8f))
        return 0;
    return size;
}

void utf8_add(struct text *text, const char *bytes, size_t len, size_t max) {
    size_t at = 0;

    while (at < len && max > 0) {
        size_t whole = 0, size;
        while (max > 0 && (size = utf8_character(bytes + at + whole, len - at - whole)) > 0) {
            whole += size;
            max--;
        }
        text_add(text, bytes + at, whole);
        at += whole;
        if (at >= len || max == 0)
            return;
        text_add(text, "\xef\xbf\xbd", 3);
        max--;
        at++;
    }
}

size_t utf8_cut_end(const char *bytes, size_t len) {
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        char byte = bytes[len - back];
        if (!continues(byte))
            return announced((unsigned char)byte) > back ? back : 0;
    }
    return 0;
}

size_t utf8_cut_front(const char *bytes, size_t len) {
    size_t count = 0;

    while (count < 3 && count < len && continues(bytes[count]))
        count++;
    return count;
}
