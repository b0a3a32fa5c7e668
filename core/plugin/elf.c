/*
 * The dynamic linker trusts what it maps: a cut file kills by SIGBUS, and what it refuses it refuses in its own words.
 * So the headers are read first, with pread (a mapping could be cut under us) and with every offset held against the
 * file's size. The run path matters because a private copy lies in another directory than the file it was made of.
 */
#include "plugin/elf.h"

#include <elf.h>
#include <inttypes.h>
#include <link.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { DYNAMIC_MAX = 4096, STRING_MAX = 4096 };

/* Our own header, placed by the linker: what this process is, a plugin must be too. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

struct elf {
    int fd;
    const char *file;
    uint64_t size;
    ElfW(Ehdr) header;
    ElfW(Phdr) dynamic; /* p_type is PT_DYNAMIC once it was found */
};

/* What the dynamic section says, as far as it matters here. */
struct dynamic {
    uint64_t strings, strings_size; /* virtual address and size of the string table */
    bool text_relocations, executable;
};

static bool within(const struct elf *elf, uint64_t at, uint64_t len) {
    return at <= elf->size && len <= elf->size - at;
}

static int fail_cut(struct theseus_error *err) {
    return fail(err, ERR_INVALID,
                "is truncated or damaged: its headers name bytes behind its end; copy or build it again");
}

static int read_at(const struct elf *elf, uint64_t at, void *bytes, size_t len, struct theseus_error *err) {
    if (!within(elf, at, len))
        return fail_cut(err);
    ssize_t n = pread(elf->fd, bytes, len, (off_t)at);
    if (n < 0)
        return fail_errno(err, "cannot read '%s'", elf->file);
    return (size_t)n == len ? 0 : fail_cut(err);
}

/* Words for the files that end up in a plugin directory by mistake. */
static int fail_not_elf(const unsigned char *start, size_t len, struct theseus_error *err) {
    if (len == 0)
        return fail(err, ERR_INVALID, "is empty; is it still being written?");
    if (len >= 8 && memcmp(start, "!<arch>\n", 8) == 0)
        return fail(err, ERR_INVALID, "is a static library; link a plugin with: cc -shared -fPIC");
    return fail(err, ERR_INVALID, "is not an ELF file; link a plugin with: cc -shared -fPIC");
}

static int check_ident(struct elf *elf, struct theseus_error *err) {
    unsigned char start[EI_NIDENT];
    size_t len = elf->size < sizeof(start) ? (size_t)elf->size : sizeof(start);

    if (read_at(elf, 0, start, len, err) < 0)
        return -1;
    if (len < SELFMAG || memcmp(start, ELFMAG, SELFMAG) != 0)
        return fail_not_elf(start, len, err);
    if (len < EI_NIDENT)
        return fail_cut(err);
    if (start[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS] || start[EI_DATA] != __ehdr_start.e_ident[EI_DATA])
        return fail(err, ERR_INVALID, "is for another kind of machine (%s, %s-endian); build it on this one",
                    start[EI_CLASS] == ELFCLASS64 ? "64-bit" : "32-bit",
                    start[EI_DATA] == ELFDATA2MSB ? "big" : "little");
    return read_at(elf, 0, &elf->header, sizeof(elf->header), err);
}

static int check_header(const struct elf *elf, struct theseus_error *err) {
    const ElfW(Ehdr) *header = &elf->header;

    if (header->e_machine != __ehdr_start.e_machine)
        return fail(err, ERR_INVALID, "is for another machine (ELF machine %u, this is %u); build it on this one",
                    header->e_machine, __ehdr_start.e_machine);
    if (header->e_type == ET_REL)
        return fail(err, ERR_INVALID, "is an object file that was not linked; link it with: cc -shared");
    if (header->e_type == ET_EXEC)
        return fail(err, ERR_INVALID, "is an executable, not a shared object; link it with: cc -shared -fPIC");
    if (header->e_type != ET_DYN)
        return fail(err, ERR_INVALID, "is not a shared object (ELF type %u); link it with: cc -shared -fPIC",
                    header->e_type);
    if (header->e_phnum == 0 || header->e_phnum == PN_XNUM || header->e_phentsize != sizeof(ElfW(Phdr)))
        return fail(err, ERR_INVALID, "is damaged: its table of segments cannot be read");
    return 0;
}

