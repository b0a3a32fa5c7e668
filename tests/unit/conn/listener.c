#include "test.h"

#include "conn/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "loop/until.h"

struct place {
    char *dir, *path; /* owned */
    struct loop *loop;
    struct listener_origin origin;
    int came;
};

static void on_connected(void *arg, int fd) {
    ((struct place *)arg)->came++;
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    (void)close(fd);
}

static void place_init(struct place *place) {
    char dir[] = "/tmp/theseus-listener-XXXXXX";

    assert_non_null(mkdtemp(dir));
    *place = (struct place){.dir = xstrdup(dir), .path = path_join(dir, "theseus.sock"), .loop = loop_new()};
    place->origin = (struct listener_origin){.loop = place->loop, .connected = on_connected, .arg = place};
}

static void place_fini(struct place *place) ON_LOOP {
    place->loop = loop_free(place->loop);
    fs_remove_dir(place->dir);
    free(place->path);
    free(place->dir);
}

static int connects(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_true(fd >= 0);
    int r = connect(fd, (struct sockaddr *)&address, sizeof(address));
    int saved = errno;
    (void)close(fd);
    return r < 0 ? -saved : 0;
}

static struct listener *opened(struct place *place, bool to_all) ON_LOOP {
    struct listener *listener = NULL;
    struct theseus_error err = {0};

    if (listener_open(&listener, &place->origin, place->path, to_all, &err) < 0)
        print_error("%s\n", err.message);
    assert_non_null(listener);
    return listener;
}

static void refuses(struct place *place, const char *why) ON_LOOP {
    struct listener *listener = NULL;
    struct theseus_error err = {0};

    assert_int_equal(listener_open(&listener, &place->origin, place->path, false, &err), -1);
    if (!strstr(err.message, why))
        print_error("%s\n", err.message);
    assert_non_null(strstr(err.message, why));
}

static mode_t mode_of(const char *path) {
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 0777;
}

static void lets_in_when_it_is_told_to(void **state) {
    struct place place;

    (void)state;
    loop_enter();
    place_init(&place);
    struct listener *listener = opened(&place, false);
    assert_int_equal(mode_of(place.path), 0600);
    assert_int_equal(connects(place.path), 0);
    (void)loop_turn(place.loop, 0);
    assert_int_equal(place.came, 0);
    listener_accept(listener, true);
    until(place.loop, place.came == 1);
    assert_int_equal(connects(place.path), 0);
    until(place.loop, place.came == 2);
    listener = listener_close(listener);
    assert_int_equal(access(place.path, F_OK), -1);
    place_fini(&place);
}

static void replaces_what_was_left_behind(void **state) {
    struct place place;

    (void)state;
    loop_enter();
    place_init(&place);
    struct listener *listener = opened(&place, false);
    refuses(&place, "listens on");
    listener = listener_free(listener);
    assert_int_equal(connects(place.path), -ECONNREFUSED);
    listener = opened(&place, false);
    assert_int_equal(connects(place.path), 0);
    listener = listener_close(listener);
    place_fini(&place);
}

/* A process that listens, and then is gone, while a child of its still has the socket. Returns the child's pid. */
static pid_t leave_socket_to_child(const struct place *place) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pid_t child = 0;
    int ends[2];

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", place->path);
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0 || (child = fork()) < 0)
            _exit(1);
        for (; child == 0;)
            (void)pause();
        _exit(write(ends[1], &child, sizeof(child)) != sizeof(child));
    }
    assert_int_equal(read(ends[0], &child, sizeof(child)), sizeof(child));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return child;
}

static void replaces_what_nobody_will_let_in_on(void **state) {
    struct place place;

    (void)state;
    loop_enter();
    place_init(&place);
    pid_t child = leave_socket_to_child(&place);
    assert_int_equal(connects(place.path), 0);
    assert_false(listener_is_served(place.path));
    struct listener *listener = opened(&place, false);
    assert_true(listener_is_served(place.path));
    listener = listener_close(listener);
    assert_false(listener_is_served(place.path));
    (void)kill(child, SIGKILL);
    place_fini(&place);
}

static void leaves_alone_what_is_no_socket(void **state) {
    struct place place;

    (void)state;
    loop_enter();
    place_init(&place);
    assert_int_equal(symlink("/nowhere", place.path), 0);
    refuses(&place, "is a symbolic link, and no socket");
    assert_int_equal(unlink(place.path), 0);
    assert_int_equal(mkdir(place.path, 0700), 0);
    refuses(&place, "is a directory, and no socket");
    assert_int_equal(rmdir(place.path), 0);
    assert_int_equal(chmod(place.dir, 0755), 0);
    refuses(&place, "mend it with: chmod 700");
    place_fini(&place);
}

