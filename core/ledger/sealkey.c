#include "ledger/sealkey.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "ledger/sealing.h"

_Static_assert(SEAL_KEY_BYTES == crypto_kdf_KEYBYTES, "the file holds what keys are derived from");
_Static_assert(SEAL_KEY_BYTES == crypto_secretstream_xchacha20poly1305_KEYBYTES, "one size for both");

enum { SUBKEY_SEAL = 1, SUBKEY_ID = 2 };

static const char context[crypto_kdf_CONTEXTBYTES] = {'t', 'h', 'e', 's', 'e', 'u', 's', 's'};

void seal_key_fini(struct seal_key *key) {
    explicit_bzero(key, sizeof(*key));
}

void seal_key_fini_cleanup(struct seal_key *key) {
    seal_key_fini(key);
}

static int check_file(int fd, const char *path, struct theseus_error *err) {
    struct stat st;

    if (fstat(fd, &st) < 0)
        return fail_errno(err, "cannot examine the key '%s'", path);
    if (!S_ISREG(st.st_mode))
        return fail(err, ERR_INVALID, "the key '%s' is not a regular file", path);
    if (st.st_uid != geteuid())
        return fail(err, ERR_ACCESS, "the key '%s' belongs to another user (uid %u)", path, st.st_uid);
    if (st.st_mode & 077)
        return fail(err, ERR_ACCESS, "the key '%s' is open to others; mend it with: chmod 600 '%s'", path, path);
    if (st.st_size != SEAL_KEY_BYTES)
        return fail(err, ERR_INVALID,
                    "the key '%s' has %lld bytes instead of %d; put the right file back, or remove it", path,
                    (long long)st.st_size, SEAL_KEY_BYTES);
    return 0;
}

static void derive(struct seal_key *key, const unsigned char master[static SEAL_KEY_BYTES]) {
    (void)sodium.crypto_kdf_derive_from_key(key->bytes, sizeof(key->bytes), SUBKEY_SEAL, context, master);
    (void)sodium.crypto_kdf_derive_from_key(key->id, sizeof(key->id), SUBKEY_ID, context, master);
}

int seal_key_load(const char *path, struct seal_key *ret_key, struct theseus_error *err) {
    unsigned char master[SEAL_KEY_BYTES];
    /* A FIFO in its place may not stop us. */
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    const int why = errno;

    if (sealing_open_sodium(err) < 0)
        return -1;
    if (sodium.sodium_init() < 0)
        return fail(err, ERR_SYSTEM, "cannot seal: this system gives no random numbers");
    errno = why;
    if (fd < 0 && errno == ENOENT)
        return SEAL_KEY_MISSING;
    if (fd < 0)
        return fail_errno(err, "cannot open the key '%s'", path);
    if (check_file(fd, path, err) < 0)
        return -1;
    ssize_t n = pread(fd, master, sizeof(master), 0);
    if (n < 0)
        return fail_errno(err, "cannot read the key '%s'", path);
    if (n != SEAL_KEY_BYTES)
        return fail(err, ERR_INVALID, "the key '%s' was cut while it was read", path);
    derive(ret_key, master);
    explicit_bzero(master, sizeof(master));
    return 0;
}

static int write_random(int fd, const char *path, struct theseus_error *err) {
    unsigned char master[SEAL_KEY_BYTES];

    sodium.randombytes_buf(master, sizeof(master));
    ssize_t n = write(fd, master, sizeof(master));
    explicit_bzero(master, sizeof(master));
    if (n >= 0 && n != SEAL_KEY_BYTES)
        return fail(err, ERR_SYSTEM, "cannot write the key '%s': no space left", path);
    if (n < 0 || fsync(fd) < 0)
        return fail_errno(err, "cannot write the key '%s'", path);
    return 0;
}

/* Gives the finished file its name, unless that name exists: then somebody else was first, and theirs it is. */
static int publish(const char *draft, const char *path, const char *dir, struct theseus_error *err) {
    if (link(draft, path) < 0 && errno != EEXIST)
        return fail_errno(err, "cannot make the key '%s'", path);
    CLEANUP(fd_close) int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir_fd < 0 || fsync(dir_fd) < 0 ? fail_errno(err, "cannot sync the directory '%s'", dir) : 0;
}

/* A directory that exists is the user's choice; only one that we make is ours to close. */
static int make_dir(const char *dir, struct theseus_error *err) {
    return access(dir, F_OK) == 0 ? 0 : fs_make_private_dir(dir, err);
}

static int make_file(const char *path, struct theseus_error *err) {
    CLEANUP(free) char *dir = path_dir(path);
    CLEANUP(free) char *draft = xasprintf("%s.new-XXXXXX", path);

    if (make_dir(dir, err) < 0)
        return -1;
    CLEANUP(fd_close) int fd = mkostemp(draft, O_CLOEXEC); /* 0600, and nobody else's */
    if (fd < 0)
        return fail_errno(err, "cannot make the key '%s'", path);
    int r = write_random(fd, path, err) < 0 || publish(draft, path, dir, err) < 0 ? -1 : 0;
    (void)unlink(draft);
    return r;
}

int seal_key_make(const char *path, struct seal_key *ret_key, struct theseus_error *err) {
    int r = seal_key_load(path, ret_key, err);

    if (r != SEAL_KEY_MISSING)
        return r;
    if (make_file(path, err) < 0)
        return -1;
    r = seal_key_load(path, ret_key, err);
    return r == SEAL_KEY_MISSING ? fail(err, ERR_SYSTEM, "the key '%s' was removed while it was made", path) : r;
}
