/*
 * Landlock: nothing in the file system is made, written, renamed or removed but below one directory. The header of an
 * older kernel may lack what a newer one knows: the interface's numbers stand here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/landlock.h>

#include "base/mem.h"
#include "plugin/sandbox.h"

enum { VERSION_REFER = 2, VERSION_TRUNCATE = 3, VERSION_IOCTL = 5, VERSION_SCOPE = 6 };

#define ACCESS_REFER (1ULL << 13)
#define ACCESS_TRUNCATE (1ULL << 14)
#define ACCESS_IOCTL_DEVICE (1ULL << 15)
#define SCOPE_ABSTRACT_SOCKET (1ULL << 0)
#define SCOPE_SIGNAL (1ULL << 1)

struct ruleset {
    uint64_t files, net, scoped;
};

static const uint64_t in_the_directory = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                         LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                         LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                                         LANDLOCK_ACCESS_FS_MAKE_SYM | ACCESS_REFER | ACCESS_TRUNCATE;
static const uint64_t nowhere =
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SOCK | ACCESS_IOCTL_DEVICE;

/* What this version of the kernel's rules can say. */
static uint64_t known_files(int version) {
    uint64_t known = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1;

    known |= version >= VERSION_REFER ? ACCESS_REFER : 0;
    known |= version >= VERSION_TRUNCATE ? ACCESS_TRUNCATE : 0;
    return known | (version >= VERSION_IOCTL ? ACCESS_IOCTL_DEVICE : 0);
}

static int make_ruleset(int version, int *ret_fd, struct theseus_error *err) {
    struct ruleset ruleset = {.files = (in_the_directory | nowhere) & known_files(version)};
    size_t size = version >= VERSION_SCOPE ? sizeof(ruleset) : sizeof(ruleset.files);

    if (version >= VERSION_SCOPE)
        ruleset.scoped = SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL;
    *ret_fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
    return *ret_fd < 0 ? fail_errno(err, "cannot make rules for files") : 0;
}

static int allow_dir(int ruleset_fd, int version, const char *dir, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = {.allowed_access = in_the_directory & known_files(version),
                                              .parent_fd = fd};

    if (fd < 0)
        return fail_errno(err, "cannot open '%s'", dir);
    if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return fail_errno(err, "cannot make a rule for '%s'", dir);
    return 0;
}

int sandbox_limit_files(const char *dir, int *ret_path_rules, struct theseus_error *err) {
    int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    CLEANUP(fd_close) int fd = -1;

    if (version < VERSION_TRUNCATE) { /* before that a path can still be emptied: no rules to rely upon */
        *ret_path_rules = SANDBOX_NO_PATH_RULES;
        return 0;
    }
    if (make_ruleset(version, &fd, err) < 0 || (dir && allow_dir(fd, version, dir, err) < 0))
        return -1;
    if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        return fail_errno(err, "cannot put the rules for files in force");
    *ret_path_rules = version;
    return 0;
}
