/*
 * The system call filter: a program for the kernel that looks at a call's number and, for a few, at one argument.
 *
 * What is denied stands in tables and fails with EPERM; a call that is newer than these tables does not exist (ENOSYS),
 * for it may do any of what they deny. Everything else is allowed: a plugin has libraries, and nobody could list what
 * those need.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "base/mem.h"
#include "plugin/sandbox.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the system call filter is written for x86_64 and aarch64"
#endif

enum { NEWEST_KNOWN = SYS_set_mempolicy_home_node };

/* ---- the tables ---- */

static const int denied[] = {
    /* other programs and processes */
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_process_mrelease,
    SYS_pidfd_open,
    SYS_pidfd_getfd,
    SYS_pidfd_send_signal,
    SYS_kcmp,
    SYS_tkill,
    SYS_setpriority,
    SYS_ioprio_set,
    SYS_migrate_pages,
    SYS_move_pages,
    SYS_setns,
    SYS_unshare,
    /* the network, and what other processes could be reached by */
    SYS_socket,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_shmget,
    SYS_shmat,
    SYS_semget,
    SYS_msgget,
    SYS_mq_open,
    SYS_mq_unlink,
    /* the kernel's side doors */
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_io_setup,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_fanotify_init,
    SYS_memfd_create,
    SYS_memfd_secret,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    /* mounts */
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    /* the machine */
    SYS_reboot,
    SYS_kexec_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_syslog,
    SYS_vhangup,
    /* of a file that is open for reading only, too, wherever it is */
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_fchownat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_fremovexattr,
    SYS_utimensat,
#if defined(__x86_64__)
    SYS_fork,
    SYS_vfork,
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
    SYS_kexec_file_load,
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_utime,
    SYS_utimes,
    SYS_futimesat,
#endif
};

/* Where no rules for paths are in force: all that makes, writes or removes a file. */
static const int denied_writing[] = {
    SYS_openat2,   SYS_mkdirat, SYS_mknodat, SYS_unlinkat, SYS_linkat, SYS_symlinkat, SYS_truncate,
#if defined(SYS_renameat)
    SYS_renameat,
#endif
    SYS_renameat2,
#if defined(__x86_64__)
    SYS_creat,     SYS_mkdir,   SYS_mknod,   SYS_unlink,   SYS_rmdir,  SYS_rename,    SYS_link,     SYS_symlink,
#endif
};

static const struct {
    int call, argument;
    uint32_t value;
} denied_arguments[] = {
    {SYS_ioctl, 1, TIOCSTI}, /* types into the terminal that the server may have */
    {SYS_ioctl, 1, TIOCLINUX},   {SYS_ioctl, 1, TIOCSCTTY},
    {SYS_fcntl, 1, F_SETOWN},                                      /* the kernel would send the signal */
    {SYS_fcntl, 1, F_SETOWN_EX}, {SYS_prctl, 0, PR_SET_PDEATHSIG}, /* it ends with the server */
};

/* Their first argument is a process: itself, and nobody else. */
static const int of_itself[] = {SYS_kill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo};

enum {
    NEW_NAMESPACES =
        CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET,
    WRITING = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY),
    OPEN_FLAGS = 1,
    OPENAT_FLAGS = 2,
};

/* ---- the program ---- */

enum { MOST = 1024 };

struct program {
    struct sock_filter code[MOST];
    unsigned short len;
};

static void add(struct program *program, uint16_t code, uint32_t value, uint8_t if_true, uint8_t if_false) {
    program->code[program->len++] = (struct sock_filter){code, if_true, if_false, value};
}

