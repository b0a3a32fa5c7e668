/*
 * Every number in the file is held against its size before it is used, and what does not fit is no symbol: this looks
 * at the file of a plugin that has just crashed, which may be anything.
 */
#include "plugin/elfsym.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { SYMBOLS_MAX = 1 << 20, SYMBOLS_AT_ONCE = 256, SECTIONS_MAX = 65536, SEGMENTS_MAX = 4096 };

struct object {
    int fd;
    const char *file;
    uint64_t size;
    ElfW(Ehdr) header;
    uint64_t bias; /* of an offset in the mapping, to the addresses that the symbols have */
};

struct table {
    ElfW(Shdr) symbols, strings;
};

/* What covers the address best so far. */
struct found {
    ElfW(Sym) symbol;
    bool any;
};

static bool within(const struct object *object, uint64_t at, uint64_t len) {
    return at <= object->size && len <= object->size - at;
}

static int fail_damaged(const struct object *object, struct theseus_error *err) {
    return fail(err, ERR_INVALID, "'%s' is damaged, or no ELF file", object->file);
}

static int read_at(const struct object *object, uint64_t at, void *bytes, size_t len, struct theseus_error *err) {
    if (!within(object, at, len) || pread(object->fd, bytes, len, (off_t)at) != (ssize_t)len)
        return fail_damaged(object, err);
    return 0;
}

static int open_object(struct object *object, struct theseus_error *err) {
    const ElfW(Ehdr) *header = &object->header;
    struct stat st;

    if (fstat(object->fd, &st) < 0)
        return fail_errno(err, "cannot examine '%s'", object->file);
    object->size = st.st_size < 0 ? 0 : (uint64_t)st.st_size;
    if (read_at(object, 0, &object->header, sizeof(object->header), err) < 0)
        return -1;
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) ||
        header->e_phentsize != sizeof(ElfW(Phdr)) || header->e_phnum > SEGMENTS_MAX)
        return fail_damaged(object, err);
    return 0;
}

/* The mapping begins with the page of the first segment that is loaded. */
static int find_bias(struct object *object, struct theseus_error *err) {
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    ElfW(Phdr) segment;

    for (unsigned i = 0; i < object->header.e_phnum; i++) {
        if (object->header.e_phoff > object->size ||
            read_at(object, object->header.e_phoff + (uint64_t)i * sizeof(segment), &segment, sizeof(segment), err) < 0)
            return -1;
        if (segment.p_type != PT_LOAD)
            continue;
        object->bias = segment.p_vaddr / page * page;
        return 0;
    }
    return fail_damaged(object, err);
}

static int read_section(const struct object *object, unsigned index, ElfW(Shdr) * ret_section,
                        struct theseus_error *err) {
    if (object->header.e_shoff > object->size)
        return fail_damaged(object, err);
    return read_at(object, object->header.e_shoff + (uint64_t)index * sizeof(*ret_section), ret_section,
                   sizeof(*ret_section), err);
}

static bool is_better(const ElfW(Shdr) * section, const struct table *table) {
    return section->sh_type == SHT_SYMTAB || (section->sh_type == SHT_DYNSYM && table->symbols.sh_type != SHT_SYMTAB);
}

/* The full table has the static functions, too; it is the first thing that strip takes away. */
static int find_table(const struct object *object, struct table *table, struct theseus_error *err) {
    const ElfW(Ehdr) *header = &object->header;
    ElfW(Shdr) section;

    if (header->e_shoff == 0 || header->e_shnum == 0)
        return ELFSYM_NONE;
    if (header->e_shentsize != sizeof(section))
        return fail_damaged(object, err);
    for (unsigned i = 0; i < header->e_shnum; i++) {
        if (read_section(object, i, &section, err) < 0)
            return -1;
        if (is_better(&section, table))
            table->symbols = section;
    }
    if (table->symbols.sh_type == SHT_NULL)
        return ELFSYM_NONE;
    if (table->symbols.sh_entsize != sizeof(ElfW(Sym)) || table->symbols.sh_link >= header->e_shnum ||
        !within(object, table->symbols.sh_offset, table->symbols.sh_size))
        return fail_damaged(object, err);
    return read_section(object, table->symbols.sh_link, &table->strings, err);
}

