#include "test.h"

#include "loop/poll.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/until.h"

struct seen {
    struct poll *poll;
    int count, events;
    bool free_it;
};

static void see(void *arg, int events) {
    struct seen *seen = arg;

    loop_enter();
    seen->count++;
    seen->events |= events;
    if (seen->free_it)
        seen->poll = poll_free(seen->poll);
}

static struct poll *poll_on(struct loop *loop, int fd, struct seen *seen, int events) {
    loop_enter();
    *seen = (struct seen){0};
    assert_int_equal(poll_new(&seen->poll, loop, fd, see, seen, NULL), 0);
    poll_want(seen->poll, events);
    return seen->poll;
}

static void says_when_a_pipe_can_be_read(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    CLEANUP(fd_close) int from = -1;
    CLEANUP(fd_close) int to = -1;
    struct seen seen;
    int fds[2];

    (void)state;
    loop_enter();
    assert_int_equal(pipe(fds), 0);
    from = fds[0];
    to = fds[1];
    CLEANUP(poll_free) struct poll *poll = poll_on(loop, from, &seen, POLL_READ);
    assert_false(loop_turn(loop, 1));
    assert_int_equal(write(to, "x", 1), 1);
    until(loop, seen.count == 2); /* again and again while it is so */
    poll_want(poll, 0);
    assert_false(loop_turn(loop, 1));
    poll_want(poll, POLL_READ);
    until(loop, seen.count == 3);
    assert_int_equal(seen.events, POLL_READ);
}

static void says_read_when_the_other_end_has_gone(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    CLEANUP(fd_close) int from = -1;
    struct seen seen;
    int fds[2];

    (void)state;
    loop_enter();
    assert_int_equal(pipe(fds), 0);
    from = fds[0];
    CLEANUP(poll_free) struct poll *poll = poll_on(loop, from, &seen, POLL_READ);
    (void)poll;
    (void)close(fds[1]);
    until(loop, seen.events == POLL_READ);
}

static void says_write_as_long_as_the_reader_has_gone(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    CLEANUP(fd_close) int to = -1;
    struct seen seen;
    int fds[2];

    (void)state;
    loop_enter();
    assert_int_equal(pipe(fds), 0);
    to = fds[1];
    (void)close(fds[0]);
    CLEANUP(poll_free) struct poll *poll = poll_on(loop, to, &seen, POLL_WRITE);
    until(loop, seen.count == 3); /* an error of the descriptor does not end the watch */
    assert_int_equal(seen.events, POLL_WRITE);
    poll_want(poll, 0);
    assert_false(loop_turn(loop, 1));
}

static void watches_one_descriptor_twice(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    CLEANUP(fd_close) int ours = -1;
    CLEANUP(fd_close) int theirs = -1;
    struct seen in, out;
    int fds[2];

    (void)state;
    loop_enter();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ours = fds[0];
    theirs = fds[1];
    CLEANUP(poll_free) struct poll *input = poll_on(loop, ours, &in, POLL_READ);
    CLEANUP(poll_free) struct poll *output = poll_on(loop, ours, &out, POLL_WRITE);
    until(loop, out.events == POLL_WRITE);
    assert_int_equal(in.count, 0);
    poll_want(output, 0);
    assert_int_equal(write(theirs, "x", 1), 1);
    until(loop, in.events == POLL_READ);
    input = poll_free(input);
    out.events = 0;
    poll_want(output, POLL_READ | POLL_WRITE); /* the second lives on without the first */
    until(loop, out.events == (POLL_READ | POLL_WRITE));
}

static void leaves_the_flags_of_the_descriptor(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    CLEANUP(fd_close) int from = -1;
    CLEANUP(fd_close) int to = -1;
    struct seen seen;
    int fds[2];

    (void)state;
    loop_enter();
    assert_int_equal(pipe(fds), 0);
    from = fds[0];
    to = fds[1];
    CLEANUP(poll_free) struct poll *poll = poll_on(loop, from, &seen, POLL_READ);
    (void)poll;
    assert_int_equal(fcntl(from, F_GETFL) & O_NONBLOCK, 0);
}

static void always_ready(int fd) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct seen seen, second;

    loop_enter();
    assert_true(fd >= 0);
    CLEANUP(poll_free) struct poll *poll = poll_on(loop, fd, &seen, POLL_READ);
    CLEANUP(poll_free) struct poll *other = poll_on(loop, fd, &second, POLL_WRITE);
    (void)other;
    until(loop, seen.count >= 2 && second.count >= 2);
    assert_int_equal(seen.events, POLL_READ);
    assert_int_equal(second.events, POLL_WRITE);
    poll_want(poll, 0);
    int count = seen.count;
    (void)loop_turn(loop, 1);
    assert_int_equal(seen.count, count);
}

static void takes_a_regular_file_as_always_ready(void **state) {
    FILE *file = tmpfile();

    (void)state;
    always_ready(fileno(file));
    (void)fclose(file);
}

static void takes_the_null_device_as_always_ready(void **state) {
    CLEANUP(fd_close) int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)state;
    always_ready(fd);
}

static void may_be_freed_by_its_own_callback(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    CLEANUP(fd_close) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct seen on_pipe, on_null;
    int fds[2];

    (void)state;
    loop_enter();
    assert_int_equal(pipe(fds), 0);
    (void)poll_on(loop, fds[0], &on_pipe, POLL_READ);
    (void)poll_on(loop, null, &on_null, POLL_READ);
    on_pipe.free_it = on_null.free_it = true;
    (void)close(fds[1]);
    until(loop, !on_pipe.poll && !on_null.poll);
    assert_false(loop_turn(loop, 1));
    assert_int_equal(on_pipe.count, 1);
    assert_int_equal(on_null.count, 1);
    (void)close(fds[0]);
}

static void refuses_a_descriptor_that_is_closed(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct theseus_error err = {0};
    struct poll *poll;
    int fds[2];

    (void)state;
    loop_enter();
    assert_int_equal(pipe(fds), 0);
    (void)close(fds[0]);
    (void)close(fds[1]);
    assert_int_equal(poll_new(&poll, loop, fds[0], see, NULL, &err), -1);
    assert_int_equal(err.code, ERR_SYSTEM);
    assert_non_null(strstr(err.message, "descriptor"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_when_a_pipe_can_be_read),
        cmocka_unit_test(says_read_when_the_other_end_has_gone),
        cmocka_unit_test(says_write_as_long_as_the_reader_has_gone),
        cmocka_unit_test(watches_one_descriptor_twice),
        cmocka_unit_test(leaves_the_flags_of_the_descriptor),
        cmocka_unit_test(takes_a_regular_file_as_always_ready),
        cmocka_unit_test(takes_the_null_device_as_always_ready),
        cmocka_unit_test(may_be_freed_by_its_own_callback),
        cmocka_unit_test(refuses_a_descriptor_that_is_closed),
    };

    return cmocka_run_group_tests_name("loop/poll", tests, NULL, NULL);
}
