#include "server/coredump.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

static void end_by(int signum) {
    struct rlimit limit;
    sigset_t none;

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
