#include "test.h"

#include "plugin/cord.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

static void carries_channels_and_numbers(void **state) {
    struct cord_news news = {0};
    int cord[2], pipe_fds[2];
    char byte = 0;

    (void)state;
    assert_int_equal(cord_pair(cord, NULL), 0);
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(cord_send_channel(cord[0], pipe_fds[1], NULL), 0);
    assert_int_equal(cord_send_release(cord[0], 7, NULL), 0);
    assert_int_equal(cord_send_channel_now(cord[0], pipe_fds[1]), 0);
    assert_int_equal(cord_receive(cord[1], &news, NULL), CORD_CHANNEL);
    assert_true(fcntl(news.fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(news.fd, "x", 1), 1);
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    (void)close(news.fd);
    assert_int_equal(cord_receive(cord[1], &news, NULL), CORD_RELEASE);
    assert_int_equal(news.tool, 7);
    assert_int_equal(cord_receive(cord[1], &news, NULL), CORD_CHANNEL);
    (void)close(news.fd);
    (void)close(cord[0]);
    assert_int_equal(cord_receive(cord[1], &news, NULL), CORD_ENDED);
    (void)close(cord[1]);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
}

static void carries_last_words(void **state) {
    struct cord_crash crash = {.note = {.signum = 11, .frame_count = 1, .frames = {7}}, .memory = 5, .error = 12};
    struct cord_news news = {0};
    int cord[2];

    (void)state;
    assert_int_equal(cord_pair(cord, NULL), 0);
    assert_false(cord_wait(cord[0], 0));
    cord_send_short(cord[1]);
    cord_send_crash(cord[1], &crash);
    (void)close(cord[1]);
    assert_true(cord_wait(cord[0], -1));
    assert_int_equal(cord_receive(cord[0], &news, NULL), CORD_SHORT);
    assert_int_equal(cord_receive(cord[0], &news, NULL), CORD_CRASHED);
    assert_memory_equal(&news.crash, &crash, sizeof(crash));
    assert_int_equal(cord_receive(cord[0], &news, NULL), CORD_ENDED);
    (void)close(cord[0]);
}

static void refuses_what_is_no_note(void **state) {
    static const int64_t nobody = -1, crashed = -2;
    struct theseus_error err = {0};
    struct cord_news news;
    int cord[2];

    (void)state;
    assert_int_equal(cord_pair(cord, NULL), 0);
    assert_int_equal(write(cord[0], "short", 5), 5);
    assert_int_equal(cord_receive(cord[1], &news, &err), -1);
    assert_string_equal(err.message, "the other process sent what is no note");
    assert_int_equal(write(cord[0], "much longer than a note", 23), 23);
    assert_int_equal(cord_receive(cord[1], &news, NULL), -1);
    assert_int_equal(write(cord[0], &crashed, sizeof(crashed)), sizeof(crashed)); /* and no word of it */
    assert_int_equal(cord_receive(cord[1], &news, NULL), -1);
    assert_int_equal(write(cord[0], &nobody, sizeof(nobody)), sizeof(nobody)); /* a channel, and none is there */
    assert_int_equal(cord_receive(cord[1], &news, NULL), -1);
    (void)close(cord[0]);
    (void)close(cord[1]);
}

static int fds_open(void) {
    int count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* More descriptors than one, and one with a number: none of them stays. */
static void keeps_nothing_that_it_refuses(void **state) {
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(3 * sizeof(int))];
    } ancillary = {0};
    int64_t note = 5;
    struct cord_news news;
    struct iovec part = {&note, sizeof(note)};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &ancillary, .msg_controllen = sizeof(ancillary)};
    const int sent[3] = {0, 0, 0};
    int cord[2];

    (void)state;
    assert_int_equal(cord_pair(cord, NULL), 0);
    int before = fds_open();
    ancillary.head = (struct cmsghdr){CMSG_LEN(sizeof(sent)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&ancillary.head), sent, sizeof(sent));
    assert_int_equal(sendmsg(cord[0], &message, 0), sizeof(note));
    assert_int_equal(cord_receive(cord[1], &news, NULL), -1);
    ancillary.head.cmsg_len = CMSG_LEN(sizeof(int));
    message.msg_controllen = CMSG_SPACE(sizeof(int));
    assert_int_equal(sendmsg(cord[0], &message, 0), sizeof(note));
    assert_int_equal(cord_receive(cord[1], &news, NULL), -1);
    assert_int_equal(fds_open(), before);
    (void)close(cord[0]);
    (void)close(cord[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_channels_and_numbers),
        cmocka_unit_test(carries_last_words),
        cmocka_unit_test(refuses_what_is_no_note),
        cmocka_unit_test(keeps_nothing_that_it_refuses),
    };

    return cmocka_run_group_tests_name("plugin/cord", tests, NULL, NULL);
}
