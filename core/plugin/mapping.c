#include "plugin/mapping.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/modules.h"

/* The dynamic linker's sentences, where ours can say more. `text` is its own word, without the path in front. */
static int fail_linker(const char *text, struct theseus_error *err) {
    static const char undefined[] = "undefined symbol: ";
    static const char no_file[] = ": cannot open shared object file";
    const char *symbol = strstr(text, undefined);
    const char *missing = strstr(text, no_file);

    if (symbol) {
        symbol += sizeof(undefined) - 1;
        return fail(err, ERR_INVALID, "has the undefined symbol '%.*s'; link the library or the file that defines it",
                    (int)strcspn(symbol, ", "), symbol);
    }
    if (missing)
        return fail(err, ERR_MISSING, "needs the library '%.*s', which is not found; install it, or link it statically",
                    (int)(missing - text), text);
    if (strstr(text, "static TLS block"))
        return fail(err, ERR_LIMIT,
                    "finds no room for its thread-local storage: older copies are still mapped; a "
                    "restart of the server makes room");
    if (strstr(text, "version `"))
        return fail(err, ERR_INVALID, "was linked on a newer system than this; build it here: %s", text);
    return fail(err, ERR_INVALID, "cannot be loaded: %s", text);
}

static int fail_open(const char *path, struct theseus_error *err) {
    const char *text = dlerror();
    size_t len = strlen(path);

    if (!text)
        text = "the dynamic linker gave no reason";
    if (strncmp(text, path, len) == 0 && text[len] == ':')
        text += len + strspn(text + len, ": ");
    return fail_linker(text, err);
}

/* Where do the segments of our handle lie? 1 ends the search. */
static int find_range(struct dl_phdr_info *info, size_t size, void *arg) {
    struct mapping *mapping = arg;
    struct link_map *map;

    (void)size;
    if (dlinfo(mapping->handle, RTLD_DI_LINKMAP, &map) != 0 || map->l_addr != info->dlpi_addr ||
        strcmp(map->l_name, info->dlpi_name) != 0)
        return 0;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        const char *start = (const char *)(info->dlpi_addr + segment->p_vaddr);
        if (segment->p_type != PT_LOAD)
            continue;
        if (!mapping->start || start < mapping->start)
            mapping->start = start;
        if (start + segment->p_memsz > mapping->end)
            mapping->end = start + segment->p_memsz;
    }
    return 1;
}

/* Asking takes a reference and gives it back, which collects what was kept by something that has gone since. */
static bool is_open(const char *path) {
    void *handle = dlopen(path, RTLD_NOW | RTLD_NOLOAD);

    if (handle)
        (void)dlclose(handle);
    return handle != NULL;
}

int mapping_open(struct mapping *mapping, const char *path, struct theseus_error *err) {
    if (is_open(path))
        return fail(err, ERR_INTERNAL, "is already mapped under the name '%s'", path);
    (void)dlerror(); /* that there was none is no error of the next call */
    mapping->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!mapping->handle)
        return fail_open(path, err);
    (void)dl_iterate_phdr(find_range, mapping);
    modules_refresh();
    return 0;
}

/* Is any part of the file mapped? Its name is unique to it; the directory may be written another way. */
static bool is_mapped(const char *path) {
    FILE *maps = fopen("/proc/self/maps", "re");
    const char *base = path_base(path);
    size_t len = strlen(base), size = 0;
    CLEANUP(free) char *line = NULL;
    bool found = false;

    while (maps && !found && getline(&line, &size, maps) > 0) {
        const char *name = path_base(line);
        found = name != line && strncmp(name, base, len) == 0 && (name[len] == '\n' || name[len] == ' ');
    }
    if (maps)
        (void)fclose(maps);
    return found;
}

int mapping_close(struct mapping *mapping, const char *path) {
    if (mapping->handle)
        (void)dlclose(TAKE_PTR(mapping->handle));
    modules_refresh();
    if ((is_open(path) && is_open(path)) || is_mapped(path))
        return MAPPING_PINNED;
    mapping->start = mapping->end = NULL;
    return MAPPING_GONE;
}

const void *mapping_object(const struct mapping *mapping, const char *name, size_t *ret_size) {
    const void *object = dlsym(mapping->handle, name);
    const ElfW(Sym) *symbol = NULL;
    Dl_info info;

    if (!object || !mapping_contains(mapping, object))
        return NULL;
    if (!dladdr1(object, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol || info.dli_saddr != object ||
        ELF64_ST_TYPE(symbol->st_info) != STT_OBJECT)
        return NULL;
    *ret_size = (size_t)symbol->st_size;
    return object;
}

bool mapping_contains(const struct mapping *mapping, const void *address) {
    const char *at = address;

    return mapping->start && at >= mapping->start && at < mapping->end;
}
