#include "base/modules.h"

#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct table {
    struct module modules[MODULES_MAX];
    int count;
};

/* One is looked at while the other is made. */
static struct table tables[2];
static _Atomic(struct table *) current = &tables[0];
static atomic_bool frozen;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of making one */

static struct table *other_table(void) {
    return atomic_load(&current) == &tables[0] ? &tables[1] : &tables[0];
}

static void copy_end(char *to, size_t size, const char *from) {
    size_t len = strlen(from), skip = len < size ? 0 : len - size + 1;

    memcpy(to, from + skip, len - skip + 1);
}

static const struct module *find_in(const struct table *table, uint64_t address) {
    for (int i = 0; i < table->count; i++)
        if (address >= table->modules[i].base && address < table->modules[i].end)
            return &table->modules[i];
    return NULL;
}

static void find_range(const struct dl_phdr_info *info, struct module *module) {
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type != PT_LOAD)
            continue;
        if (module->end == 0 || start < module->base)
            module->base = start;
        if (start + segment->p_memsz > module->end)
            module->end = start + segment->p_memsz;
    }
}

/* The first one is the program, which the linker gives no name. */
static void find_path(const struct dl_phdr_info *info, struct module *module) {
    char program[PATH_MAX];
    ssize_t len = 0;

    if (info->dlpi_name && *info->dlpi_name) {
        copy_end(module->path, sizeof(module->path), info->dlpi_name);
        return;
    }
    len = readlink("/proc/self/exe", program, sizeof(program) - 1);
    program[len > 0 ? len : 0] = '\0';
    copy_end(module->path, sizeof(module->path), program);
}

/* What was said of it before is still so. */
static void keep_names(struct module *module) {
    const struct module *before = find_in(atomic_load(&current), module->base);

    if (!before || strcmp(before->path, module->path) != 0)
        return;
    memcpy(module->plugin, before->plugin, sizeof(module->plugin));
    memcpy(module->version, before->version, sizeof(module->version));
    memcpy(module->hash, before->hash, sizeof(module->hash));
}

static int add(struct dl_phdr_info *info, size_t size, void *arg) {
    struct table *table = arg;

    (void)size;
    if (table->count == MODULES_MAX)
        return 1;
    struct module *module = &table->modules[table->count++];
    *module = (struct module){0};
    find_range(info, module);
    find_path(info, module);
    keep_names(module);
    return 0;
}

static void publish(struct table *table) {
    if (!atomic_load(&frozen))
        atomic_store(&current, table);
}

void modules_refresh(void) {
    (void)pthread_mutex_lock(&lock);
    struct table *next = other_table();
    if (!atomic_load(&frozen)) {
        next->count = 0;
        (void)dl_iterate_phdr(add, next);
        publish(next);
    }
    (void)pthread_mutex_unlock(&lock);
}

void modules_name(const void *address, const char *plugin, const char *version, const char *hash) {
    (void)pthread_mutex_lock(&lock);
    struct table *next = other_table();
    if (!atomic_load(&frozen)) {
        const struct table *before = atomic_load(&current);
        memcpy(next->modules, before->modules, (size_t)before->count * sizeof(struct module));
        next->count = before->count;
        struct module *module = (struct module *)find_in(next, (uint64_t)(uintptr_t)address);
        if (module) {
            (void)snprintf(module->plugin, sizeof(module->plugin), "%s", plugin);
            (void)snprintf(module->version, sizeof(module->version), "%s", version);
            (void)snprintf(module->hash, sizeof(module->hash), "%s", hash);
        }
        publish(next);
    }
    (void)pthread_mutex_unlock(&lock);
}

void modules_freeze(void) {
    atomic_store(&frozen, true);
}

const struct module *modules_find(uint64_t address) {
    return find_in(atomic_load(&current), address);
}
