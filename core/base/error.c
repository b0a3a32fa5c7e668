#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Cuts a message that did not fit at a character's border, so that it stays valid UTF-8. */
static void cut_at_character(char *message) {
    size_t end = strlen(message);
    size_t start = end;

    while (start > 0 && ((unsigned char)message[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)message[start - 1];
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (end - (start - 1) < need)
        message[start - 1] = '\0';
}

static void write_message(struct theseus_error *err, enum errc code, const char *text) {
    err->code = (int)code;
    size_t len = strnlen(text, sizeof(err->message) - 1); /* what is longer is cut */
    memcpy(err->message, text, len);
    err->message[len] = '\0';
    cut_at_character(err->message);
    utf8_mend(err->message); /* what was put in may be any bytes, or cut inside a character by its precision */
}

int fail(struct theseus_error *err, enum errc code, const char *format, ...) {
    char text[sizeof(err->message)];
    va_list args;

    if (!err || err->code != ERR_UNSET)
        return -1;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    write_message(err, code, text);
    return -1;
}

int fail_errno(struct theseus_error *err, const char *format, ...) {
    int saved = errno;
    char text[sizeof(err->message)];
    char all[2 * sizeof(err->message)];
    va_list args;

    if (!err || err->code != ERR_UNSET)
        return -1;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)snprintf(all, sizeof(all), "%s: %s", text, strerrordesc_np(saved));
    write_message(err, saved == ENOMEM ? ERR_MEMORY : ERR_SYSTEM, all);
    errno = saved;
    return -1;
}

int error_prefix(struct theseus_error *err, const char *format, ...) {
    char text[sizeof(err->message)];
    char all[2 * sizeof(err->message)];
    va_list args;

    if (!err)
        return -1;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)snprintf(all, sizeof(all), "%s%s", text, err->message);
    write_message(err, (enum errc)err->code, all);
    return -1;
}