static int read_segment(const struct elf *elf, unsigned index, ElfW(Phdr) * ret_segment, struct theseus_error *err) {
    if (elf->header.e_phoff > elf->size)
        return fail_cut(err);
    return read_at(elf, elf->header.e_phoff + (uint64_t)index * sizeof(*ret_segment), ret_segment, sizeof(*ret_segment),
                   err);
}

static int check_segments(struct elf *elf, struct theseus_error *err) {
    ElfW(Phdr) segment;

    for (unsigned i = 0; i < elf->header.e_phnum; i++) {
        if (read_segment(elf, i, &segment, err) < 0)
            return -1;
        if (!within(elf, segment.p_offset, segment.p_filesz))
            return fail_cut(err);
        if (segment.p_type == PT_DYNAMIC)
            elf->dynamic = segment;
    }
    if (elf->dynamic.p_type != PT_DYNAMIC)
        return fail(err, ERR_INVALID,
                    "is not a shared object: it has no dynamic section; link it with: cc -shared -fPIC");
    return 0;
}

/* Sections are no business of the loader's, but they stand at the end of the file: they show that it is whole. */
static int check_sections(const struct elf *elf, struct theseus_error *err) {
    const ElfW(Ehdr) *header = &elf->header;
    ElfW(Shdr) section;

    if (header->e_shoff == 0)
        return 0; /* stripped of them */
    if (header->e_shentsize != sizeof(section) || header->e_shoff > elf->size)
        return fail_cut(err);
    for (unsigned i = 0; i < header->e_shnum; i++) {
        if (read_at(elf, header->e_shoff + (uint64_t)i * sizeof(section), &section, sizeof(section), err) < 0)
            return -1;
        if (section.sh_type != SHT_NOBITS && section.sh_type != SHT_NULL &&
            !within(elf, section.sh_offset, section.sh_size))
            return fail_cut(err);
    }
    return 0;
}

/* Where in the file lies what will be mapped at this address? */
static int file_offset(const struct elf *elf, uint64_t address, uint64_t *ret_offset, struct theseus_error *err) {
    ElfW(Phdr) segment;

    for (unsigned i = 0; i < elf->header.e_phnum; i++) {
        if (read_segment(elf, i, &segment, err) < 0)
            return -1;
        if (segment.p_type != PT_LOAD || address < segment.p_vaddr || address - segment.p_vaddr >= segment.p_filesz)
            continue;
        *ret_offset = segment.p_offset + (address - segment.p_vaddr);
        return 0;
    }
    return fail(err, ERR_INVALID, "is damaged: its string table lies in no segment");
}

