/* Both ends of a channel in one process: the other side is a thread, or bytes that the test writes. */
#include "test.h"

#include "plugin/channel.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the other side ---- */

struct other {
    struct channel *channel; /* owned by its thread */
    const struct channel_user *user;
    int r;
    struct theseus_error err;
    pthread_t thread;
};

static void *other_main(void *arg) {
    struct other *other = arg;

    other->r = channel_serve(other->channel, other->user, &other->err);
    (void)channel_free(other->channel);
    return NULL;
}

static struct channel *with_other(struct other *other, const struct channel_user *user) {
    struct channel *channel;
    int fd;

    assert_int_equal(channel_pair(&channel, &fd, NULL), 0);
    *other = (struct other){.channel = channel_new(fd), .user = user};
    assert_int_equal(pthread_create(&other->thread, NULL, other_main, other), 0);
    return channel;
}

static void other_ends(struct other *other, struct channel *channel) {
    (void)channel_free(channel);
    assert_int_equal(pthread_join(other->thread, NULL), 0);
    assert_int_equal(other->r, 0);
}

static json_t *refuse_all(void *arg, struct channel *channel, const char *verb, const json_t *message) {
    (void)arg, (void)channel, (void)verb, (void)message;
    return NULL;
}

static bool at_once(void *arg) {
    (void)arg;
    return true;
}

static const struct channel_user nobody = {.serve = refuse_all}, impatient = {.serve = refuse_all, .gives_up = at_once};

static json_t *question(const char *verb) {
    return json_pack("{s:s}", "ask", verb);
}

/* ---- questions ---- */

/* Answers "double" with twice the number, asking for the number first. */
static json_t *serve_double(void *arg, struct channel *channel, const char *verb, const json_t *message) {
    const struct channel_user *own = arg;
    json_auto_t *number = NULL;

    (void)message;
    if (strcmp(verb, "nothing") == 0)
        return channel_answer_new(NULL);
    if (strcmp(verb, "no") == 0)
        return channel_error_new("not today");
    if (strcmp(verb, "double") != 0)
        return NULL;
    assert_int_equal(channel_ask(channel, question("number"), own, &number, NULL), 0);
    return channel_answer_new(json_integer(2 * json_integer_value(number)));
}

static json_t *serve_number(void *arg, struct channel *channel, const char *verb, const json_t *message) {
    (void)channel, (void)message;
    return strcmp(verb, "number") == 0 ? channel_answer_new(json_integer(*(int *)arg)) : NULL;
}

static void answers_and_asks_back_meanwhile(void **state) {
    int number = 21;
    const struct channel_user inner = {.serve = refuse_all};
    const struct channel_user theirs = {.serve = serve_double, .arg = (void *)(uintptr_t)&inner};
    const struct channel_user ours = {.serve = serve_number, .arg = &number};
    struct other other;
    struct channel *channel = with_other(&other, &theirs);

    (void)state;
    for (int i = 0; i < 100; i++, number++) {
        json_auto_t *answer = NULL;
        assert_int_equal(channel_ask(channel, question("double"), &ours, &answer, NULL), 0);
        assert_int_equal(json_integer_value(answer), 2 * number);
    }
    other_ends(&other, channel);
}

static void gives_null_for_null(void **state) {
    const struct channel_user theirs = {.serve = serve_double};
    struct other other;
    struct channel *channel = with_other(&other, &theirs);
    json_t *answer = (json_t *)&other;

    (void)state;
    assert_int_equal(channel_ask(channel, question("nothing"), &nobody, &answer, NULL), 0);
    assert_null(answer);
    other_ends(&other, channel);
}

static void says_why_the_other_side_refuses(void **state) {
    const struct channel_user theirs = {.serve = serve_double};
    struct theseus_error err = {0};
    struct other other;
    struct channel *channel = with_other(&other, &theirs);
    json_t *answer = NULL;

    (void)state;
    assert_int_equal(channel_ask(channel, question("no"), &nobody, &answer, &err), CHANNEL_REFUSED);
    assert_string_equal(err.message, "not today");
    err = (struct theseus_error){0};
    assert_int_equal(channel_ask(channel, question("what"), &nobody, &answer, &err), CHANNEL_REFUSED);
    assert_string_equal(err.message, "is not known here");
    other_ends(&other, channel);
}

