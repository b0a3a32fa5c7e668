#include "server/binary.h"

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int examine_elf(int fd, const char *path, struct theseus_error *err) {
    Elf64_Ehdr head, own;
    CLEANUP(fd_close) int own_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    ssize_t len = pread(fd, &head, sizeof(head), 0);

    if (len >= 2 && memcmp(&head, "#!", 2) == 0)
        return fail(err, ERR_INVALID, "'%s' is a script", path);
    if (len != sizeof(head) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
        return fail(err, ERR_INVALID, "'%s' is no program (its format is not ELF)", path);
    if (own_fd < 0 || pread(own_fd, &own, sizeof(own), 0) != sizeof(own))
        return fail_errno(err, "cannot read the program that runs now");
    if (head.e_machine != own.e_machine || head.e_ident[EI_CLASS] != own.e_ident[EI_CLASS])
        return fail(err, ERR_INVALID, "'%s' is a program for another machine", path);
    if (head.e_type != ET_EXEC && head.e_type != ET_DYN)
        return fail(err, ERR_INVALID, "'%s' is no program but another kind of ELF file", path);
    return 0;
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
        return fail(err, ERR_INVALID, "'%s' is setuid or setgid", binary->path);
    return examine_elf(binary->fd, binary->path, err);
}

int binary_open(struct binary *ret_binary, const char *path, struct theseus_error *err) {
    CLEANUP(binary_close) struct binary binary = {.fd = open(path, O_RDONLY | O_CLOEXEC), .path = xstrdup(path)};

    if (binary.fd < 0)
        return fail_errno(err, "cannot open '%s'", path);
    if (examine(&binary, err) < 0)
        return -1;
    *ret_binary = binary;
    binary = (struct binary){.fd = -1};
    return 0;
}

int binary_open_own(struct binary *ret_binary, struct theseus_error *err) {
    return binary_open(ret_binary, "/proc/self/exe", err);
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
        now.st_mode != binary->seen.st_mode)
        return fail(err, ERR_BUSY, "'%s' was changed while it was being examined", binary->path);
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
