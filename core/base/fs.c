#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

char *path_join(const char *dir, const char *name) {
    size_t len = strlen(dir);

    return xasprintf("%s%s%s", dir, len && dir[len - 1] == '/' ? "" : "/", name);
}

/* What the user database says of us, looked up once: its functions are not safe between threads. */
static struct {
    pthread_once_t once;
    char *home;        /* owned for the life of the process */
    bool group_is_own; /* our group has our name and nobody else in it */
} account = {.once = PTHREAD_ONCE_INIT};

static bool has_other_members(const struct group *group, const char *name) {
    for (char **member = group->gr_mem; *member; member++)
        if (strcmp(*member, name) != 0)
            return true;
    return false;
}

static void look_up_account(void) {
    const struct passwd *user = getpwuid(getuid());

    account.home = xstrdup(user && user->pw_dir ? user->pw_dir : "/");
    if (!user)
        return;
    CLEANUP(free) char *name = xstrdup(user->pw_name);
    const struct group *group = getgrgid(getgid());
    account.group_is_own = group && strcmp(name, group->gr_name) == 0 && !has_other_members(group, name);
}

const char *fs_home(void) {
    const char *home = getenv("HOME");

    if (home && *home == '/')
        return home;
    (void)pthread_once(&account.once, look_up_account);
    return account.home;
}

char *path_absolute(const char *base_dir, const char *path) {
    if (*path == '/')
        return xstrdup(path);
    if (path[0] == '~' && (path[1] == '/' || path[1] == '\0'))
        return path[1] ? path_join(fs_home(), path + 2) : xstrdup(fs_home());
    return path_join(base_dir, path);
}

