#include "plugin/backtrace.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "plugin/elfsym.h"

enum { HASH_DIGITS = HASH_TEXT_BYTES - 1 };

/* Does ".GENERATION.HASH.so", or the same with one more number, stand here? */
static bool is_copy_end(const char *at) {
    size_t digits = *at == '.' ? strspn(at + 1, "0123456789") : 0;
    const char *hash = at + 1 + digits;

    return digits > 0 && *hash == '.' && strspn(hash + 1, "0123456789abcdef") == HASH_DIGITS &&
           hash[1 + HASH_DIGITS] == '.';
}

char *backtrace_module_name(const char *path) {
    const char *base = path_base(path);
    char *name;
    size_t len;

    for (const char *at = strchr(base, '.'); at; at = strchr(at + 1, '.'))
        if (is_copy_end(at))
            return xasprintf("%.*s.so", (int)(at - base), base);
    name = utf8_clean(span_of(base), &len);
    return name ? name : xstrdup("?");
}

/* ---- which module ---- */

static const struct crash_module *module_at(const struct crash_note *note, uint64_t address) {
    for (uint32_t i = 0; i < note->module_count && i < CRASH_MODULES_MAX; i++)
        if (address >= note->modules[i].base && address < note->modules[i].end)
            return &note->modules[i];
    return NULL;
}

/* Addresses but the first are those to return to: they may be another function's first, and what was called is before.
 */
static json_t *frame_new(const struct crash_note *note, uint32_t index) {
    const uint64_t address = note->frames[index];
    const int back = index > 0;
    const struct crash_module *module = module_at(note, address - (uint64_t)back);
    json_t *frame = NULL;

    if (module)
        frame = json_pack("{s:s, s:I, s:i}", "path", module->path, "offset", (json_int_t)(address - module->base),
                          "back", back);
    return frame ? frame : json_sprintf("0x%" PRIx64, address); /* a path that is no UTF-8 cannot be kept */
}

json_t *backtrace_new(const struct crash_note *note) {
    json_t *frames = json_array();

    for (uint32_t i = 0; i < note->frame_count && i < CRASH_FRAMES_MAX && (i == 0 || note->frames[i]); i++)
        (void)json_array_append_new(frames, frame_new(note, i));
    return frames;
}

/* ---- what it is called ---- */

/* The process of an isolated plugin may have said any path: of what is no file, not even the opening is safe. */
static int open_module(const char *path) {
    struct stat status;

    if (stat(path, &status) < 0 || !S_ISREG(status.st_mode))
        return -1;
    return open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static json_t *words_new(const json_t *frame) {
    const char *path = json_string_value(json_object_get(frame, "path"));
    const uint64_t offset = (uint64_t)json_integer_value(json_object_get(frame, "offset"));
    const uint64_t back = (uint64_t)json_integer_value(json_object_get(frame, "back"));
    char name[ELFSYM_NAME_BYTES];
    uint64_t into = 0;

    if (!path)
        return json_incref((json_t *)(uintptr_t)frame); /* words already */
    CLEANUP(free) char *module = backtrace_module_name(path);
    CLEANUP(fd_close) int fd = open_module(path);
    if (fd >= 0 && elfsym_find(fd, path, offset - back, name, &into, NULL) == 0)
        return json_sprintf("%s+0x%" PRIx64 ": %s+0x%" PRIx64, module, offset - back, name, into);
    return json_sprintf("%s+0x%" PRIx64, module, offset - back);
}

/* With whose way it is before it, and the process before each line: servers may share a log. */
static void tell(const json_t *error, const json_t *frames) {
    const char *message = json_string_value(json_object_get(error, "message"));
    const json_t *frame;
    size_t i;

    log_error("[%d] the way to the crash, innermost first (" BACKTRACE_HINT "): %s", (int)getpid(),
              message ? message : "");
    json_array_foreach (frames, i, frame)
        log_error("[%d]   #%zu %s", (int)getpid(), i, json_string_value(frame));
}

void backtrace_name(json_t *frames) {
    json_t *frame;
    size_t k;

    json_array_foreach (frames, k, frame)
        (void)json_array_set_new(frames, k, words_new(frame));
}

void backtrace_resolve(json_t *errors) {
    json_t *error;
    size_t i;

    json_array_foreach (errors, i, error) {
        json_t *frames = json_object_get(error, "backtrace");
        backtrace_name(frames);
        if (json_array_size(frames) > 0)
            tell(error, frames);
    }
}
