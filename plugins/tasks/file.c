#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "memory.h"

static void close_fd(int *fd) {
    if (*fd >= 0)
        (void)close(*fd);
}

void file_hash(const char *content, size_t len, char text[static 65]) {
    unsigned char digest[crypto_hash_sha256_BYTES];

    (void)crypto_hash_sha256(digest, (const unsigned char *)content, len);
    (void)sodium_bin2hex(text, 65, digest, sizeof(digest));
}

static int fail(struct theseus_error *err, const char *what, const char *path) {
    return theseus_fail(err, "cannot %s '%.150s': %s", what, path, strerror(errno));
}

static int write_all(int fd, const char *content, size_t len) {
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, content + done, len - done);
        if (n < 0 && errno != EINTR)
            return -1;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int write_file(const char *path, mode_t mode, const char *content, size_t len, struct theseus_error *err) {
    CLEANUP(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

    if (fd < 0)
        return fail(err, "make", path);
    if (write_all(fd, content, len) < 0)
        return fail(err, "write", path);
    return fsync(fd) < 0 ? fail(err, "bring to the disk", path) : 0;
}

static int sync_directory(const char *directory, struct theseus_error *err) {
    CLEANUP(close_fd) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? fail(err, "bring to the disk", directory) : 0;
}

/* Aside, under a name that nobody else takes: of this thread and process. */
static int write_and_rename(const char *directory, const char *path, mode_t mode, const char *content, size_t len,
                            struct theseus_error *err) {
    CLEANUP(text_fini) struct text aside = {0};

    text_print(&aside, "%s.%d.new", path, (int)gettid());
    if (aside.failed)
        return theseus_fail(err, "there is no memory");
    (void)unlink(aside.data); /* of a process that had this number before */
    int r = write_file(aside.data, mode, content, len, err);
    if (r == 0 && rename(aside.data, path) < 0)
        r = fail(err, "make", path);
    if (r < 0) {
        (void)unlink(aside.data); /* what is left of it is of no use */
        return -1;
    }
    return sync_directory(directory, err);
}

/* A directory that is new is on the disk when the one that it is in is. */
static int make_directory(const char *directory, mode_t mode, struct theseus_error *err) {
    CLEANUP(text_fini) struct text parent = {0};

    if (mkdir(directory, mode) < 0)
        return errno == EEXIST ? 0 : fail(err, "make the directory", directory);
    text_print(&parent, "%s/..", directory);
    return parent.failed ? theseus_fail(err, "there is no memory") : sync_directory(parent.data, err);
}

int file_store(const char *directory, const char *name, const char *content, size_t len, struct theseus_error *err) {
    CLEANUP(text_fini) struct text path = {0};
    bool whole;

    text_print(&path, "%s/%s", directory, name);
    if (path.failed)
        return theseus_fail(err, "there is no memory");
    if (make_directory(directory, 0700, err) < 0)
        return -1;
    /* Young again: what has no row is removed when it is old, and the row comes only now. */
    if (file_check(path.data, name, (int64_t)len, true, &whole) == 0 && whole &&
        utimensat(AT_FDCWD, path.data, NULL, 0) == 0)
        return 0;
    return write_and_rename(directory, path.data, 0600, content, len, err);
}

int file_replace(const char *directory, const char *name, const char *content, size_t len, struct theseus_error *err) {
    CLEANUP(text_fini) struct text path = {0};

    text_print(&path, "%s/%s", directory, name);
    if (path.failed)
        return theseus_fail(err, "there is no memory");
    if (make_directory(directory, 0777, err) < 0)
        return -1;
    return write_and_rename(directory, path.data, 0666, content, len, err);
}

int file_read(const char *path, struct text *into) {
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    char buffer[1 << 16];
    ssize_t n;

    if (fd < 0)
        return -1;
    while ((n = read(fd, buffer, sizeof(buffer))) > 0 || (n < 0 && errno == EINTR))
        text_add(into, buffer, n > 0 ? (size_t)n : 0);
    if (n >= 0 && into->failed)
        errno = ENOMEM;
    return n < 0 || into->failed ? -1 : 0;
}

int file_check(const char *path, const char *hash, int64_t bytes, bool deep, bool *ret_whole) {
    CLEANUP(text_fini) struct text content = {0};
    struct stat st;
    char is[65];

    *ret_whole = false;
    if (stat(path, &st) < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
    if (S_ISREG(st.st_mode) && st.st_size == bytes) {
        if (deep && file_read(path, &content) < 0)
            return -1;
        file_hash(content.data ? content.data : "", content.len, is);
        *ret_whole = !deep || strcmp(is, hash) == 0;
    }
    return 0;
}
