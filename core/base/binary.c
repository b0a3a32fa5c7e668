#include "base/binary.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const Elf64_Ehdr __ehdr_start; /* of this very program; the linker makes it */

#define OWN "/proc/self/exe"

static int check_kind(const Elf64_Ehdr *head, const char *path, struct theseus_error *err) {
    if (head->e_ident[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS] ||
        head->e_ident[EI_DATA] != __ehdr_start.e_ident[EI_DATA])
        return fail(err, ERR_INVALID, "'%s' is a program for another kind of machine (%s, %s-endian)", path,
                    head->e_ident[EI_CLASS] == ELFCLASS64 ? "64-bit" : "32-bit",
                    head->e_ident[EI_DATA] == ELFDATA2LSB ? "little" : "big");
    if (head->e_machine != __ehdr_start.e_machine)
        return fail(err, ERR_INVALID, "'%s' is a program for another machine (ELF machine %u, this is %u)", path,
                    head->e_machine, __ehdr_start.e_machine);
    if ((head->e_type != ET_EXEC && head->e_type != ET_DYN) || head->e_entry == 0)
        return fail(err, ERR_INVALID, "'%s' is no program but another kind of ELF file", path);
    return 0;
}

static int examine_elf(int fd, const char *path, struct theseus_error *err) {
    Elf64_Ehdr head = {0};
    ssize_t len = pread(fd, &head, sizeof(head), 0);

    if (len < 0)
        return fail_errno(err, "cannot read '%s'", path);
    if (len >= 2 && memcmp(&head, "#!", 2) == 0)
        return fail(err, ERR_INVALID, "'%s' is a script; only the program itself can be executed", path);
    if (len < SELFMAG || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
        return fail(err, ERR_INVALID, "'%s' is no program (its format is not ELF)", path);
    if (len < (ssize_t)sizeof(Elf32_Ehdr))
        return fail(err, ERR_INVALID, "'%s' is only the beginning of a program (%zd bytes)", path, len);
    return check_kind(&head, path, err);
}

static int examine(struct binary *binary, struct theseus_error *err) {
    if (fstat(binary->fd, &binary->seen) < 0)
        return fail_errno(err, "cannot examine '%s'", binary->path);
    if (!S_ISREG(binary->seen.st_mode))
        return fail(err, ERR_INVALID, "'%s' is no regular file", binary->path);
    if (!(binary->seen.st_mode & 0111))
        return fail(err, ERR_INVALID, "'%s' may not be executed; mend it with: chmod +x '%s'", binary->path,
                    binary->path);
    if (binary->seen.st_mode & (S_ISUID | S_ISGID))
        return fail(err, ERR_INVALID, "'%s' is setuid or setgid; that is not taken on in the middle of a process",
                    binary->path);
    return examine_elf(binary->fd, binary->path, err);
}

int binary_open(struct binary *ret_binary, const char *path, struct theseus_error *err) {
    CLEANUP(binary_close)
    struct binary binary = {
        .fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), /* a FIFO would wait */
        .path = xstrdup(path),
    };

    if (binary.fd < 0)
        return fail_errno(err, "cannot open '%s'", path);
    if (examine(&binary, err) < 0)
        return -1;
    *ret_binary = binary;
    binary = (struct binary){.fd = -1};
    return 0;
}

/* It runs, so it can be executed, whatever has become of its file since; a file that may only be executed is no worse.
 */
int binary_open_own(struct binary *ret_binary, struct theseus_error *err) {
    int fd = open(OWN, O_RDONLY | O_CLOEXEC);

    if (fd < 0 && errno == EACCES)
        fd = open(OWN, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "cannot open the program that runs now");
    if (binary_adopt(ret_binary, fd, OWN, err) == 0)
        return 0;
    (void)close(fd);
    return -1;
}

int binary_adopt(struct binary *ret_binary, int fd, const char *path, struct theseus_error *err) {
    struct binary binary = {.fd = fd, .path = xstrdup(path)};

    if (fstat(fd, &binary.seen) < 0) {
        free(binary.path);
        return fail_errno(err, "descriptor %d of '%s' was not handed over", fd, path);
    }
    *ret_binary = binary;
    return 0;
}

static bool same_time(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

int binary_check_unchanged(const struct binary *binary, struct theseus_error *err) {
    struct stat now;

    if (fstat(binary->fd, &now) < 0)
        return fail_errno(err, "cannot examine '%s'", binary->path);
    if (now.st_size != binary->seen.st_size || !same_time(now.st_mtim, binary->seen.st_mtim) ||
        !same_time(now.st_ctim, binary->seen.st_ctim))
        return fail(err, ERR_BUSY, "'%s' was changed or replaced since it was examined; ask again when it is complete",
                    binary->path);
    return 0;
}

void binary_close(struct binary *binary) {
    if (binary->fd >= 0)
        (void)close(binary->fd);
    free(binary->path);
    *binary = (struct binary){.fd = -1};
}

void binary_close_cleanup(struct binary *binary) {
    binary_close(binary);
}

bool binary_is_same(const struct stat *one, const struct stat *other) {
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino && one->st_size == other->st_size &&
           one->st_mtim.tv_sec == other->st_mtim.tv_sec && one->st_mtim.tv_nsec == other->st_mtim.tv_nsec;
}
