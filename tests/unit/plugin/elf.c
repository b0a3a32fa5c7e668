#include "test.h"

#include "plugin/elf.h"

#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "plugin/fixture.h"

enum { ENTRIES = 12 };

/* The smallest file that is a shared object: every test spoils one thing of it. */
struct object {
    ElfW(Ehdr) header;
    ElfW(Phdr) segments[2];
    ElfW(Dyn) dynamic[ENTRIES];
    char text[256]; /* the string table; begins with the empty string */
    ElfW(Shdr) sections[2];
};

static struct object object_new(void) {
    struct object object = {0};
    ElfW(Ehdr) *header = &object.header;

    memcpy(header->e_ident, ELFMAG, SELFMAG);
    header->e_ident[EI_CLASS] = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
    header->e_ident[EI_DATA] = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
    header->e_ident[EI_VERSION] = EV_CURRENT;
    header->e_type = ET_DYN;
    CLEANUP(fd_close) int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    ElfW(Ehdr) own;
    assert_int_equal(read(self, &own, sizeof(own)), sizeof(own));
    header->e_machine = own.e_machine;
    header->e_phoff = offsetof(struct object, segments);
    header->e_phentsize = sizeof(ElfW(Phdr));
    header->e_phnum = 2;
    header->e_shoff = offsetof(struct object, sections);
    header->e_shentsize = sizeof(ElfW(Shdr));
    header->e_shnum = 2;
    object.segments[0] =
        (ElfW(Phdr)){.p_type = PT_LOAD, .p_vaddr = 0x1000, .p_filesz = sizeof(object), .p_memsz = sizeof(object)};
    object.segments[1] = (ElfW(Phdr)){
        .p_type = PT_DYNAMIC, .p_offset = offsetof(struct object, dynamic), .p_filesz = sizeof(object.dynamic)};
    object.dynamic[0] = (ElfW(Dyn)){.d_tag = DT_STRTAB, .d_un.d_ptr = 0x1000 + offsetof(struct object, text)};
    object.dynamic[1] = (ElfW(Dyn)){.d_tag = DT_STRSZ, .d_un.d_val = sizeof(object.text)};
    object.sections[1] = (ElfW(Shdr)){.sh_type = SHT_PROGBITS, .sh_offset = 0, .sh_size = sizeof(object)};
    return object;
}

static void add_entry(struct object *object, ElfW(Sword) tag, ElfW(Addr) value) {
    int i = 0;

    while (object->dynamic[i].d_tag != DT_NULL)
        i++;
    assert_true(i < ENTRIES - 1);
    object->dynamic[i] = (ElfW(Dyn)){.d_tag = tag, .d_un.d_val = value};
}

/* An entry whose value is a string. */
static void add_string(struct object *object, ElfW(Sword) tag, const char *text) {
    assert_true(strlen(text) < sizeof(object->text) - 1);
    strcpy(object->text + 1, text);
    add_entry(object, tag, 1);
}