static void refuses_what_cannot_be_written_and_goes_on(void **state) {
    const struct channel_user theirs = {.serve = serve_double};
    struct theseus_error err = {0};
    struct other other;
    struct channel *channel = with_other(&other, &theirs);
    json_t *answer = NULL;

    (void)state;
    assert_int_equal(channel_ask(channel, NULL, &nobody, &answer, &err), CHANNEL_REFUSED);
    assert_int_equal(channel_ask(channel, question("nothing"), &nobody, &answer, NULL), 0);
    other_ends(&other, channel);
}

static void carries_long_messages(void **state) {
    const struct channel_user theirs = {.serve = serve_double};
    CLEANUP(free) char *text = xcalloc(1, (4 << 20) + 1);
    struct other other;
    struct channel *channel = with_other(&other, &theirs);
    json_t *answer = NULL;

    (void)state;
    memset(text, 'x', 4 << 20);
    json_t *message = json_pack("{s:s, s:s}", "ask", "nothing", "text", text);
    assert_int_equal(channel_ask(channel, message, &nobody, &answer, NULL), 0);
    other_ends(&other, channel);
}

static json_t *note(void *arg, struct channel *channel, const char *verb, const json_t *message) {
    char *notes = arg;

    (void)channel, (void)message;
    (void)strcat(notes, verb);
    return strcmp(verb, "b") == 0 ? channel_answer_new(NULL) : NULL;
}

static void sends_what_was_held_before_the_next(void **state) {
    char notes[8] = "";
    const struct channel_user theirs = {.serve = note, .arg = notes};
    struct other other;
    struct channel *channel = with_other(&other, &theirs);
    json_t *answer = NULL;

    (void)state;
    assert_int_equal(channel_hold(channel, json_pack("{s:s}", "tell", "a"), NULL), 0);
    assert_int_equal(channel_ask(channel, question("b"), &nobody, &answer, NULL), 0);
    assert_int_equal(channel_tell(channel, json_pack("{s:s}", "tell", "c"), &nobody, NULL), 0);
    other_ends(&other, channel);
    assert_string_equal(notes, "abc");
}

/* ---- an end that says nothing, or leaves ---- */

static void hears_that_the_other_side_has_gone(void **state) {
    struct channel *channel;
    json_t *answer;
    int fd;

    (void)state;
    assert_int_equal(channel_pair(&channel, &fd, NULL), 0);
    (void)close(fd);
    assert_int_equal(channel_ask(channel, question("x"), &nobody, &answer, NULL), CHANNEL_ENDED);
    (void)channel_free(channel);
}

static void loses_patience_when_the_user_does(void **state) {
    CLEANUP(free) char *text = xcalloc(1, (1 << 20) + 1);
    struct channel *channel;
    json_t *answer;
    int fd;

    (void)state;
    memset(text, 'x', 1 << 20);
    assert_int_equal(channel_pair(&channel, &fd, NULL), 0);
    assert_int_equal(channel_ask(channel, question("x"), &impatient, &answer, NULL), CHANNEL_GIVEN_UP);
    json_t *message = json_pack("{s:s, s:s}", "tell", "x", "text", text); /* which nobody reads */
    assert_int_equal(channel_tell(channel, message, &impatient, NULL), CHANNEL_GIVEN_UP);
    (void)close(fd);
    (void)channel_free(channel);
}

/* ---- damage ---- */

static void damaged(const char *bytes, size_t len, const char *said) {
    struct theseus_error err = {0};
    struct channel *channel;
    json_t *answer;
    int fd;

    assert_int_equal(channel_pair(&channel, &fd, NULL), 0);
    assert_int_equal(write(fd, bytes, len), len);
    assert_int_equal(channel_ask(channel, question("x"), &nobody, &answer, &err), -1);
    assert_non_null(strstr(err.message, said));
    (void)close(fd);
    (void)channel_free(channel);
}

#define DAMAGED(bytes, said) damaged(bytes, sizeof(bytes) - 1, said)