static void load(struct program *program, size_t offset) {
    add(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void load_number(struct program *program) {
    load(program, offsetof(struct seccomp_data, nr));
}

/* Its lower half; both machines store that first. */
static void load_argument(struct program *program, int argument) {
    load(program, offsetof(struct seccomp_data, args) + (size_t)argument * sizeof(uint64_t));
}

static void answer(struct program *program, uint32_t action) {
    add(program, BPF_RET | BPF_K, action, 0, 0);
}

static void answer_error(struct program *program, int number) {
    answer(program, SECCOMP_RET_ERRNO | (uint32_t)number);
}

static void deny(struct program *program, int call, int number) {
    add(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1);
    answer_error(program, number);
}

static void deny_all(struct program *program, const int *calls, size_t count) {
    for (size_t i = 0; i < count; i++)
        deny(program, calls[i], EPERM);
}

/* Around what is asked of one call: `length` instructions that leave by an answer or go on behind themselves. */
static void when(struct program *program, int call, uint8_t length) {
    add(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, length);
}

static void deny_value(struct program *program, int call, int argument, uint32_t value) {
    when(program, call, 4);
    load_argument(program, argument);
    add(program, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
    answer_error(program, EPERM);
    load_number(program);
}

static void deny_bits(struct program *program, int call, int argument, uint32_t bits) {
    when(program, call, 4);
    load_argument(program, argument);
    add(program, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
    answer_error(program, EPERM);
    load_number(program);
}

static void deny_without_bits(struct program *program, int call, int argument, uint32_t bits) {
    when(program, call, 4);
    load_argument(program, argument);
    add(program, BPF_JMP | BPF_JSET | BPF_K, bits, 1, 0);
    answer_error(program, EPERM);
    load_number(program);
}

static void deny_others(struct program *program, int call, uint32_t own) {
    when(program, call, 4);
    load_argument(program, 0);
    add(program, BPF_JMP | BPF_JEQ | BPF_K, own, 1, 0);
    answer_error(program, EPERM);
    load_number(program);
}

static void begin(struct program *program) {
    load(program, offsetof(struct seccomp_data, arch));
    add(program, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    answer(program, SECCOMP_RET_KILL_PROCESS);
    load_number(program);
    add(program, BPF_JMP | BPF_JGT | BPF_K, NEWEST_KNOWN, 0, 1); /* and those of x86_64 for x32 */
    answer_error(program, ENOSYS);
}

/* The C library makes a thread by clone3 and, where that is not there, by clone, whose flags can be seen. */
static void deny_processes(struct program *program) {
    const uint32_t own = (uint32_t)getpid();

    deny(program, SYS_clone3, ENOSYS);
    deny_without_bits(program, SYS_clone, 0, CLONE_THREAD);
    deny_bits(program, SYS_clone, 0, (uint32_t)NEW_NAMESPACES);
    for (size_t i = 0; i < ARRAY_SIZE(of_itself); i++)
        deny_others(program, of_itself[i], own);
    when(program, SYS_prlimit64, 5);
    load_argument(program, 0);
    add(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0);
    add(program, BPF_JMP | BPF_JEQ | BPF_K, own, 1, 0);
    answer_error(program, EPERM);
    load_number(program);
}

static void deny_writes(struct program *program) {
    deny_all(program, denied_writing, ARRAY_SIZE(denied_writing));
    deny_bits(program, SYS_openat, OPENAT_FLAGS, WRITING);
#if defined(__x86_64__)
    deny_bits(program, SYS_open, OPEN_FLAGS, WRITING);
#endif
}

int sandbox_filter_calls(bool deny_writing, struct theseus_error *err) {
    CLEANUP(free) struct program *program = xcalloc(1, sizeof(*program));

    begin(program);
    deny_all(program, denied, ARRAY_SIZE(denied));
    deny_processes(program);
    for (size_t i = 0; i < ARRAY_SIZE(denied_arguments); i++)
        deny_value(program, denied_arguments[i].call, denied_arguments[i].argument, denied_arguments[i].value);
    if (deny_writing)
        deny_writes(program);
    answer(program, SECCOMP_RET_ALLOW);
    const struct sock_fprog filter = {.len = program->len, .filter = program->code};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) != 0)
        return fail_errno(err, "cannot put the system call filter in force");
    return 0;
}