static void is_opened_to_others_and_closed_again(void **state) {
    struct theseus_error err = {0};
    struct place place;

    (void)state;
    loop_enter();
    place_init(&place);
    struct listener *listener = opened(&place, true);
    assert_int_equal(mode_of(place.path), 0666);
    assert_int_equal(mode_of(place.dir), 0711);
    assert_int_equal(listener_set_open(listener, false, &err), 0);
    assert_int_equal(mode_of(place.path), 0600);
    assert_int_equal(mode_of(place.dir), 0700);
    assert_int_equal(listener_set_open(listener, true, &err), 0);
    assert_int_equal(mode_of(place.dir), 0711);
    listener = listener_close(listener);
    assert_int_equal(mode_of(place.dir), 0700);
    assert_int_equal(rmdir(place.dir), 0); /* nothing is left in it */
    place_fini(&place);
}

static void closes_what_a_server_that_is_gone_had_opened(void **state) {
    struct place place;

    (void)state;
    loop_enter();
    place_init(&place);
    struct listener *listener = opened(&place, true);
    listener = listener_free(listener); /* as after a crash: its files stay */
    assert_int_equal(mode_of(place.dir), 0711);
    listener = opened(&place, false);
    assert_int_equal(mode_of(place.path), 0600);
    assert_int_equal(mode_of(place.dir), 0700);
    listener = listener_close(listener);
    place_fini(&place);
}

static void leaves_a_directory_that_somebody_else_has_opened(void **state) {
    struct place place;

    (void)state;
    loop_enter();
    place_init(&place);
    assert_int_equal(chmod(place.dir, 0711), 0);
    refuses(&place, "mend it with: chmod 700");
    struct listener *listener = opened(&place, true);
    listener = listener_close(listener);
    assert_int_equal(mode_of(place.dir), 0711);
    refuses(&place, "mend it with: chmod 700");
    place_fini(&place);
}

static void keeps_a_directory_open_for_the_other_socket_in_it(void **state) {
    struct theseus_error err = {0};
    struct listener *other = NULL;
    struct place place;

    (void)state;
    loop_enter();
    place_init(&place);
    struct listener *listener = opened(&place, true);
    CLEANUP(free) char *path = path_join(place.dir, "other.sock");
    assert_int_equal(listener_open(&other, &place.origin, path, true, &err), 0);
    listener = listener_close(listener);
    assert_int_equal(mode_of(place.dir), 0711);
    other = listener_close(other);
    assert_int_equal(mode_of(place.dir), 0700);
    place_fini(&place);
}

static void goes_on_with_one_that_listens(void **state) {
    struct theseus_error err = {0};
    struct listener *next = NULL;
    struct place place;
    int ends[2];

    (void)state;
    loop_enter();
    place_init(&place);
    struct listener *listener = opened(&place, false);
    int kept = dup(listener_fd(listener));
    listener = listener_free(listener);
    assert_int_equal(connects(place.path), 0); /* it waits in the kernel */
    assert_int_equal(listener_adopt(&next, &place.origin, kept, false, &err), 0);
    assert_string_equal(listener_path(next), place.path);
    listener_accept(next, true);
    until(place.loop, place.came == 1);
    next = listener_close(next);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(listener_adopt(&next, &place.origin, ends[0], false, &err), -1);
    (void)close(ends[0]);
    (void)close(ends[1]);
    place_fini(&place);
}

static void says_when_its_path_is_too_long(void **state) {
    char path[200];
    struct place place;

    (void)state;
    loop_enter();
    place_init(&place);
    memset(path, 'x', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    free(place.path);
    place.path = xstrdup(path);
    refuses(&place, "longer than 107 bytes");
    place_fini(&place);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lets_in_when_it_is_told_to),
        cmocka_unit_test(replaces_what_was_left_behind),
        cmocka_unit_test(replaces_what_nobody_will_let_in_on),
        cmocka_unit_test(leaves_alone_what_is_no_socket),
        cmocka_unit_test(is_opened_to_others_and_closed_again),
        cmocka_unit_test(goes_on_with_one_that_listens),
        cmocka_unit_test(closes_what_a_server_that_is_gone_had_opened),
        cmocka_unit_test(leaves_a_directory_that_somebody_else_has_opened),
        cmocka_unit_test(keeps_a_directory_open_for_the_other_socket_in_it),
        cmocka_unit_test(says_when_its_path_is_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