static int check_bytes(const void *bytes, size_t len, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = memfd_create("object", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    return elf_check(fd, "object.so", err);
}

static void assert_good(const struct object *object) {
    struct theseus_error err = {0};

    if (check_bytes(object, sizeof(*object), &err) < 0)
        test_failed("refused: %s", err.message);
}

static void assert_bytes_refused(const void *bytes, size_t len, const char *words) {
    struct theseus_error err = {0};

    assert_int_equal(check_bytes(bytes, len, &err), -1);
    if (!strstr(err.message, words))
        test_failed("'%s' is not in: %s", words, err.message);
}

static void assert_refused(const struct object *object, const char *words) {
    assert_bytes_refused(object, sizeof(*object), words);
}

static void accepts_a_shared_object(void **state) {
    struct object object = object_new();

    (void)state;
    assert_good(&object);
    object.header.e_shoff = 0; /* without sections it can be loaded too */
    assert_good(&object);
}

static void accepts_a_real_plugin_and_no_beginning_of_it(void **state) {
    CLEANUP(buf_fini) struct buf bytes = fixture_bytes("version1");
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(check_bytes(bytes.data, bytes.len, &err), 0);
    for (size_t len = 0; len < bytes.len; len += len < 256 ? 1 : 97)
        assert_int_equal(check_bytes(bytes.data, len, NULL), -1);
    assert_int_equal(check_bytes(bytes.data, bytes.len - 1, NULL), -1);
}

static void knows_what_ends_up_in_the_directory_by_mistake(void **state) {
    (void)state;
    assert_bytes_refused("", 0, "is empty");
    assert_bytes_refused("#!/bin/sh\n", 10, "is not an ELF file");
    assert_bytes_refused("\x7f", 1, "is not an ELF file");
    assert_bytes_refused("!<arch>\nxxxxxxxxxxxxxxxxx", 25, "is a static library");
    assert_bytes_refused(ELFMAG, SELFMAG, "is truncated");
}

static void refuses_what_is_no_shared_object(void **state) {
    struct object object = object_new();

    (void)state;
    object.header.e_type = ET_REL;
    assert_refused(&object, "is an object file that was not linked");
    object.header.e_type = ET_EXEC;
    assert_refused(&object, "is an executable");
    object.header.e_type = ET_CORE;
    assert_refused(&object, "is not a shared object");
    object = object_new();
    object.segments[1].p_type = PT_NOTE;
    assert_refused(&object, "no dynamic section");
    object = object_new();
    add_entry(&object, DT_FLAGS_1, DF_1_PIE);
    assert_refused(&object, "is an executable");
}

static void refuses_our_own_program(void **state) {
    CLEANUP(fd_close) int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(elf_check(fd, "exe", &err), -1);
    assert_non_null(strstr(err.message, "is an executable"));
}

static void refuses_another_machine(void **state) {
    struct object object = object_new();

    (void)state;
    object.header.e_machine = EM_SPARC;
    assert_refused(&object, "is for another machine");
    object = object_new();
    object.header.e_ident[EI_CLASS] = sizeof(void *) == 8 ? ELFCLASS32 : ELFCLASS64;
    assert_refused(&object, "is for another kind of machine");
    object = object_new();
    object.header.e_ident[EI_DATA] = ELFDATA2MSB + ELFDATA2LSB - object.header.e_ident[EI_DATA];
    assert_refused(&object, "is for another kind of machine");
}

static void refuses_offsets_behind_the_end(void **state) {
    struct object object = object_new();

    (void)state;
    object.header.e_phoff = sizeof(object) - 8;
    assert_refused(&object, "is truncated");
    object.header.e_phoff = UINTPTR_MAX - 8;
    assert_refused(&object, "is truncated");
    object = object_new();
    object.header.e_shoff = sizeof(object) - 8;
    assert_refused(&object, "is truncated");
    object.header.e_shoff = UINTPTR_MAX;
    assert_refused(&object, "is truncated");
    object = object_new();
    object.segments[0].p_filesz = sizeof(object) + 1;
    assert_refused(&object, "is truncated");
    object.segments[0].p_offset = UINTPTR_MAX;
    assert_refused(&object, "is truncated");
    object = object_new();
    object.sections[1].sh_offset = 1;
    assert_refused(&object, "is truncated");
    object.sections[1].sh_type = SHT_NOBITS; /* has no bytes in the file */
    assert_good(&object);
}

static void refuses_tables_that_cannot_be_read(void **state) {
    struct object object = object_new();

    (void)state;
    object.header.e_phnum = 0;
    assert_refused(&object, "is damaged");
    object = object_new();
    object.header.e_phentsize = 1;
    assert_refused(&object, "is damaged");
    object = object_new();
    for (int i = 0; i < ENTRIES; i++)
        object.dynamic[i].d_tag = DT_DEBUG;
    assert_refused(&object, "its dynamic section does not end");
}

static void refuses_names_that_are_none(void **state) {
    struct object object = object_new();

    (void)state;
    add_entry(&object, DT_NEEDED, sizeof(object.text));
    assert_refused(&object, "is truncated or damaged");
    object = object_new();
    add_string(&object, DT_NEEDED, "lib\xff.so");
    assert_refused(&object, "holds a name that is none");
    object = object_new();
    add_entry(&object, DT_NEEDED, 1);
    memset(object.text, 'x', sizeof(object.text));
    assert_refused(&object, "holds a name that is none");
    object = object_new();
    add_string(&object, DT_NEEDED, "libc.so.6");
    object.dynamic[0].d_un.d_ptr = 1; /* in no segment */
    assert_refused(&object, "its string table lies in no segment");
}

static void refuses_code_without_fpic(void **state) {
    struct object object = object_new();

    (void)state;
    add_entry(&object, DT_TEXTREL, 0);
    assert_refused(&object, "was compiled without -fPIC");
    object = object_new();
    add_entry(&object, DT_FLAGS, DF_TEXTREL | DF_BIND_NOW);
    assert_refused(&object, "was compiled without -fPIC");
}

static void refuses_libraries_outside_the_systems_path(void **state) {
    struct object object = object_new();

    (void)state;
    add_string(&object, DT_NEEDED, "libc.so.6");
    assert_good(&object);
    object = object_new();
    add_string(&object, DT_NEEDED, "./libmine.so");
    assert_refused(&object, "needs the library './libmine.so' by its path");
}

static void refuses_a_run_path_outside_the_systems(void **state) {
    static const char *const good[] = {"/usr/lib", "/usr/lib/x86_64-linux-gnu:/lib", "/usr/local/lib"};
    static const char *const bad[] = {"/home/me/lib", "/usr/lib/../../home/me", "/usr/library", "lib", "/usr/lib:", ""};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct object object = object_new();
        add_string(&object, DT_RUNPATH, good[i]);
        assert_good(&object);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct object object = object_new();
        add_string(&object, i % 2 ? DT_RPATH : DT_RUNPATH, bad[i]);
        assert_refused(&object, "outside the system's path");
    }
}

static void refuses_origin_in_the_run_path(void **state) {
    struct object object = object_new();

    (void)state;
    add_string(&object, DT_RUNPATH, "/usr/lib:$ORIGIN/../lib");
    assert_refused(&object, "has '$ORIGIN/../lib' in its run path");
    object = object_new();
    add_string(&object, DT_RPATH, "${ORIGIN}");
    assert_refused(&object, "has '${ORIGIN}' in its run path");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_a_shared_object),
        cmocka_unit_test(accepts_a_real_plugin_and_no_beginning_of_it),
        cmocka_unit_test(knows_what_ends_up_in_the_directory_by_mistake),
        cmocka_unit_test(refuses_what_is_no_shared_object),
        cmocka_unit_test(refuses_our_own_program),
        cmocka_unit_test(refuses_another_machine),
        cmocka_unit_test(refuses_offsets_behind_the_end),
        cmocka_unit_test(refuses_tables_that_cannot_be_read),
        cmocka_unit_test(refuses_names_that_are_none),
        cmocka_unit_test(refuses_code_without_fpic),
        cmocka_unit_test(refuses_libraries_outside_the_systems_path),
        cmocka_unit_test(refuses_a_run_path_outside_the_systems),
        cmocka_unit_test(refuses_origin_in_the_run_path),
    };

    return cmocka_run_group_tests_name("plugin/elf", tests, NULL, NULL);
}
