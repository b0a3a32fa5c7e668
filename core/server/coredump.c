#include "server/coredump.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* It writes for as long as that takes: neither is a client to wait for the end of what the server sends, nor somebody
 * for a lock of the server's. */
static void end_by(int signum) {
    struct rlimit limit;
    sigset_t none;

    (void)syscall(SYS_close_range, 0, ~0U, 0);
    if (getrlimit(RLIMIT_CORE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_CORE, &limit);
    }
    (void)signal(signum, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)raise(signum);
    _exit(128 + signum);
}

/* Not fork(), which takes locks that the crashed thread may hold. */
pid_t coredump_fork(int signum) {
    pid_t pid = _Fork();

    if (pid == 0)
        end_by(signum);
    return pid > 0 ? pid : 0;
}
