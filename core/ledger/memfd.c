#include "ledger/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int memfd_new(const char *name, int *ret_fd, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return fail_errno(err, "cannot make a file in memory for '%s'", name);
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)
        return fail_errno(err, "cannot seal the file in memory for '%s'", name);
    *ret_fd = fd_take(&fd);
    return 0;
}

int memfd_allocate(int fd, off_t offset, off_t len) {
    int r;

    while ((r = fallocate(fd, 0, offset, len)) < 0 && errno == EINTR)
        ;
    return r;
}

void memfd_release(int fd, off_t offset, off_t len) {
    (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
}
