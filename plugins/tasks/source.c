#include "source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory.h"

enum { ATTEMPTS = 20, PAUSE_US = 50 * 1000 }; /* a second, for whoever writes to it to make a pause */

#define COPY_NAME "original.sqlite"
#define ROOM_PREFIX "import-"

static const char *const parts[] = {"", "-wal", "-journal"}; /* of a database */

enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

static void close_fd(const int *fd) {
    if (*fd >= 0)
        (void)close(*fd);
}

static int fail(struct theseus_error *err, const char *what, const char *path) {
    return theseus_fail(err, "cannot %s '%s': %s", what, path, strerror(errno));
}

/* ---- the copy ---- */

/* What would be different if somebody had written to it. */
static bool is_same(const struct stat *a, const struct stat *b) {
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int look(const char *path, struct stat stats[static PARTS], struct theseus_error *err) {
    for (size_t i = 0; i < PARTS; i++) {
        CLEANUP(text_fini) struct text part = {0};
        text_print(&part, "%s%s", path, parts[i]);
        if (part.failed)
            return theseus_fail(err, "there is no memory");
        stats[i] = (struct stat){0};
        if (stat(part.data, &stats[i]) < 0 && (i == 0 || errno != ENOENT))
            return fail(err, "read", part.data);
    }
    return S_ISREG(stats[0].st_mode) ? 0 : theseus_fail(err, "'%s' is no file", path);
}

static int copy_bytes(int from, int to) {
    char buffer[1 << 16];
    ssize_t n;

    while ((n = read(from, buffer, sizeof(buffer))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        for (ssize_t at = 0, written; at < n; at += written)
            if ((written = write(to, buffer + at, (size_t)(n - at))) < 0)
                return -1;
        if (n < 0)
            return -1;
    }
    return 0;
}

static int copy_part(const char *from_path, const char *to_path, struct theseus_error *err) {
    CLEANUP(close_fd) int from = open(from_path, O_RDONLY | O_CLOEXEC);

    if (from < 0)
        return errno == ENOENT ? 0 : fail(err, "read", from_path);
    CLEANUP(close_fd) int to = open(to_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (to < 0)
        return fail(err, "make", to_path);
    return copy_bytes(from, to) < 0 ? fail(err, "copy", from_path) : 0;
}

static int copy_parts(const char *path, const char *copy, struct theseus_error *err) {
    for (size_t i = 0; i < PARTS; i++) {
        CLEANUP(text_fini) struct text from = {0}, to = {0};
        text_print(&from, "%s%s", path, parts[i]);
        text_print(&to, "%s%s", copy, parts[i]);
        if (from.failed || to.failed)
            return theseus_fail(err, "there is no memory");
        (void)unlink(to.data); /* of an attempt before */
        if (copy_part(from.data, to.data, err) < 0)
            return -1;
    }
    return 0;
}

/* Until nothing changes while it is copied. */
static int copy(const char *path, const char *to, struct theseus_error *err) {
    struct stat before[PARTS], after[PARTS];

    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (look(path, before, err) < 0 || copy_parts(path, to, err) < 0 || look(path, after, err) < 0)
            return -1;
        bool same = true;
        for (size_t i = 0; i < PARTS; i++)
            same = same && is_same(&before[i], &after[i]);
        if (same)
            return 0;
        (void)usleep(PAUSE_US);
    }
    return theseus_fail(err, "'%s' is being written all the time: end the server that uses it, and import again", path);
}

/* ---- opening ---- */

static int db_fail(const struct source *source, struct theseus_error *err) {
    return theseus_fail(err, "'%s' cannot be read as a database: %s", source->path.data,
                        source->db ? sqlite3_errmsg(source->db) : "there is no memory");
}

static int run(const struct source *source, const char *sql, struct theseus_error *err) {
    return sqlite3_exec(source->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_fail(source, err);
}

/* Out of the log and into the file, which then needs none beside it. */
static int open_copy(struct source *source, const char *copy, struct theseus_error *err) {
    if (sqlite3_open_v2(copy, &source->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        return db_fail(source, err);
    if (run(source, "PRAGMA journal_mode = DELETE; PRAGMA trusted_schema = OFF", err) < 0)
        return -1;
    return run(source, "PRAGMA query_only = ON; PRAGMA cell_size_check = ON", err);
}

static void remove_copy(const char *room, const char *copy) {
    static const char *const made[] = {"", "-wal", "-journal", "-shm"};

    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
        CLEANUP(text_fini) struct text path = {0};
        text_print(&path, "%s%s", copy, made[i]);
        if (!path.failed)
            (void)unlink(path.data);
    }
    (void)rmdir(room); /* what is left is in a directory of its own */
}

static int open_in(struct source *source, const char *room, struct theseus_error *err) {
    CLEANUP(text_fini) struct text to = {0};

    text_print(&to, "%s/" COPY_NAME, room);
    if (to.failed)
        return theseus_fail(err, "there is no memory");
    int r = copy(source->path.data, to.data, err) < 0 ? -1 : open_copy(source, to.data, err);
    remove_copy(room, to.data);
    return r;
}

/* ---- rooms of copies ---- */

/* Whoever works in one has it locked; -1: somebody has, or it cannot be told. */
static int lock_room(const char *room) {
    int fd = open(room, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* What an import that was killed has left there. It may be large, and nobody else would know what it is. */
static void remove_left(const char *room) {
    DIR *dir = opendir(room);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        CLEANUP(text_fini) struct text left = {0}, made = {0};
        if (strncmp(entry->d_name, ROOM_PREFIX, strlen(ROOM_PREFIX)) != 0)
            continue;
        text_print(&left, "%s/%s", room, entry->d_name);
        text_print(&made, "%s/" COPY_NAME, left.data);
        CLEANUP(close_fd) int lock = left.failed || made.failed ? -1 : lock_room(left.data);
        if (lock >= 0)
            remove_copy(left.data, made.data);
    }
    if (dir)
        (void)closedir(dir);
}

/* ".task_orchestrator" is where the original keeps its database, in the directory that it works in. */
static void name_project(struct source *source) {
    const char *path = source->path.data, *slash = strrchr(path, '/');
    static const char own[] = "/.task_orchestrator";
    size_t len = (size_t)(slash - path), own_len = sizeof(own) - 1;

    if (len > own_len && strncmp(slash - own_len, own, own_len) == 0)
        len -= own_len;
    text_add(&source->project, path, len);
}

int source_open(struct source *source, const char *path, const char *room, struct theseus_error *err) {
    CLEANUP(memory_free) char *real = realpath(path, NULL);
    CLEANUP(text_fini) struct text own = {0};

    *source = (struct source){0};
    if (!real)
        return fail(err, "read", path);
    text_print(&source->path, "%s", real);
    text_print(&own, "%s/" ROOM_PREFIX "XXXXXX", room);
    if (source->path.failed || own.failed)
        return theseus_fail(err, "there is no memory");
    name_project(source);
    remove_left(room);
    if (!mkdtemp(own.data))
        return fail(err, "make a directory for a copy in", room);
    CLEANUP(close_fd) int lock = lock_room(own.data);
    if (lock < 0)
        return fail(err, "lock", own.data);
    return open_in(source, own.data, err);
}

void source_close(struct source *source) {
    (void)sqlite3_close(source->db);
    text_fini(&source->path);
    text_fini(&source->project);
    *source = (struct source){0};
}

/* ---- what is in it ---- */

bool source_has(const struct source *source, const char *table, const char *column) {
    sqlite3_stmt *columns = NULL;
    bool found = false;

    if (sqlite3_prepare_v2(source->db, "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2", -1, &columns, NULL) !=
        SQLITE_OK)
        return false;
    (void)sqlite3_bind_text(columns, 1, table, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(columns, 2, column, -1, SQLITE_STATIC);
    found = sqlite3_step(columns) == SQLITE_ROW;
    (void)sqlite3_finalize(columns);
    return found;
}

sqlite3_stmt *source_query(const struct source *source, const char *sql, struct theseus_error *err) {
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(source->db, sql, -1, &statement, NULL) != SQLITE_OK)
        (void)db_fail(source, err);
    return statement;
}
