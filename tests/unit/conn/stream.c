#include "test.h"

#include "conn/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void stream_close_cleanup(struct stream *stream) {
    stream_close(stream);
}

static void pair_close_cleanup(int (*pair)[2]) {
    for (int i = 0; i < 2; i++)
        if ((*pair)[i] >= 0)
            (void)close((*pair)[i]);
}

static struct stream opened(int fd, int direction) {
    struct stream stream = {.fd = -1};

    assert_int_equal(stream_open(&stream, fd, direction, NULL), 0);
    assert_int_not_equal(stream.fd, fd);
    assert_true(fcntl(stream.fd, F_GETFD) & FD_CLOEXEC);
    return stream;
}

static ssize_t put(const struct stream *stream, const char *text) {
    const struct iovec parts[] = {{(void *)(uintptr_t)text, strlen(text)}, {(void *)(uintptr_t) "+", 1}};

    return stream_write(stream, parts, 2);
}

/* Reads, writes and never waits; what the other end's flags say stays as it was. */
static void never_blocks_on(int in, int out) {
    CLEANUP(stream_close) struct stream reader = opened(in, STREAM_READ);
    CLEANUP(stream_close) struct stream writer = opened(out, STREAM_WRITE);
    char bytes[65536] = {0};

    assert_int_equal(stream_read(&reader, bytes, sizeof(bytes)), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(put(&writer, "text"), 5);
    assert_int_equal(stream_read(&reader, bytes, sizeof(bytes)), 5);
    assert_string_equal(bytes, "text+");
    const struct iovec much = {bytes, sizeof(bytes)};
    while (stream_write(&writer, &much, 1) > 0)
        ;
    assert_int_equal(errno, EAGAIN);
    assert_false(fcntl(in, F_GETFL) & O_NONBLOCK);
    assert_false(fcntl(out, F_GETFL) & O_NONBLOCK);
}

static void never_blocks_on_a_pipe(void **state) {
    CLEANUP(pair_close) int pair[2] = {-1, -1};

    (void)state;
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    never_blocks_on(pair[0], pair[1]);
}

static void never_blocks_on_a_socket(void **state) {
    CLEANUP(pair_close) int pair[2] = {-1, -1};

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    never_blocks_on(pair[0], pair[1]);
}

static void says_when_the_other_end_has_gone(void **state) {
    (void)state;
    for (int socket = 0; socket < 2; socket++) {
        CLEANUP(pair_close) int pair[2] = {-1, -1};
        int r = socket ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) : pipe2(pair, O_CLOEXEC);
        assert_int_equal(r, 0);
        CLEANUP(stream_close) struct stream writer = opened(pair[1], STREAM_WRITE);
        (void)close(pair[0]);
        pair[0] = -1;
        assert_int_equal(put(&writer, "text"), -1);
        assert_int_equal(errno, EPIPE);
    }
}

static void reads_a_file_to_its_end(void **state) {
    CLEANUP(fd_close) int fd = memfd_create("file", MFD_CLOEXEC);
    char bytes[16] = {0};

    (void)state;
    CLEANUP(stream_close) struct stream writer = opened(fd, STREAM_WRITE);
    assert_int_equal(put(&writer, "text"), 5);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    CLEANUP(stream_close) struct stream reader = opened(fd, STREAM_READ);
    assert_int_equal(stream_read(&reader, bytes, sizeof(bytes)), 5);
    assert_int_equal(stream_read(&reader, bytes, sizeof(bytes)), 0);
}

/* As with another user's pipe, which cannot be opened anew. */
static void writes_little_by_little_where_it_might_block(void **state) {
    CLEANUP(pair_close) int pair[2] = {-1, -1};
    char bytes[3 * PIPE_BUF] = {0};
    const struct iovec much = {bytes, sizeof(bytes)};

    (void)state;
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    const struct stream writer = {.fd = pair[1], .blocks = true};
    assert_int_equal(stream_write(&writer, &much, 1), PIPE_BUF);
    assert_int_equal(put(&writer, "text"), 4);
}

/* As it was opened, so it goes on in the next image. */
static void adopts_each_as_it_was_opened(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        CLEANUP(pair_close) int pair[2] = {-1, -1};
        if (kind == 3) /* a file */
            assert_true((pair[0] = memfd_create("file", MFD_CLOEXEC)) >= 0);
        else
            assert_int_equal(kind ? pipe2(pair, 0) : socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        CLEANUP(stream_close) struct stream before = {.fd = -1};
        if (kind == 2) /* as another user's pipe, which could not be opened anew; whatever others do to it */
            before = (struct stream){.fd = dup(pair[0]), .blocks = true};
        else
            assert_int_equal(stream_open(&before, pair[0], STREAM_READ, NULL), 0);
        if (kind == 2)
            assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(fcntl(before.fd, F_SETFD, 0), 0);
        struct stream after = {.fd = -1};
        assert_int_equal(stream_adopt(&after, before.fd, STREAM_READ, before.blocks, NULL), 0);
        assert_memory_equal(&after, &before, sizeof(after));
        assert_true(fcntl(after.fd, F_GETFD) & FD_CLOEXEC);
    }
}

static void takes_a_pipe_that_might_block_for_one(void **state) {
    CLEANUP(pair_close) int pair[2] = {-1, -1};
    struct stream stream;

    (void)state;
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    assert_int_equal(stream_adopt(&stream, pair[1], STREAM_WRITE, false, NULL), 0);
    assert_true(stream.blocks);
}

static void adopts_nothing_that_is_for_the_other_direction(void **state) {
    CLEANUP(pair_close) int pair[2] = {-1, -1};
    struct theseus_error err = {0};
    struct stream stream;

    (void)state;
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    assert_int_equal(stream_adopt(&stream, pair[0], STREAM_WRITE, false, &err), -1);
    assert_non_null(strstr(err.message, "cannot be written"));
    err = (struct theseus_error){0};
    assert_int_equal(stream_adopt(&stream, pair[1], STREAM_READ, false, &err), -1);
    assert_non_null(strstr(err.message, "cannot be read"));
}

static void names_a_descriptor_that_is_none(void **state) {
    struct theseus_error err = {0};
    struct stream stream;

    (void)state;
    assert_int_equal(stream_open(&stream, 9999, STREAM_READ, &err), -1);
    assert_non_null(strstr(err.message, "descriptor 9999"));
    err = (struct theseus_error){0};
    assert_int_equal(stream_adopt(&stream, 9999, STREAM_READ, false, &err), -1);
    assert_non_null(strstr(err.message, "descriptor 9999 was not handed over"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_blocks_on_a_pipe),
        cmocka_unit_test(never_blocks_on_a_socket),
        cmocka_unit_test(says_when_the_other_end_has_gone),
        cmocka_unit_test(reads_a_file_to_its_end),
        cmocka_unit_test(writes_little_by_little_where_it_might_block),
        cmocka_unit_test(adopts_each_as_it_was_opened),
        cmocka_unit_test(takes_a_pipe_that_might_block_for_one),
        cmocka_unit_test(adopts_nothing_that_is_for_the_other_direction),
        cmocka_unit_test(names_a_descriptor_that_is_none),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("conn/stream", tests, NULL, NULL);
}
