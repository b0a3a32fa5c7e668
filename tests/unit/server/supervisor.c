#include "test.h"

#include "server/supervisor.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fs.h"

/* A manager that listens for what it is told. */
static int manager_new(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void hears(int fd, const char *expected) {
    char text[256] = "";

    assert_true(recv(fd, text, sizeof(text) - 1, 0) >= 0);
    if (strncmp(text, expected, strlen(expected)) != 0)
        print_error("'%s' is not '%s'\n", text, expected);
    assert_memory_equal(text, expected, strlen(expected));
}

static void tells_the_manager_how_it_goes(void **state) {
    char place[] = "/tmp/theseus-supervisor-XXXXXX";
    CLEANUP(free) char *ready = xasprintf("READY=1\nMAINPID=%d", (int)getpid());

    (void)state;
    assert_non_null(mkdtemp(place));
    CLEANUP(free) char *path = path_join(place, "notify");
    CLEANUP(fd_close) int fd = manager_new(path);
    assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
    supervisor_ready();
    hears(fd, ready);
    supervisor_reloading();
    hears(fd, "RELOADING=1\nMONOTONIC_USEC=");
    supervisor_stopping();
    hears(fd, "STOPPING=1");
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    supervisor_ready();
    assert_int_equal(recv(fd, place, 1, 0), -1);
    fs_remove_dir(place);
}

static void finds(const char *pid, const char *count, int expected) {
    struct theseus_error err = {0};
    int fd = -2;

    assert_int_equal(setenv("LISTEN_PID", pid, 1), 0);
    assert_int_equal(setenv("LISTEN_FDS", count, 1), 0);
    assert_int_equal(supervisor_find_socket(&fd, &err), 0);
    assert_int_equal(fd, expected);
    assert_null(getenv("LISTEN_PID"));
    assert_null(getenv("LISTEN_FDS"));
}

static void takes_the_socket_that_is_meant_for_this_process(void **state) {
    CLEANUP(free) char *own = xasprintf("%d", (int)getpid());
    struct theseus_error err = {0};
    int fd = -2;

    (void)state;
    assert_int_equal(supervisor_find_socket(&fd, &err), 0);
    assert_int_equal(fd, -1);
    finds(own, "1", 3);
    finds(own, "0", -1);
    finds("1", "1", -1);
    assert_int_equal(setenv("LISTEN_PID", own, 1), 0);
    assert_int_equal(setenv("LISTEN_FDS", "2", 1), 0);
    assert_int_equal(supervisor_find_socket(&fd, &err), -1);
    assert_non_null(strstr(err.message, "LISTEN_FDS is 2: one socket is served"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_the_manager_how_it_goes),
        cmocka_unit_test(takes_the_socket_that_is_meant_for_this_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