static bool covers(const ElfW(Sym) * symbol, uint64_t address) {
    const unsigned type = symbol->st_info & 0xf; /* ELF64_ST_TYPE, which is the same for both sizes */

    if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol->st_shndx == SHN_UNDEF || symbol->st_value > address)
        return false;
    return symbol->st_size == 0 || address - symbol->st_value < symbol->st_size;
}

/* The one that begins last is the innermost; one that knows its size knows better. */
static void consider(struct found *found, const ElfW(Sym) * symbol, uint64_t address) {
    const ElfW(Sym) *best = &found->symbol;

    if (!covers(symbol, address))
        return;
    if (found->any && (symbol->st_value < best->st_value ||
                       (symbol->st_value == best->st_value && (symbol->st_size == 0 || best->st_size > 0))))
        return;
    found->any = true;
    found->symbol = *symbol;
}

static int search(const struct object *object, const struct table *table, uint64_t address, struct found *found,
                  struct theseus_error *err) {
    ElfW(Sym) symbols[SYMBOLS_AT_ONCE];
    uint64_t count = table->symbols.sh_size / sizeof(*symbols);

    if (count > SYMBOLS_MAX)
        return fail_damaged(object, err);
    for (uint64_t i = 0; i < count;) {
        const uint64_t n = count - i < SYMBOLS_AT_ONCE ? count - i : SYMBOLS_AT_ONCE;
        if (read_at(object, table->symbols.sh_offset + i * sizeof(*symbols), symbols, n * sizeof(*symbols), err) < 0)
            return -1;
        for (uint64_t k = 0; k < n; k++)
            consider(found, &symbols[k], address);
        i += n;
    }
    return found->any ? 0 : ELFSYM_NONE;
}

/* One that does not know its size ends with its section at the latest. */
static int check_end(const struct object *object, const ElfW(Sym) * symbol, uint64_t address,
                     struct theseus_error *err) {
    ElfW(Shdr) section;

    if (symbol->st_size > 0)
        return 0;
    if (symbol->st_shndx >= object->header.e_shnum)
        return ELFSYM_NONE;
    if (read_section(object, symbol->st_shndx, &section, err) < 0)
        return -1;
    return address >= section.sh_addr && address - section.sh_addr < section.sh_size ? 0 : ELFSYM_NONE;
}

static int read_name(const struct object *object, const struct table *table, uint64_t at,
                     char name[static ELFSYM_NAME_BYTES], struct theseus_error *err) {
    const ElfW(Shdr) *strings = &table->strings;

    if (at >= strings->sh_size || !within(object, strings->sh_offset, strings->sh_size))
        return fail_damaged(object, err);
    const uint64_t left = strings->sh_size - at;
    const size_t len = left < ELFSYM_NAME_BYTES - 1 ? (size_t)left : ELFSYM_NAME_BYTES - 1;
    if (read_at(object, strings->sh_offset + at, name, len, err) < 0)
        return -1;
    name[len] = '\0'; /* a longer name is cut */
    for (const char *c = name; *c; c++)
        if (*c <= ' ' || *c > '~')
            return fail_damaged(object, err);
    return *name ? 0 : ELFSYM_NONE;
}

int elfsym_find(int fd, const char *file, uint64_t offset, char name[static ELFSYM_NAME_BYTES], uint64_t *ret_into,
                struct theseus_error *err) {
    struct object object = {.fd = fd, .file = file};
    struct table table = {0};
    struct found found = {0};
    int r;

    if (open_object(&object, err) < 0 || find_bias(&object, err) < 0)
        return -1;
    if ((r = find_table(&object, &table, err)) != 0 ||
        (r = search(&object, &table, offset + object.bias, &found, err)) != 0 ||
        (r = check_end(&object, &found.symbol, offset + object.bias, err)) != 0 ||
        (r = read_name(&object, &table, found.symbol.st_name, name, err)) != 0)
        return r;
    *ret_into = offset + object.bias - found.symbol.st_value;
    return 0;
}
