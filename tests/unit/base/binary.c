#include "test.h"

#include "base/binary.h"

#include <elf.h>
#include <sys/stat.h>

#include "plugin/fixture.h"

/* The program that runs, so certainly a good one, as a file that the test may change. Owned. */
static char *copy_of_us(const char *place) {
    CLEANUP(fd_close) int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    char *path = path_join(place, "program");

    assert_int_equal(fs_copy_fd(fd, path, 0700, NULL), 0);
    return path;
}

static void patch(const char *path, off_t offset, const void *bytes, size_t len) {
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_int_equal(pwrite(fd, bytes, len, offset), len);
}

static void write_program(const char *path, const char *bytes, size_t len) {
    write_bytes(path, bytes, len);
    assert_int_equal(chmod(path, 0700), 0);
}

static void expect_refused(const char *path, const char *why) {
    struct theseus_error err = {0};
    struct binary binary;

    assert_int_equal(binary_open(&binary, path, &err), -1);
    if (!strstr(err.message, why) || !strstr(err.message, path))
        test_failed("'%s' instead of '%s'", err.message, why);
}

static void opens_a_program(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *path = copy_of_us(place);
    CLEANUP(binary_close) struct binary binary = {.fd = -1};

    (void)state;
    assert_int_equal(binary_open(&binary, path, NULL), 0);
    assert_true(fcntl(binary.fd, F_GETFD) & FD_CLOEXEC);
    assert_string_equal(binary.path, path);
    assert_int_equal(binary_check_unchanged(&binary, NULL), 0);
}

static void refuses_what_may_not_be_executed(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *path = copy_of_us(place);

    (void)state;
    assert_int_equal(chmod(path, 0600), 0);
    expect_refused(path, "may not be executed; mend it with: chmod +x");
    assert_int_equal(chmod(path, 04700), 0);
    expect_refused(path, "is setuid or setgid");
    assert_int_equal(chmod(path, 02710), 0);
    expect_refused(path, "is setuid or setgid");
}

static void refuses_what_is_no_program(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *path = path_join(place, "script");
    CLEANUP(free) char *plugin = fixture_copy(place, "version1");

    (void)state;
    expect_refused(path, "No such file");
    write_program(path, "#!/bin/sh\n", 10);
    expect_refused(path, "is a script");
    write_program(path, "hello, here I am", 16);
    expect_refused(path, "its format is not ELF");
    write_program(path, "", 0);
    expect_refused(path, "its format is not ELF");
    write_program(path, ELFMAG "\2\1\1", SELFMAG + 3);
    expect_refused(path, "is only the beginning of a program (7 bytes)");
    assert_int_equal(chmod(plugin, 0700), 0);
    expect_refused(plugin, "is no program but another kind of ELF file");
}

static void refuses_programs_of_other_machines(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *path = copy_of_us(place);
    const unsigned char class32 = ELFCLASS32, class64 = ELFCLASS64;
    const Elf64_Half machine = EM_68K, type = ET_CORE;

    (void)state;
    patch(path, EI_CLASS, &class32, 1);
    expect_refused(path, "another kind of machine (32-bit, little-endian)");
    patch(path, EI_CLASS, &class64, 1);
    patch(path, offsetof(Elf64_Ehdr, e_type), &type, sizeof(type));
    expect_refused(path, "is no program but another kind of ELF file");
    patch(path, offsetof(Elf64_Ehdr, e_machine), &machine, sizeof(machine));
    expect_refused(path, "another machine (ELF machine 4, this is ");
}

static void refuses_what_is_no_file_without_waiting(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *pipe = path_join(place, "pipe");

    (void)state;
    expect_refused(place, "is no regular file");
    assert_int_equal(mkfifo(pipe, 0700), 0);
    expect_refused(pipe, "is no regular file");
    expect_refused("/dev/null", "is no regular file");
}

/* A clock that has moved on, so that the next change has another time. */
static void let_time_pass(const char *place) {
    CLEANUP(free) char *path = path_join(place, "clock");
    struct stat first, now;

    write_bytes(path, "x", 1);
    assert_int_equal(stat(path, &first), 0);
    do {
        assert_int_equal(chmod(path, 0644), 0);
        assert_int_equal(stat(path, &now), 0);
    } while (now.st_ctim.tv_nsec == first.st_ctim.tv_nsec && now.st_ctim.tv_sec == first.st_ctim.tv_sec);
}

static void expect_changed(const struct binary *binary) {
    struct theseus_error err = {0};

    assert_int_equal(binary_check_unchanged(binary, &err), -1);
    assert_non_null(strstr(err.message, "was changed or replaced since it was examined"));
}

static void sees_that_it_was_written(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *path = copy_of_us(place);
    CLEANUP(binary_close) struct binary binary = {.fd = -1};

    (void)state;
    assert_int_equal(binary_open(&binary, path, NULL), 0);
    let_time_pass(place);
    patch(path, binary.seen.st_size - 1, "x", 1); /* of the same size */
    expect_changed(&binary);
}

static void sees_that_it_was_written_and_its_time_set_back(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *path = copy_of_us(place);
    CLEANUP(binary_close) struct binary binary = {.fd = -1};

    (void)state;
    assert_int_equal(binary_open(&binary, path, NULL), 0);
    const struct timespec times[] = {binary.seen.st_atim, binary.seen.st_mtim};
    let_time_pass(place);
    patch(path, binary.seen.st_size - 1, "x", 1);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    expect_changed(&binary);
}

static void sees_that_its_name_went_to_another(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *path = copy_of_us(place);
    CLEANUP(binary_close) struct binary binary = {.fd = -1};

    (void)state;
    assert_int_equal(binary_open(&binary, path, NULL), 0);
    let_time_pass(place);
    assert_int_equal(unlink(path), 0);
    expect_changed(&binary);
}

static void opens_the_program_that_runs(void **state) {
    CLEANUP(binary_close) struct binary binary = {.fd = -1};
    struct stat own;

    (void)state;
    assert_int_equal(binary_open_own(&binary, NULL), 0);
    assert_int_equal(stat("/proc/self/exe", &own), 0);
    assert_int_equal(binary.seen.st_ino, own.st_ino);
}

static void adopts_only_what_is_open(void **state) {
    struct theseus_error err = {0};
    struct binary binary;

    (void)state;
    assert_int_equal(binary_adopt(&binary, 1021, "/x/theseus", &err), -1);
    assert_non_null(strstr(err.message, "descriptor 1021 of '/x/theseus' was not handed over"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_a_program),
        cmocka_unit_test(refuses_what_may_not_be_executed),
        cmocka_unit_test(refuses_what_is_no_program),
        cmocka_unit_test(refuses_programs_of_other_machines),
        cmocka_unit_test(refuses_what_is_no_file_without_waiting),
        cmocka_unit_test(sees_that_it_was_written),
        cmocka_unit_test(sees_that_it_was_written_and_its_time_set_back),
        cmocka_unit_test(sees_that_its_name_went_to_another),
        cmocka_unit_test(opens_the_program_that_runs),
        cmocka_unit_test(adopts_only_what_is_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
