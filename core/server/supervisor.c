#include "server/supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { FIRST_GIVEN = 3 }; /* SD_LISTEN_FDS_START */

static bool is_for_us(void) {
    const char *pid = getenv("LISTEN_PID");

    return pid && strtol(pid, NULL, 10) == (long)getpid();
}

int supervisor_find_socket(int *ret_fd, struct theseus_error *err) {
    const char *text = is_for_us() ? getenv("LISTEN_FDS") : NULL;
    long count = text ? strtol(text, NULL, 10) : 0;

    (void)unsetenv("LISTEN_PID"); /* it is for this image, and for no child of ours */
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    *ret_fd = -1;
    if (count > 1)
        return fail(err, ERR_INVALID, "LISTEN_FDS is %ld: one socket is served; give one ListenStream to its unit",
                    count);
    if (count == 1)
        *ret_fd = FIRST_GIVEN;
    return 0;
}

static int address_of(const char *path, struct sockaddr_un *ret_address, socklen_t *ret_size) {
    size_t len = strlen(path);

    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if ((path[0] != '/' && path[0] != '@') || len >= sizeof(ret_address->sun_path))
        return -1;
    memcpy(ret_address->sun_path, path, len);
    if (path[0] == '@')
        ret_address->sun_path[0] = '\0';
    *ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return 0;
}

static void say(const char *text) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t size;

    if (!path || !*path)
        return;
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (address_of(path, &address, &size) < 0)
        log_warning("NOTIFY_SOCKET is no address of a UNIX socket: '%s'", path);
    else if (fd < 0 ||
             sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address, size) < 0)
        log_warning("the service manager was not told: %s", strerror(errno));
}

void supervisor_ready(void) {
    CLEANUP(free) char *text = xasprintf("READY=1\nMAINPID=%d", (int)getpid());

    say(text);
}

void supervisor_reloading(void) {
    CLEANUP(free) char *text = xasprintf("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(clock_now_ns() / 1000));

    say(text);
}

void supervisor_stopping(void) {
    say("STOPPING=1");
}
