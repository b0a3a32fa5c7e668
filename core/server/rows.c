#include "server/rows.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { INDENT = 2, LEFT = 15, WIDTH = 80 };

/* Also the control characters of Latin-1, which UTF-8 begins with 0xC2. */
static void disarm(char *text) {
    for (unsigned char *at = (unsigned char *)text; *at; at++) {
        if (*at < 0x20 || *at == 0x7f)
            *at = '?';
        else if (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
            at[0] = at[1] = '?';
    }
}

/* Characters, not bytes. */
static size_t width_of(const char *text, size_t len) {
    size_t width = 0;

    for (size_t i = 0; i < len; i++)
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    return width;
}

static void wrap(FILE *out, const char *text) {
    size_t used = 0, room = WIDTH - INDENT - LEFT;

    for (const char *at = text; *at;) {
        size_t len = strcspn(at, " "), width = width_of(at, len);
        if (used > 0 && used + 1 + width > room) {
            (void)fprintf(out, "\n%*s", INDENT + LEFT, "");
            used = 0;
        }
        (void)fprintf(out, "%s%.*s", used > 0 ? " " : "", (int)len, at);
        used += width + (used > 0);
        at += len + strspn(at + len, " ");
    }
    (void)fputc('\n', out);
}

void rows_print(FILE *out, const char *label, const char *format, ...) {
    va_list args;

    va_start(args, format);
    CLEANUP(free) char *text = xvasprintf(format, args);
    va_end(args);
    CLEANUP(free) char *left = xstrdup(label ? label : "");
    disarm(text);
    disarm(left);
    (void)fprintf(out, "%*s%-*s", INDENT, "", LEFT, left);
    if (strlen(left) >= LEFT)
        (void)fprintf(out, "\n%*s", INDENT + LEFT, "");
    wrap(out, text);
}
