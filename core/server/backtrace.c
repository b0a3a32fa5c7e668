#include "server/backtrace.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "plugin/elfsym.h"

enum { HASH_DIGITS = HASH_TEXT_BYTES - 1 };

const struct crash_module *backtrace_module(const struct crash_note *note, uint64_t address) {
    for (uint32_t i = 0; i < note->module_count && i < CRASH_MODULES_MAX; i++)
        if (address >= note->modules[i].base && address < note->modules[i].end)
            return &note->modules[i];
    return NULL;
}

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

/* Addresses but the first are those to return to, which may be another function's first. */
static json_t *frame_new(const struct crash_note *note, uint32_t index) {
    const uint64_t address = note->frames[index];
    const uint64_t inside = index > 0 && address > 0 ? address - 1 : address;
    const struct crash_module *module = backtrace_module(note, inside);
    char name[ELFSYM_NAME_BYTES];
    uint64_t into = 0;

    if (!module)
        return json_sprintf("0x%" PRIx64, address);
    CLEANUP(free) char *module_name = backtrace_module_name(module->path);
    CLEANUP(fd_close) int fd = open(module->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && elfsym_find(fd, module->path, inside - module->base, name, &into, NULL) == 0)
        return json_sprintf("%s: %s+0x%" PRIx64, module_name, name, into + (address - inside));
    return json_sprintf("%s+0x%" PRIx64, module_name, address - module->base);
}

json_t *backtrace_new(const struct crash_note *note) {
    json_t *lines = json_array();

    for (uint32_t i = 0; i < note->frame_count && i < CRASH_FRAMES_MAX; i++)
        (void)json_array_append_new(lines, frame_new(note, i));
    return lines;
}
