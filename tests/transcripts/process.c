/* The real binary, with the environment that hosts give. */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "loop/pidfd.h"
#include "peer_inner.h"

static void run_server(const struct sandbox *sandbox, int in, int out, char *const argv[], char *const envp[]) {
    CLEANUP(free) char *path = path_join(sandbox->dir, "stderr");
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (log >= 0 && dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 && dup2(log, STDERR_FILENO) >= 0 &&
        chdir(sandbox->work) == 0)
        (void)execve(sandbox->program, argv, envp);
    _exit(127);
}

int process_begin(struct peer *peer, const struct sandbox *sandbox, int in, int out, struct theseus_error *err) {
    char name[] = "theseus", set[] = "--set";
    char *argv[] = {name, set, sandbox->set_state, set, sandbox->set_runtime, set, sandbox->set_path, NULL};
    char **environment = sandbox_environment_new(sandbox);

    peer->pid = fork();
    if (peer->pid == 0)
        run_server(sandbox, in, out, argv, environment);
    for (char **variable = environment; *variable; variable++)
        free_cleanup(variable);
    free_cleanup(&environment);
    if (peer->pid < 0) {
        peer->pid = 0;
        return fail_errno(err, "cannot start '%s'", sandbox->program);
    }
    return pidfd_new(peer->pid, &peer->pidfd, err);
}

void process_end(struct peer *peer) {
    if (peer->pid) {
        (void)kill(peer->pid, SIGKILL);
        (void)waitpid(peer->pid, NULL, 0);
    }
    peer->pid = 0;
    if (peer->pidfd >= 0)
        (void)close(peer->pidfd);
    peer->pidfd = -1;
}
