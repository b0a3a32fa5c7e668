#include "test.h"

#include "base/hash.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/hash_wide.h"
#include "base/mem.h"

/* XXH3 of nothing, as its authors publish it. */
static void is_the_published_function(void **state) {
    char text[HASH_TEXT_BYTES];

    (void)state;
    hash_text((struct span){NULL, 0}, text);
    assert_string_equal(text, "99aa06d3014798d86001c324468d497f");
    assert_true(hash_u64((struct span){NULL, 0}) == 0x2d06800538d394c2);
}

/* Either way of computing it: what one process image has written, another one reads on another processor. */
static void is_the_same_on_every_processor(void **state) {
    enum { SIZE = 5000, SHORT = 2000 };
    CLEANUP(free) char *bytes = xcalloc(SIZE, 1);

    (void)state;
#ifdef __x86_64__
    if (hash_wide_is_made && !__builtin_cpu_supports("avx2"))
        return;
#endif
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    for (size_t len = 0; len < SHORT; len++)
        assert_true(hash_wide_u64(bytes + 3, len) == hash_u64((struct span){bytes + 3, len}));
    assert_true(hash_u64((struct span){bytes, SIZE}) == UINT64_C(0xe69c7c10fe601e8d));
}

static void tells_contents_apart(void **state) {
    char one[HASH_TEXT_BYTES], two[HASH_TEXT_BYTES];

    (void)state;
    hash_text(span_of("content"), one);
    hash_text(span_of("contenu"), two);
    assert_string_not_equal(one, two);
    assert_int_equal(strlen(one), HASH_TEXT_BYTES - 1);
}

static void reads_a_file_from_its_beginning(void **state) {
    enum { SIZE = 100001 };
    CLEANUP(fd_close) int fd = memfd_create("content", MFD_CLOEXEC);
    CLEANUP(free) char *bytes = xcalloc(SIZE, 1);
    char of_bytes[HASH_TEXT_BYTES], of_file[HASH_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 7);
    assert_int_equal(write(fd, bytes, SIZE), SIZE);
    assert_int_equal(lseek(fd, 55, SEEK_SET), 55);
    hash_text((struct span){bytes, SIZE}, of_bytes);
    assert_int_equal(hash_fd(fd, of_file, NULL), 0);
    assert_string_equal(of_file, of_bytes);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 55);
}

static void says_that_a_file_cannot_be_read(void **state) {
    char text[HASH_TEXT_BYTES];
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(hash_fd(-1, text, &err), -1);
    assert_int_equal(err.code, ERR_SYSTEM);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_published_function),
        cmocka_unit_test(is_the_same_on_every_processor),
        cmocka_unit_test(tells_contents_apart),
        cmocka_unit_test(reads_a_file_from_its_beginning),
        cmocka_unit_test(says_that_a_file_cannot_be_read),
    };

    return cmocka_run_group_tests_name("base/hash", tests, NULL, NULL);
}
