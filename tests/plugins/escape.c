/*
 * Tries what an isolated plugin may not do, in its constructor and on demand, and says what came of it. Each attempt
 * would be harmless if it succeeded: a signal 0, a file that the test names, a call whose arguments make no sense.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <theseus/plugin.h>

extern char **environ;

static char *const words[] = {(char *)(uintptr_t) "true", NULL};

/* A child that was made after all ends at once. */
static long parent_only(long pid) {
    if (pid == 0)
        _exit(0);
    return pid;
}

static long try_execve(const char *path) {
    (void)path;
    return execve("/bin/true", words, environ);
}

static long try_execveat(const char *path) {
    (void)path;
    return syscall(SYS_execveat, AT_FDCWD, "/bin/true", words, environ, 0);
}

static long try_fork(const char *path) {
    (void)path;
    return parent_only(fork());
}

static long try_clone(const char *path) {
    (void)path;
    return parent_only(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0));
}

static long try_clone3(const char *path) {
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    } args = {.exit_signal = SIGCHLD};

    (void)path;
    return parent_only(syscall(SYS_clone3, &args, sizeof(args)));
}

static long try_spawn(const char *path) {
    pid_t pid;

    (void)path;
    errno = posix_spawn(&pid, "/bin/true", NULL, NULL, words, environ);
    return errno ? -1 : 0;
}

static long try_socket(const char *path) {
    (void)path;
    return socket(AF_INET, SOCK_STREAM, 0);
}

static long try_unix_socket(const char *path) {
    (void)path;
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

static long try_connect(const char *path) {
    const struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/nowhere"};

    (void)path;
    return connect(0, (const struct sockaddr *)&to, sizeof(to));
}

static long try_ptrace(const char *path) {
    (void)path;
    return ptrace(PTRACE_SEIZE, getppid(), NULL, NULL);
}

static long try_read_memory(const char *path) {
    char byte;
    struct iovec here = {&byte, 1}, there = {&byte, 1};

    (void)path;
    return process_vm_readv(getppid(), &here, 1, &there, 1, 0);
}

static long try_write_memory(const char *path) {
    char byte = 0;
    struct iovec here = {&byte, 1}, there = {&byte, 1};

    (void)path;
    return process_vm_writev(getppid(), &here, 1, &there, 1, 0);
}

static long try_proc_memory(const char *path) {
    char name[64];

    (void)path;
    (void)snprintf(name, sizeof(name), "/proc/%d/mem", (int)getppid());
    return open(name, O_RDONLY);
}

static long try_kill(const char *path) {
    (void)path;
    return kill(getppid(), 0);
}

static long try_kill_all(const char *path) {
    (void)path;
    return kill(-1, 0);
}

static long try_kill_group(const char *path) {
    (void)path;
    return kill(0, 0);
}

static long try_tgkill(const char *path) {
    (void)path;
    return syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static long try_tkill(const char *path) {
    (void)path;
    return syscall(SYS_tkill, getppid(), 0);
}

static long try_sigqueue(const char *path) {
    (void)path;
    return sigqueue(getppid(), 0, (union sigval){0});
}

static long try_pidfd_open(const char *path) {
    (void)path;
    return syscall(SYS_pidfd_open, getppid(), 0);
}

static long try_pidfd_signal(const char *path) {
    (void)path;
    return syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0);
}

static long try_owner(const char *path) {
    (void)path;
    return fcntl(0, F_SETOWN, getppid());
}

static long try_limits(const char *path) {
    struct rlimit limit;

    (void)path;
    return prlimit(getppid(), RLIMIT_CORE, NULL, &limit);
}

static long try_create(const char *path) {
    return open(path, O_WRONLY | O_CREAT, 0600);
}

static long try_write(const char *path) {
    return open(path, O_WRONLY);
}

static long try_read_write(const char *path) {
    return open(path, O_RDWR);
}

static long try_truncate(const char *path) {
    return truncate(path, 0);
}

static long try_empty(const char *path) {
    return open(path, O_RDONLY | O_TRUNC);
}

static long try_unlink(const char *path) {
    return unlink(path);
}

static long try_rename(const char *path) {
    return rename(path, "stolen");
}

static long try_link(const char *path) {
    return link(path, "linked");
}

static long try_mkdir(const char *path) {
    char name[4096];

    (void)snprintf(name, sizeof(name), "%s.dir", path);
    return mkdir(name, 0700);
}

static long try_symlink(const char *path) {
    (void)unlink("way-out");
    if (symlink(path, "way-out") < 0)
        return -1;
    return open("way-out", O_WRONLY);
}

static long try_chmod(const char *path) {
    return chmod(path, 0644);
}

static long try_fchmod(const char *path) {
    int fd = open(path, O_RDONLY);
    long r = fchmod(fd, 0644);
    int error = errno;

    (void)close(fd);
    errno = error;
    return r;
}

static long try_io_uring(const char *path) {
    (void)path;
    return syscall(SYS_io_uring_setup, 1, NULL);
}

static long try_bpf(const char *path) {
    (void)path;
    return syscall(SYS_bpf, 0, NULL, 0);
}

static long try_mount(const char *path) {
    (void)path;
    return mount("none", "/nowhere", "tmpfs", 0, NULL);
}

static long try_umount(const char *path) {
    (void)path;
    return umount("/nowhere");
}

static long try_open_tree(const char *path) {
    (void)path;
    return syscall(SYS_open_tree, AT_FDCWD, "/", 0);
}

static long try_unshare(const char *path) {
    (void)path;
    return unshare(CLONE_NEWUSER);
}

static long try_setns(const char *path) {
    (void)path;
    return setns(0, 0);
}

static long try_clone_user(const char *path) {
    (void)path;
    return parent_only(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0));
}