static void refuses_what_is_no_message(void **state) {
    (void)state;
    DAMAGED("\0\0\0\0", "announces a message of 0 bytes");
    DAMAGED("\xff\xff\xff\xff", "announces a message of 4294967295 bytes");
    DAMAGED("\x01\0\0\x04", "announces a message of 67108865 bytes");
    DAMAGED("\x07\0\0\0garbage", "no JSON");
    DAMAGED("\x02\0\0\0{}", "neither asks nor tells");
    DAMAGED("\x02\0\0\0[]", "no message");
    DAMAGED("\x02\0\0\0"
            "17",
            "no message");
    DAMAGED("\x09\0\0\0{\"ask\":1}", "neither asks nor tells");
    DAMAGED("\x0c\0\0\0{\"error\":17}", "neither asks nor tells");
    DAMAGED("\x13\0\0\0{\"ask\":1,\"ask\":\"x\"}", "no JSON");
    DAMAGED("\x06\0\0\0{\"a\":}", "no JSON");
}

static void waits_for_the_rest_of_a_message(void **state) {
    static const char message[] = "\x0d\0\0\0{\"answer\":42}";
    (void)state;

    for (size_t cut = 0; cut < sizeof(message) - 1; cut++) {
        struct channel *channel;
        json_t *answer;
        int fd;
        assert_int_equal(channel_pair(&channel, &fd, NULL), 0);
        assert_int_equal(write(fd, message, cut), cut);
        assert_int_equal(channel_receive_now(channel, &answer, NULL), CHANNEL_NOTHING);
        assert_int_equal(write(fd, message + cut, sizeof(message) - 1 - cut), sizeof(message) - 1 - cut);
        int r;
        while ((r = channel_receive_now(channel, &answer, NULL)) == CHANNEL_NOTHING)
            ;
        assert_int_equal(r, 0);
        assert_true(channel_is_answer(answer));
        json_decref(answer);
        (void)close(fd);
        (void)channel_free(channel);
    }
}

static void ends_a_channel_that_ends_inside_a_message(void **state) {
    struct channel *channel;
    json_t *answer;
    int fd;

    (void)state;
    assert_int_equal(channel_pair(&channel, &fd, NULL), 0);
    assert_int_equal(write(fd, "\x0d\0\0\0{\"ans", 9), 9);
    (void)close(fd);
    assert_int_equal(channel_receive_now(channel, &answer, NULL), CHANNEL_NOTHING); /* of that read */
    assert_int_equal(channel_receive_now(channel, &answer, NULL), CHANNEL_ENDED);
    (void)channel_free(channel);
}

/* ---- without waiting ---- */

static void sends_at_once_or_not_at_all(void **state) {
    struct channel *channel;
    int fd, sent = 0;

    (void)state;
    assert_int_equal(channel_pair(&channel, &fd, NULL), 0);
    assert_int_equal(channel_send_now(channel, question("x"), 64), 0);
    assert_int_equal(channel_send_now(channel, question("too long for that"), 16), -1);
    while (channel_send_now(channel, question("until nothing more goes in"), 64) == 0)
        sent++;
    assert_true(sent > 10);
    (void)close(fd);
    (void)channel_free(channel);
}

static void mends_text_that_is_not_utf8(void **state) {
    json_auto_t *good = channel_text_new("gut"), *bad = channel_text_new("b\xff"), *none = channel_text_new(NULL);

    (void)state;
    assert_string_equal(json_string_value(good), "gut");
    assert_string_equal(json_string_value(bad), "b\xef\xbf\xbd");
    assert_string_equal(json_string_value(none), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_and_asks_back_meanwhile),
        cmocka_unit_test(gives_null_for_null),
        cmocka_unit_test(says_why_the_other_side_refuses),
        cmocka_unit_test(refuses_what_cannot_be_written_and_goes_on),
        cmocka_unit_test(carries_long_messages),
        cmocka_unit_test(sends_what_was_held_before_the_next),
        cmocka_unit_test(hears_that_the_other_side_has_gone),
        cmocka_unit_test(loses_patience_when_the_user_does),
        cmocka_unit_test(refuses_what_is_no_message),
        cmocka_unit_test(waits_for_the_rest_of_a_message),
        cmocka_unit_test(ends_a_channel_that_ends_inside_a_message),
        cmocka_unit_test(sends_at_once_or_not_at_all),
        cmocka_unit_test(mends_text_that_is_not_utf8),
    };

    return cmocka_run_group_tests_name("plugin/channel", tests, NULL, NULL);
}
