#include "loop/pidfd.h"

#include <sys/pidfd.h>

int pidfd_new(pid_t pid, int *ret_fd, struct theseus_error *err) {
    int fd = pidfd_open(pid, 0); /* closed on exec by itself */

    if (fd < 0)
        return fail_errno(err, "cannot watch the child process %d", (int)pid);
    *ret_fd = fd;
    return 0;
}