char *path_dir(const char *path) {
    const char *slash = strrchr(path, '/');

    if (!slash)
        return xstrdup(".");
    return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

const char *path_base(const char *path) {
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int check_mode(const char *path, mode_t mode, struct theseus_error *err) {
    struct stat st;

    if (stat(path, &st) < 0)
        return fail_errno(err, "cannot examine '%s'", path);
    if (!S_ISDIR(st.st_mode))
        return fail(err, ERR_INVALID, "'%s' is not a directory", path);
    if (st.st_uid != getuid())
        return fail(err, ERR_ACCESS, "directory '%s' belongs to another user (uid %u)", path, st.st_uid);
    if (st.st_mode & 0777 & ~mode)
        return fail(err, ERR_ACCESS, "directory '%s' is open to others; mend it with: chmod %o '%s'", path,
                    (unsigned)mode, path);
    return 0;
}

int fs_make_private_dir(const char *path, struct theseus_error *err) {
    return fs_make_dir(path, 0700, err);
}

int fs_make_dir(const char *path, mode_t mode, struct theseus_error *err) {
    CLEANUP(free) char *parts = xstrdup(path);

    for (char *slash = strchr(parts + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(parts, 0700) < 0 && errno != EEXIST)
            return fail_errno(err, "cannot make the directory '%s'", parts);
        *slash = '/';
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return fail_errno(err, "cannot make the directory '%s'", path);
    return check_mode(path, mode, err);
}

/* A group that has the user's own name and no other member is as private as the user. */
static bool group_is_private(gid_t gid) {
    (void)pthread_once(&account.once, look_up_account);
    return gid == getgid() && account.group_is_own;
}

static int check_stat(const struct stat *st, const char *path, struct theseus_error *err) {
    if (st->st_uid != 0 && st->st_uid != getuid())
        return fail(err, ERR_ACCESS, "'%s' belongs to another user (uid %u); mend it with: chown %u '%s'", path,
                    st->st_uid, getuid(), path);
    if (S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX))
        return 0;
    if ((st->st_mode & S_IWOTH) || ((st->st_mode & S_IWGRP) && !group_is_private(st->st_gid)))
        return fail(err, ERR_ACCESS, "'%s' may be written by others; mend it with: chmod go-w '%s'", path, path);
    return 0;
}

int fs_check_trusted(int fd, const char *path, struct theseus_error *err) {
    CLEANUP(free) char *real = realpath(path, NULL);
    struct stat st;

    if (fstat(fd, &st) < 0 || !real)
        return fail_errno(err, "cannot examine '%s'", path);
    if (check_stat(&st, path, err) < 0)
        return -1;
    for (char *slash = strrchr(real, '/'); slash; slash = strrchr(real, '/')) {
        *slash = '\0';
        const char *dir = *real ? real : "/";
        if (stat(dir, &st) < 0)
            return fail_errno(err, "cannot examine '%s'", dir);
        if (check_stat(&st, dir, err) < 0)
            return -1;
    }
    return 0;
}

int fs_read_fd(int fd, const char *path, size_t max, struct buf *ret_content, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf content = {0};
    ssize_t n;

    do {
        char *end = buf_reserve(&content, 16384);
        if (!end)
            return fail(err, ERR_MEMORY, "no memory to read '%s'", path);
        n = read(fd, end, 16384);
        if (n < 0)
            return fail_errno(err, "cannot read '%s'", path);
        buf_added(&content, (size_t)n);
        if (content.len > max)
            return fail(err, ERR_LIMIT, "'%s' is larger than %zu bytes", path, max);
    } while (n > 0);
    *ret_content = content;
    content = (struct buf){0};
    return 0;
}

int fs_read_file(const char *path, size_t max, struct buf *ret_content, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return fail_errno(err, "cannot open '%s'", path);
    return fs_read_fd(fd, path, max, ret_content, err);
}

/* A file that vanishes unless it is renamed to what it should become. */
struct draft {
    char *path; /* owned; NULL: kept, or never made */
    int fd;
};

static void draft_fini_cleanup(struct draft *draft) {
    if (draft->fd >= 0)
        (void)close(draft->fd);
    if (draft->path)
        (void)unlink(draft->path);
    free(draft->path);
}

static int draft_open(struct draft *draft, const char *path, mode_t mode, struct theseus_error *err) {
    draft->path = xasprintf("%s.new-XXXXXX", path);
    draft->fd = mkostemp(draft->path, O_CLOEXEC);
    if (draft->fd < 0) {
        (void)fail_errno(err, "cannot create a file beside '%s'", path);
        free(TAKE_PTR(draft->path));
        return -1;
    }
    return fchmod(draft->fd, mode) < 0 ? fail_errno(err, "cannot set the mode of '%s'", draft->path) : 0;
}

static int draft_keep(struct draft *draft, const char *path, struct theseus_error *err) {
    if (rename(draft->path, path) < 0)
        return fail_errno(err, "cannot rename '%s' to '%s'", draft->path, path);
    free(TAKE_PTR(draft->path));
    return 0;
}

static int write_all(int fd, struct span bytes) {
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes.data += n;
        bytes.len -= (size_t)n;
    }
    return 0;
}

static int sync_dir(const char *path, struct theseus_error *err) {
    CLEANUP(free) char *dir = path_dir(path);
    CLEANUP(fd_close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? fail_errno(err, "cannot sync the directory '%s'", dir) : 0;
}

int fs_write_file(const char *path, struct span content, mode_t mode, struct theseus_error *err) {
    CLEANUP(draft_fini) struct draft draft = {.fd = -1};

    if (draft_open(&draft, path, mode, err) < 0)
        return -1;
    if (write_all(draft.fd, content) < 0 || fsync(draft.fd) < 0)
        return fail_errno(err, "cannot write '%s'", draft.path);
    return draft_keep(&draft, path, err) < 0 ? -1 : sync_dir(path, err);
}

int fs_replace_file(const char *path, struct span content, mode_t mode, struct theseus_error *err) {
    CLEANUP(draft_fini) struct draft draft = {.fd = -1};

    if (draft_open(&draft, path, mode, err) < 0)
        return -1;
    if (write_all(draft.fd, content) < 0)
        return fail_errno(err, "cannot write '%s'", draft.path);
    return draft_keep(&draft, path, err);
}

/* Some file systems do not know the flag. */
static int rename_new(const char *draft, const char *path) {
    if (renameat2(AT_FDCWD, draft, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL || link(draft, path) < 0)
        return -1;
    (void)unlink(draft); /* the file has its name; another one does no harm */
    return 0;
}

static int publish(const char *draft, const char *path, int (*give_name)(const char *, const char *),
                   struct theseus_error *err) {
    CLEANUP(fd_close) int fd = open(draft, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return fail_errno(err, "cannot write '%s'", draft);
    if (give_name(draft, path) < 0)
        return fail_errno(err, "cannot rename '%s' to '%s'", draft, path);
    return sync_dir(path, err);
}

int fs_publish(const char *draft, const char *path, struct theseus_error *err) {
    return publish(draft, path, rename, err);
}

int fs_publish_new(const char *draft, const char *path, struct theseus_error *err) {
    return publish(draft, path, rename_new, err);
}

int fs_exists(const char *path, bool *ret_exists, struct theseus_error *err) {
    struct stat st;

    *ret_exists = stat(path, &st) == 0;
    return *ret_exists || errno == ENOENT || errno == ENOTDIR ? 0 : fail_errno(err, "cannot examine '%s'", path);
}

int fs_copy_fd(int from_fd, const char *path, mode_t mode, struct theseus_error *err) {
    CLEANUP(draft_fini) struct draft draft = {.fd = -1};
    off_t at = 0;
    ssize_t n;

    if (draft_open(&draft, path, mode, err) < 0)
        return -1;
    while ((n = sendfile(draft.fd, from_fd, &at, 1 << 20)) > 0)
        ;
    if (n < 0)
        return fail_errno(err, "cannot write '%s'", draft.path);
    return draft_keep(&draft, path, err);
}

void fs_remove_dir(const char *path) {
    DIR *dir = opendir(path);

    for (struct dirent *entry; dir && (entry = readdir(dir));)
        (void)unlinkat(dirfd(dir), entry->d_name, 0); /* "." and ".." refuse by themselves */
    if (dir)
        (void)closedir(dir);
    (void)rmdir(path);
}