/* A name that can be put into a message. */
static bool is_plain(const char *text) {
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

/* The string at `offset` in the dynamic string table. */
static int read_string(const struct elf *elf, const struct dynamic *dynamic, uint64_t offset, char text[STRING_MAX],
                       struct theseus_error *err) {
    uint64_t table = 0;

    if (offset >= dynamic->strings_size)
        return fail_cut(err);
    if (file_offset(elf, dynamic->strings, &table, err) < 0)
        return -1;
    if (!within(elf, table, dynamic->strings_size))
        return fail_cut(err);
    uint64_t left = dynamic->strings_size - offset;
    size_t len = left < STRING_MAX ? (size_t)left : STRING_MAX;
    if (read_at(elf, table + offset, text, len, err) < 0)
        return -1;
    if (!memchr(text, '\0', len) || !is_plain(text))
        return fail(err, ERR_INVALID, "is damaged: its dynamic section holds a name that is none");
    return 0;
}

static int read_entry(const struct elf *elf, unsigned index, ElfW(Dyn) * ret_entry, struct theseus_error *err) {
    uint64_t count = elf->dynamic.p_filesz / sizeof(*ret_entry);

    if (index >= count || index >= DYNAMIC_MAX)
        return fail(err, ERR_INVALID, "is damaged: its dynamic section does not end");
    return read_at(elf, elf->dynamic.p_offset + (uint64_t)index * sizeof(*ret_entry), ret_entry, sizeof(*ret_entry),
                   err);
}

static int read_dynamic(const struct elf *elf, struct dynamic *dynamic, struct theseus_error *err) {
    ElfW(Dyn) entry;
    unsigned i = 0;

    do {
        if (read_entry(elf, i++, &entry, err) < 0)
            return -1;
        if (entry.d_tag == DT_STRTAB)
            dynamic->strings = entry.d_un.d_ptr;
        else if (entry.d_tag == DT_STRSZ)
            dynamic->strings_size = entry.d_un.d_val;
        else if (entry.d_tag == DT_TEXTREL || (entry.d_tag == DT_FLAGS && (entry.d_un.d_val & DF_TEXTREL)))
            dynamic->text_relocations = true;
        else if (entry.d_tag == DT_FLAGS_1 && (entry.d_un.d_val & DF_1_PIE))
            dynamic->executable = true;
    } while (entry.d_tag != DT_NULL);
    return 0;
}

static bool lies_below(const char *path, size_t len, const char *dir) {
    size_t dir_len = strlen(dir);

    return len >= dir_len && memcmp(path, dir, dir_len) == 0 && (len == dir_len || path[dir_len] == '/');
}

/* Directories that the dynamic linker searches in any case, and those below them. */
static bool is_system_dir(const char *path, size_t len) {
    static const char *const dirs[] = {"/lib",       "/lib64",     "/lib32",         "/usr/lib",
                                       "/usr/lib64", "/usr/lib32", "/usr/local/lib", "/usr/local/lib64"};

    if (memmem(path, len, "/..", 3))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
        if (lies_below(path, len, dirs[i]))
            return true;
    return false;
}

static int check_run_path(const char *text, struct theseus_error *err) {
    for (const char *part = text;; part++) {
        size_t len = strcspn(part, ":");
        if (memchr(part, '$', len))
            return fail(err, ERR_INVALID,
                        "has '%.*s' in its run path, which would mean the directory of its private copy; link the "
                        "library statically or install it on the system's path",
                        (int)len, part);
        if (!is_system_dir(part, len))
            return fail(err, ERR_INVALID,
                        "has the run path '%.*s', outside the system's path: its libraries could be replaced under it; "
                        "link them statically or install them",
                        (int)len, part);
        part += len;
        if (*part == '\0')
            return 0;
    }
}

static int check_needed(const char *name, struct theseus_error *err) {
    if (strchr(name, '/'))
        return fail(err, ERR_INVALID,
                    "needs the library '%s' by its path, outside the system's path; link it statically or install it",
                    name);
    return 0;
}

/* The libraries it asks for and where it wants them looked for. */
static int check_libraries(const struct elf *elf, const struct dynamic *dynamic, struct theseus_error *err) {
    char text[STRING_MAX];
    ElfW(Dyn) entry;

    for (unsigned i = 0;; i++) {
        if (read_entry(elf, i, &entry, err) < 0)
            return -1;
        if (entry.d_tag == DT_NULL)
            return 0;
        bool needed = entry.d_tag == DT_NEEDED;
        if (!needed && entry.d_tag != DT_RPATH && entry.d_tag != DT_RUNPATH)
            continue;
        if (read_string(elf, dynamic, entry.d_un.d_val, text, err) < 0)
            return -1;
        if ((needed ? check_needed(text, err) : check_run_path(text, err)) < 0)
            return -1;
    }
}

static int check_dynamic(const struct elf *elf, struct theseus_error *err) {
    struct dynamic dynamic = {0};

    if (read_dynamic(elf, &dynamic, err) < 0)
        return -1;
    if (dynamic.executable)
        return fail(err, ERR_INVALID, "is an executable, not a shared object; link it with: cc -shared -fPIC");
    if (dynamic.text_relocations)
        return fail(err, ERR_INVALID,
                    "was compiled without -fPIC (it has text relocations); compile it with: cc -fPIC");
    return check_libraries(elf, &dynamic, err);
}

int elf_check(int fd, const char *file, struct theseus_error *err) {
    struct elf elf = {.fd = fd, .file = file};
    struct stat st;

    if (fstat(fd, &st) < 0)
        return fail_errno(err, "cannot examine '%s'", file);
    elf.size = st.st_size < 0 ? 0 : (uint64_t)st.st_size;
    if (check_ident(&elf, err) < 0 || check_header(&elf, err) < 0 || check_segments(&elf, err) < 0 ||
        check_sections(&elf, err) < 0)
        return -1;
    return check_dynamic(&elf, err);
}
