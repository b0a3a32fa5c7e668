#include "test.h"

#include "conn/peer.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORDS(...) ((char *const *)(const char *const[]){__VA_ARGS__, NULL})

static void knows_who_is_at_the_other_end(void **state) {
    CLEANUP(peer_fini) struct peer peer = {0};
    struct theseus_error err = {0};
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(peer_ask(&peer, pair[0], &err), 0);
    assert_int_equal(peer.uid, geteuid());
    assert_int_equal(peer.pid, getpid());
    assert_true(peer.group_count >= 1);
    assert_int_equal(peer.groups[peer.group_count - 1], getegid());
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void asks_sockets_alone(void **state) {
    struct peer peer = {0};
    struct theseus_error err = {0};
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(peer_ask(&peer, ends[0], &err), -1);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void lets_its_own_user_in_and_those_who_are_named(void **state) {
    gid_t groups[] = {77, 88};
    struct peer own = {.uid = geteuid()};
    struct peer other = {.uid = geteuid() + 1000, .groups = groups, .group_count = 2};
    CLEANUP(free) char *uid = xasprintf("%u", (unsigned)other.uid);

    (void)state;
    assert_true(peer_is_admitted(&own, NULL, NULL));
    assert_true(peer_is_admitted(&own, WORDS("1"), NULL));
    assert_false(peer_is_admitted(&other, NULL, NULL));
    assert_false(peer_is_admitted(&other, WORDS("1", "nobody at all", ""), WORDS("1", "", "none such")));
    assert_true(peer_is_admitted(&other, WORDS("1", uid), NULL));
    assert_true(peer_is_admitted(&other, NULL, WORDS("88")));
    assert_false(peer_is_admitted(&other, WORDS("88"), WORDS(uid)));
    other.uid = 0;
    assert_int_equal(peer_is_admitted(&other, WORDS("root"), NULL), true);
    groups[1] = 0;
    other.uid = geteuid() + 1000;
    assert_true(peer_is_admitted(&other, NULL, WORDS("root")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_who_is_at_the_other_end),
        cmocka_unit_test(asks_sockets_alone),
        cmocka_unit_test(lets_its_own_user_in_and_those_who_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
