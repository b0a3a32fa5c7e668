#include "test.h"

#include "plugin/elfsym.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>

#include "plugin/fixture.h"

static __attribute__((noinline)) int static_one(int number) {
    __asm__ volatile("" : "+r"(number));
    return number + 1;
}

/* Where this program is mapped. */
static int note_base(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)size;
    *(uintptr_t *)arg = info->dlpi_addr;
    return 1; /* the first is the program itself */
}

static int find(const char *path, uint64_t offset, char name[static ELFSYM_NAME_BYTES], uint64_t *ret_into) {
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    return elfsym_find(fd, path, offset, name, ret_into, NULL);
}

static void names_a_static_function_of_this_program(void **state) {
    char name[ELFSYM_NAME_BYTES];
    uintptr_t base = 0;
    uint64_t into = 99;

    (void)state;
    assert_int_equal(static_one(1), 2);
    (void)dl_iterate_phdr(note_base, &base);
    const uint64_t offset = (uintptr_t)static_one - base;
    assert_int_equal(find("/proc/self/exe", offset, name, &into), 0);
    assert_string_equal(name, "static_one");
    assert_int_equal(into, 0);
    assert_int_equal(find("/proc/self/exe", offset + 1, name, &into), 0);
    assert_string_equal(name, "static_one");
    assert_int_equal(into, 1);
}

/* A library is stripped: only what it exports has a name. */
static void names_what_a_stripped_library_exports(void **state) {
    char name[ELFSYM_NAME_BYTES];
    uint64_t into = 0;
    Dl_info info;

    (void)state;
    assert_true(dladdr((void *)(uintptr_t)&qsort, &info) != 0);
    const uint64_t offset = (uintptr_t)info.dli_saddr - (uintptr_t)info.dli_fbase;
    assert_int_equal(find(info.dli_fname, offset + 2, name, &into), 0);
    assert_non_null(strstr(name, "qsort"));
    assert_int_equal(into, 2);
}

static void names_nothing_outside_of_functions(void **state) {
    char name[ELFSYM_NAME_BYTES];
    uint64_t into = 0;

    (void)state;
    assert_int_equal(find("/proc/self/exe", 0, name, &into), ELFSYM_NONE);
    assert_int_equal(find("/proc/self/exe", UINT64_C(1) << 40, name, &into), ELFSYM_NONE);
    assert_int_equal(find("/proc/self/exe", UINT64_MAX, name, &into), ELFSYM_NONE);
}

static int find_in_bytes(struct span bytes, uint64_t offset) {
    CLEANUP(fd_close) int fd = memfd_create("object", MFD_CLOEXEC);
    char name[ELFSYM_NAME_BYTES];
    uint64_t into;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
    return elfsym_find(fd, "object", offset, name, &into, NULL);
}

/* Every answer is allowed but a crash: the file is what is left of one. */
static void takes_a_damaged_file(void **state) {
    CLEANUP(buf_fini) struct buf whole = fixture_bytes("version1");
    struct span bytes = buf_span(&whole);
    ElfW(Ehdr) *header = (ElfW(Ehdr) *)(uintptr_t)bytes.data;
    const ElfW(Ehdr) before = *header;

    (void)state;
    for (size_t len = 0; len < bytes.len; len += 1 + len / 16)
        (void)find_in_bytes((struct span){bytes.data, len}, 0x1200);
    header->e_shoff = UINT64_MAX - 8;
    assert_int_equal(find_in_bytes(bytes, 0x1200), -1);
    *header = before;
    header->e_shoff = 0;
    assert_int_equal(find_in_bytes(bytes, 0x1200), ELFSYM_NONE);
    *header = before;
    header->e_phoff = bytes.len + 1;
    assert_int_equal(find_in_bytes(bytes, 0x1200), -1);
    *header = before;
    ElfW(Shdr) *sections = (ElfW(Shdr) *)(uintptr_t)(bytes.data + before.e_shoff);
    for (unsigned i = 0; i < before.e_shnum; i++) {
        const ElfW(Shdr) section = sections[i];
        sections[i].sh_link = 60000;
        (void)find_in_bytes(bytes, 0x1200);
        sections[i].sh_link = section.sh_link;
        sections[i].sh_size = UINT64_MAX / 2;
        (void)find_in_bytes(bytes, 0x1200);
        sections[i].sh_size = 0;
        (void)find_in_bytes(bytes, 0x1200);
        sections[i] = section;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_a_static_function_of_this_program),
        cmocka_unit_test(names_what_a_stripped_library_exports),
        cmocka_unit_test(names_nothing_outside_of_functions),
        cmocka_unit_test(takes_a_damaged_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