static long try_memfd(const char *path) {
    (void)path;
    return syscall(SYS_memfd_create, "x", 0);
}

static long try_terminal(const char *path) {
    char letter = 'x';

    (void)path;
    return ioctl(2, TIOCSTI, &letter);
}

static long try_orphan(const char *path) {
    (void)path;
    return prctl(PR_SET_PDEATHSIG, 0);
}

static long try_future(const char *path) {
    (void)path;
    return syscall(999);
}

/* ---- what it may do ---- */

static long may_write_own(const char *path) {
    (void)path;
    int fd = open("own", O_RDWR | O_CREAT | O_TRUNC, 0600);
    long r = write(fd, "x", 1) == 1 && rename("own", "owned") == 0 && unlink("owned") == 0 ? 0 : -1;

    (void)close(fd);
    return r;
}

static long may_read(const char *path) {
    int fd = open(path, O_RDONLY);

    return fd >= 0 && close(fd) == 0 ? 0 : -1;
}

static void *nothing(void *arg) {
    return arg;
}

static long may_make_threads(const char *path) {
    pthread_t thread;

    (void)path;
    errno = pthread_create(&thread, NULL, nothing, NULL);
    return errno ? -1 : pthread_join(thread, NULL);
}

static long may_signal_itself(const char *path) {
    (void)path;
    return kill(getpid(), 0);
}

static const struct {
    const char *what;
    long (*try)(const char *path);
} attempts[] = {
    {"execve", try_execve},
    {"execveat", try_execveat},
    {"fork", try_fork},
    {"clone", try_clone},
    {"clone3", try_clone3},
    {"posix_spawn", try_spawn},
    {"socket", try_socket},
    {"unix socket", try_unix_socket},
    {"connect", try_connect},
    {"ptrace", try_ptrace},
    {"process_vm_readv", try_read_memory},
    {"process_vm_writev", try_write_memory},
    {"/proc/PID/mem", try_proc_memory},
    {"kill", try_kill},
    {"kill all", try_kill_all},
    {"kill group", try_kill_group},
    {"tgkill", try_tgkill},
    {"tkill", try_tkill},
    {"sigqueue", try_sigqueue},
    {"pidfd_open", try_pidfd_open},
    {"pidfd_send_signal", try_pidfd_signal},
    {"F_SETOWN", try_owner},
    {"prlimit", try_limits},
    {"create", try_create},
    {"write", try_write},
    {"read and write", try_read_write},
    {"truncate", try_truncate},
    {"O_TRUNC", try_empty},
    {"unlink", try_unlink},
    {"rename", try_rename},
    {"link", try_link},
    {"mkdir", try_mkdir},
    {"symlink", try_symlink},
    {"chmod", try_chmod},
    {"fchmod", try_fchmod},
    {"io_uring", try_io_uring},
    {"bpf", try_bpf},
    {"mount", try_mount},
    {"umount", try_umount},
    {"open_tree", try_open_tree},
    {"unshare", try_unshare},
    {"setns", try_setns},
    {"clone user namespace", try_clone_user},
    {"memfd_create", try_memfd},
    {"TIOCSTI", try_terminal},
    {"PDEATHSIG", try_orphan},
    {"future call", try_future},
    {"may write its own", may_write_own},
    {"may read", may_read},
    {"may make threads", may_make_threads},
    {"may signal itself", may_signal_itself},
};

enum { COUNT = sizeof(attempts) / sizeof(attempts[0]) };

static const char *outcome(long r) {
    return r >= 0 ? "succeeded" : strerrorname_np(errno);
}

static const char *at_construction[2];

__attribute__((constructor)) static void escape_early(void) {
    at_construction[0] = outcome(try_fork(NULL));
    at_construction[1] = outcome(try_socket(NULL));
}

static int escape(struct theseus_call *call, void *self, const json_t *args) {
    const char *path = json_string_value(json_object_get(args, "path"));
    json_t *outcomes = json_object();

    (void)self;
    for (size_t i = 0; i < COUNT; i++) {
        long r = attempts[i].try(path);
        (void)json_object_set_new(outcomes, attempts[i].what, json_string(outcome(r)));
    }
    (void)json_object_set_new(outcomes, "fork in a constructor", json_string(at_construction[0]));
    (void)json_object_set_new(outcomes, "socket in a constructor", json_string(at_construction[1]));
    return theseus_reply_json(call, outcomes);
}

static int look(struct theseus_call *call, void *self, const json_t *args) {
    char directory[4096] = "";
    json_t *names = json_array();

    (void)self;
    (void)args;
    for (char **variable = environ; *variable; variable++)
        (void)json_array_append_new(names, json_stringn(*variable, strcspn(*variable, "=")));
    return theseus_reply_json(call,
                              json_pack("{s:i, s:i, s:s?, s:o, s:i}", "pid", (int)getpid(), "parent", (int)getppid(),
                                        "directory", getcwd(directory, sizeof(directory)), "environment", names,
                                        "no_new_privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)));
}

static const struct theseus_tool tools[] = {
    {.name = "escape",
     .description = "Tries everything that is forbidden, on a file that the test names.",
     .input_schema =
         "{\"type\": \"object\", \"properties\": {\"path\": {\"type\": \"string\"}}, \"required\": [\"path\"]}",
     .call = escape},
    {.name = "look", .description = "Says where it is.", .flags = THESEUS_READ_ONLY, .call = look},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "escape",
    .version = "1.0.0",
    .tools = tools,
};
