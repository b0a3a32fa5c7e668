#include "test.h"

#include "ledger/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "ledger/snapdir.h"

enum { CLAIMERS = 8, NOBODY = 65534 };

struct scratch {
    char *root, *dir, *key_file; /* owned */
};

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int make_scratch(void **state) {
    struct scratch *scratch = xcalloc(1, sizeof(*scratch));

    *state = scratch;
    scratch->root = xstrdup("/tmp/theseus-snapshot-XXXXXX");
    if (!mkdtemp(scratch->root))
        return -1;
    scratch->dir = path_join(scratch->root, "snapshots");
    scratch->key_file = path_join(scratch->root, "key");
    return 0;
}

static int remove_scratch(void **state) {
    struct scratch *scratch = *state;
    int r = nftw(scratch->root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);

    free(scratch->root);
    free(scratch->dir);
    free(scratch->key_file);
    free(scratch);
    return r;
}

static struct snapshot *server(const struct scratch *scratch, const char *boot_id) {
    return snapshot_new(&(struct snapshot_origin){
        .dir = scratch->dir, .key_file = scratch->key_file, .boot_id = boot_id, .server_version = "1.2.3"});
}

static void write_text(struct snapshot *snapshot, const char *text) {
    struct theseus_error err = {0};

    if (snapshot_write(snapshot, span_of(text), 1, &err) < 0)
        print_error("%s\n", err.message);
    assert_int_equal(err.code, 0);
}

/* A server that wrote these, separated by spaces, and died. */
static void leave(const struct scratch *scratch, const char *boot_id, const char *texts) {
    CLEANUP(snapshot_free) struct snapshot *snapshot = server(scratch, boot_id);
    CLEANUP(free) char *copy = xstrdup(texts);
    char *rest = NULL;

    for (char *text = strtok_r(copy, " ", &rest); text; text = strtok_r(NULL, " ", &rest))
        write_text(snapshot, text);
}

/* What `snapshot` claims, owned; NULL: nothing. */
static char *claim(struct snapshot *snapshot) {
    CLEANUP(snapshot_found_fini) struct snapshot_found found = {0};
    struct theseus_error err = {0};
    int r = snapshot_claim(snapshot, &found, &err);

    if (r < 0)
        print_error("%s\n", err.message);
    assert_true(r == 0 || r == SNAPSHOT_NONE);
    return r == 0 ? xstrndup(found.sealed.content.data, found.sealed.content.len) : NULL;
}

static void assert_claims(struct snapshot *snapshot, const char *want) {
    CLEANUP(free) char *got = claim(snapshot);

    if (want) {
        assert_non_null(got);
        assert_string_equal(got, want);
    } else {
        assert_null(got);
    }
}

/* How many names in the directory end so. */
static int count(const struct scratch *scratch, const char *ending) {
    DIR *dir = opendir(scratch->dir);
    int n = 0;

    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        size_t len = strlen(entry->d_name);
        n += entry->d_name[0] != '.' && len >= strlen(ending) &&
             strcmp(entry->d_name + len - strlen(ending), ending) == 0;
    }
    if (dir)
        (void)closedir(dir);
    return n;
}

static void in_child(void (*run)(struct scratch *scratch), struct scratch *scratch) {
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        run(scratch);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

#define EXPECT(condition)                                       \
    do {                                                        \
        if (!(condition)) {                                     \
            print_error("line %d: %s\n", __LINE__, #condition); \
            _exit(1);                                           \
        }                                                       \
    } while (0)

/* ---- writing ---- */

static void touches_nothing_before_it_is_asked(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *snapshot = server(scratch, "a");
    int removed = -1;

    assert_int_equal(snapshot_lock_fd(snapshot), -1);
    assert_claims(snapshot, NULL);
    assert_int_equal(snapshot_sweep(snapshot, 0, &removed, NULL), 0);
    assert_int_equal(removed, 0);
    assert_int_equal(snapshot_discard(snapshot, NULL), 0);
    assert_int_equal(snapshot_lock_fd(snapshot), -1);
    assert_int_equal(rmdir(scratch->root), 0); /* it is empty */
    assert_int_equal(mkdir(scratch->root, 0700), 0);
}

static void makes_no_key_for_a_claim(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *snapshot = server(scratch, "a");

    assert_int_equal(mkdir(scratch->dir, 0700), 0);
    assert_claims(snapshot, NULL);
    assert_int_equal(count(scratch, ""), 0);
    assert_int_equal(access(scratch->key_file, F_OK), -1);
}

static void keeps_five(void **state) {
    struct scratch *scratch = *state;

    leave(scratch, "a", "1 2 3 4 5 6 7 8 9");
    assert_int_equal(count(scratch, ".snap"), SNAPSHOT_KEPT);
    assert_int_equal(count(scratch, ""), SNAPSHOT_KEPT);
    CLEANUP(free) char *youngest = path_join(scratch->dir, "a.00000009.0.snap");
    assert_int_equal(access(youngest, F_OK), 0);
}

static void makes_private_files(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *snapshot = server(scratch, "a");
    struct stat st;

    mode_t old = umask(0);
    write_text(snapshot, "x");
    (void)umask(old);
    CLEANUP(free) char *file = path_join(scratch->dir, "a.00000001.0.snap");
    CLEANUP(free) char *lock = path_join(scratch->dir, "a.lock");
    assert_int_equal(stat(scratch->dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(lock, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void refuses_a_directory_open_to_others(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *snapshot = server(scratch, "b");
    CLEANUP(snapshot_found_fini) struct snapshot_found found = {0};
    struct theseus_error write_err = {0}, claim_err = {0};

    leave(scratch, "a", "1");
    assert_int_equal(chmod(scratch->dir, 0750), 0);
    assert_int_equal(snapshot_write(snapshot, span_of("x"), 1, &write_err), -1);
    assert_non_null(strstr(write_err.message, "chmod 700"));
    assert_int_equal(snapshot_claim(snapshot, &found, &claim_err), -1);
    assert_non_null(strstr(claim_err.message, "chmod 700"));
}

static void refuses_what_is_no_boot_id(void **state) {
    static const char *const bad[] = {
        "", ".", "../a", "a b", "a.b", "012345678901234567890123456789012345678901234567", "\xc3\xa4"};
    struct scratch *scratch = *state;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(snapshot_free) struct snapshot *snapshot = server(scratch, bad[i]);
        struct theseus_error err = {0};
        assert_int_equal(snapshot_write(snapshot, span_of("x"), 1, &err), -1);
        assert_non_null(strstr(err.message, "boot id"));
    }
    assert_int_equal(count(scratch, ""), 0);
}

static void refuses_more_than_it_would_read(void **state) {
    CLEANUP(snapshot_free) struct snapshot *snapshot = server(*state, "a");
    struct theseus_error err = {0};

    assert_int_equal(snapshot_write(snapshot, (struct span){"", (size_t)SNAPSHOT_MAX_BYTES + 1}, 1, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
}

static void writes_on_a_full_disk(struct scratch *scratch) {
    CLEANUP(snapshot_free) struct snapshot *snapshot = server(scratch, "a");
    struct theseus_error err = {0};

    (void)signal(SIGXFSZ, SIG_IGN);
    EXPECT(snapshot_write(snapshot, span_of("before"), 1, &err) == 0);
    for (rlim_t bytes = 0; bytes < 220; bytes++) {
        err = (struct theseus_error){0};
        EXPECT(setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, RLIM_INFINITY}) == 0);
        EXPECT(snapshot_write(snapshot, span_of("after"), 1, &err) == -1);
        EXPECT(strstr(err.message, "cannot write it"));
    }
    EXPECT(setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}) == 0);
    EXPECT(count(scratch, ".snap") == 1 && count(scratch, "") == 2);
}

static void keeps_the_last_when_the_disk_is_full(void **state) {
    CLEANUP(snapshot_free) struct snapshot *successor = server(*state, "b");

    in_child(writes_on_a_full_disk, *state);
    assert_claims(successor, "before");
}

/* Root may write anywhere: as nobody. */
static void meets_a_read_only_directory(struct scratch *scratch) {
    CLEANUP(snapshot_free) struct snapshot *own = server(scratch, "a");
    CLEANUP(snapshot_free) struct snapshot *other = server(scratch, "b");
    CLEANUP(snapshot_found_fini) struct snapshot_found found = {0};
    struct theseus_error err = {0}, claim_err = {0};

    if (geteuid() == 0)
        EXPECT(chown(scratch->root, NOBODY, NOBODY) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    leave(scratch, "c", "orphan");
    EXPECT(snapshot_write(own, span_of("before"), 1, NULL) == 0);
    EXPECT(chmod(scratch->dir, 0500) == 0);
    EXPECT(snapshot_write(own, span_of("after"), 1, &err) == -1);
    EXPECT(strstr(err.message, scratch->dir));
    EXPECT(snapshot_claim(other, &found, &claim_err) == -1);
    EXPECT(strstr(claim_err.message, scratch->dir));
    EXPECT(chmod(scratch->dir, 0700) == 0);
    EXPECT(snapshot_write(own, span_of("after"), 1, NULL) == 0);
    CLEANUP(free) char *got = claim(other);
    EXPECT(got && strcmp(got, "orphan") == 0);
}

static void goes_on_after_a_read_only_directory(void **state) {
    in_child(meets_a_read_only_directory, *state);
}

/* ---- claiming ---- */

static void gives_a_successor_what_the_dead_one_left(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *successor = server(scratch, "b");
    CLEANUP(snapshot_found_fini) struct snapshot_found found = {0};

    leave(scratch, "a", "1 2 3");
    assert_int_equal(snapshot_claim(successor, &found, NULL), 0);
    assert_true(span_equals(buf_span(&found.sealed.content), "3"));
    assert_string_equal(found.sealed.info.boot_id, "a");
    assert_string_equal(found.sealed.info.server_version, "1.2.3");
    assert_int_equal(found.sealed.info.records, 1);
    assert_int_equal(found.refused, 0);
    assert_int_equal(count(scratch, ".snap"), 1);
    assert_int_equal(count(scratch, ".lock"), 1); /* ours; the dead one's is gone */
}

static void leaves_what_belongs_to_one_who_lives(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *living = server(scratch, "a");
    CLEANUP(snapshot_free) struct snapshot *other = server(scratch, "b");

    write_text(living, "1");
    assert_claims(other, NULL);
    assert_int_equal(count(scratch, ".snap"), 1);
    living = snapshot_free(living);
    assert_claims(other, "1");
}

static void claims_nothing_when_it_has_its_own(void **state) {
    CLEANUP(snapshot_free) struct snapshot *snapshot = server(*state, "b");

    leave(*state, "a", "1");
    write_text(snapshot, "own");
    assert_claims(snapshot, NULL);
}

static void claims_one_orphan_only_the_youngest(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *first = server(scratch, "x");
    CLEANUP(snapshot_free) struct snapshot *second = server(scratch, "y");
    CLEANUP(snapshot_free) struct snapshot *third = server(scratch, "z");
    CLEANUP(free) char *old = path_join(scratch->dir, "a.00000001.0.snap");
    const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

    leave(scratch, "a", "older");
    leave(scratch, "b", "younger");
    assert_int_equal(utimensat(AT_FDCWD, old, long_ago, 0), 0);
    assert_claims(first, "younger");
    assert_claims(first, NULL);
    assert_claims(second, "older");
    assert_claims(third, NULL);
}

static void removes_the_claimed_one_when_its_own_is_on_disk(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *successor = server(scratch, "b");
    CLEANUP(free) char *claimed = path_join(scratch->dir, "b.00000000.1.snap");

    leave(scratch, "a", "1");
    assert_claims(successor, "1");
    assert_int_equal(access(claimed, F_OK), 0);
    write_text(successor, "2");
    assert_int_equal(access(claimed, F_OK), -1);
    assert_int_equal(count(scratch, ".snap"), 1);
}

static void passes_a_claim_on_when_the_claimer_dies(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *first = server(scratch, "b");
    CLEANUP(snapshot_free) struct snapshot *second = server(scratch, "c");
    CLEANUP(snapshot_free) struct snapshot *third = server(scratch, "d");

    leave(scratch, "a", "1");
    assert_claims(first, "1");
    assert_claims(second, NULL);
    first = snapshot_free(first);
    assert_claims(second, "1");
    assert_claims(third, NULL);
}

static void sets_aside_what_no_claimer_outlives(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_found_fini) struct snapshot_found found = {0};
    CLEANUP(snapshot_free) struct snapshot *last = server(scratch, "last");

    leave(scratch, "a", "1");
    for (int i = 0; i < SNAPSHOT_CLAIMS; i++) {
        CLEANUP(free) char *boot_id = xasprintf("b%d", i);
        CLEANUP(snapshot_free) struct snapshot *claimer = server(scratch, boot_id);
        assert_claims(claimer, "1");
    }
    assert_int_equal(snapshot_claim(last, &found, NULL), SNAPSHOT_NONE);
    assert_int_equal(found.refused, 1);
    assert_non_null(strstr(found.refusal.message, "claimed 5 times"));
}

static void keeps_what_was_refused_out_of_claims(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *first = server(scratch, "b");
    CLEANUP(snapshot_free) struct snapshot *second = server(scratch, "c");

    leave(scratch, "a", "1");
    assert_claims(first, "1");
    assert_int_equal(snapshot_refuse(first, NULL), 0);
    first = snapshot_free(first);
    assert_claims(second, NULL);
    assert_int_equal(count(scratch, ".snap.refused"), 1);
}

static void leaves_nothing_to_claim_when_it_discards(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *first = server(scratch, "a");
    CLEANUP(snapshot_free) struct snapshot *second = server(scratch, "b");

    write_text(first, "1");
    write_text(first, "2");
    assert_int_equal(snapshot_discard(first, NULL), 0);
    first = snapshot_free(first);
    assert_claims(second, NULL);
    assert_int_equal(count(scratch, ""), 0);
}

static char *file_of(const struct scratch *scratch, const char *boot_id, unsigned serial) {
    CLEANUP(free) char *name = xasprintf("%s.%08x.0.snap", boot_id, serial);

    return path_join(scratch->dir, name);
}

static void flip_last_byte(const char *path) {
    CLEANUP(fd_close) int fd = open(path, O_RDWR);
    struct stat st;
    char byte;

    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pread(fd, &byte, 1, st.st_size - 1), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, st.st_size - 1), 1);
}

static void falls_back_to_an_older_one(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *successor = server(scratch, "b");
    CLEANUP(snapshot_free) struct snapshot *another = server(scratch, "c");
    CLEANUP(snapshot_found_fini) struct snapshot_found found = {0};
    CLEANUP(free) char *third = file_of(scratch, "a", 3), *second = file_of(scratch, "a", 2);

    leave(scratch, "a", "1 2 3");
    flip_last_byte(third);
    assert_int_equal(truncate(second, 200), 0);
    assert_int_equal(snapshot_claim(successor, &found, NULL), 0);
    assert_true(span_equals(buf_span(&found.sealed.content), "1"));
    assert_int_equal(found.refused, 2);
    assert_non_null(strstr(found.refusal.message, "a.00000003.0.snap"));
    assert_non_null(strstr(found.refusal.message, "changed or damaged"));
    assert_int_equal(count(scratch, ".snap"), 1);
    assert_int_equal(count(scratch, ".snap.refused"), 2);
    successor = snapshot_free(successor);
    assert_claims(another, "1");
}

static void leaves_a_server_of_which_nothing_is_good(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *successor = server(scratch, "c");
    CLEANUP(snapshot_found_fini) struct snapshot_found found = {0};
    CLEANUP(free) char *bad = file_of(scratch, "b", 1);

    leave(scratch, "a", "good");
    leave(scratch, "b", "bad");
    flip_last_byte(bad);
    assert_int_equal(snapshot_claim(successor, &found, NULL), 0);
    assert_true(span_equals(buf_span(&found.sealed.content), "good"));
    assert_int_equal(access(bad, F_OK), 0);
    assert_int_equal(count(scratch, ".lock"), 1);
}

static void says_that_the_key_is_missing_and_makes_no_other(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *successor = server(scratch, "b");
    CLEANUP(snapshot_found_fini) struct snapshot_found found = {0};

    leave(scratch, "a", "1");
    assert_int_equal(unlink(scratch->key_file), 0);
    assert_int_equal(snapshot_claim(successor, &found, NULL), SNAPSHOT_NONE);
    assert_int_equal(found.refused, 1);
    assert_non_null(strstr(found.refusal.message, scratch->key_file));
    assert_int_equal(access(scratch->key_file, F_OK), -1);
    assert_int_equal(count(scratch, ".snap"), 1);
}

static void keeps_what_was_sealed_with_another_key(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *successor = server(scratch, "c");
    CLEANUP(snapshot_found_fini) struct snapshot_found found = {0};
    CLEANUP(free) char *kept = file_of(scratch, "a", 1);

    leave(scratch, "a", "1");
    assert_int_equal(unlink(scratch->key_file), 0);
    write_text(successor, "own"); /* makes another key */
    CLEANUP(snapshot_free) struct snapshot *next = server(scratch, "d");
    assert_int_equal(snapshot_claim(next, &found, NULL), SNAPSHOT_NONE);
    assert_non_null(strstr(found.refusal.message, "another key"));
    assert_int_equal(access(kept, F_OK), 0);
}

static void refuses_a_file_open_to_others(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *successor = server(scratch, "b");
    CLEANUP(snapshot_found_fini) struct snapshot_found found = {0};
    CLEANUP(free) char *wide = file_of(scratch, "a", 1);
    CLEANUP(free) char *mend = xasprintf("chmod 600 '%s'", wide);

    leave(scratch, "a", "1");
    assert_int_equal(chmod(wide, 0640), 0);
    assert_int_equal(snapshot_claim(successor, &found, NULL), SNAPSHOT_NONE);
    assert_non_null(strstr(found.refusal.message, mend));
}

static void passes_over_links_and_what_is_no_file(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *successor = server(scratch, "z");
    CLEANUP(free)
    char *real = file_of(scratch, "a", 1), *elsewhere = path_join(scratch->root, "elsewhere"),
         *fifo = file_of(scratch, "b", 1), *subdir = file_of(scratch, "c", 1);

    leave(scratch, "a", "1");
    assert_int_equal(rename(real, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, real), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(mkdir(subdir, 0700), 0);
    assert_claims(successor, NULL);
}

static void passes_over_names_of_others(void **state) {
    static const char *const names[] = {".snap",
                                        "a.snap",
                                        "a.1.0.snap",
                                        "a.0000000g.0.snap",
                                        "a.00000001.00.snap",
                                        "a.00000001.0.snap~",
                                        "a b.00000001.0.snap",
                                        "README",
                                        "a.lock.lock",
                                        "a.00000001.-1.snap"};
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *snapshot = server(scratch, "z");
    int removed = -1;

    assert_int_equal(mkdir(scratch->dir, 0700), 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP(free) char *path = path_join(scratch->dir, names[i]);
        assert_int_equal(fs_write_file(path, span_of("x"), 0600, NULL), 0);
    }
    assert_claims(snapshot, NULL);
    assert_int_equal(snapshot_sweep(snapshot, -1000000, &removed, NULL), 0);
    assert_int_equal(removed, 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP(free) char *path = path_join(scratch->dir, names[i]);
        assert_int_equal(access(path, F_OK), 0);
    }
}

/* ---- several at once, and death ---- */

/* Claims when all do, says what it got, and lives until all have. */
static void race(const struct scratch *scratch, int number, const int start[2], const int out[2], const int end[2]) {
    CLEANUP(free) char *boot_id = xasprintf("claimer-%d", number);
    CLEANUP(snapshot_free) struct snapshot *snapshot = server(scratch, boot_id);
    char byte;

    (void)close(start[1]);
    (void)close(end[1]);
    EXPECT(read(start[0], &byte, 1) == 0); /* until the other end is closed */
    CLEANUP(free) char *got = claim(snapshot);
    EXPECT(write(out[1], got ? got : "-", 1) == 1);
    EXPECT(read(end[0], &byte, 1) == 0);
    _exit(0);
}

static void check_race(const struct scratch *scratch, int orphans) {
    int start[2], out[2], end[2], taken[10] = {0};
    pid_t pids[CLAIMERS];
    char got;

    assert_true(pipe(start) == 0 && pipe(out) == 0 && pipe(end) == 0);
    for (int i = 0; i < CLAIMERS; i++)
        if ((pids[i] = fork()) == 0)
            race(scratch, i, start, out, end);
    (void)close(start[0]);
    (void)close(start[1]);
    for (int i = 0; i < CLAIMERS; i++) {
        assert_int_equal(read(out[0], &got, 1), 1);
        if (got != '-')
            taken[got - '0']++;
    }
    (void)close(end[0]);
    (void)close(end[1]);
    for (int i = 0; i < CLAIMERS; i++)
        assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
    (void)close(out[0]);
    (void)close(out[1]);
    for (int i = 0; i < orphans; i++)
        assert_int_equal(taken[i], 1);
}

static void gives_each_orphan_to_exactly_one_of_many_at_once(void **state) {
    struct scratch *scratch = *state;

    for (int round = 0; round < 20; round++) {
        CLEANUP(free) char *first = xasprintf("dead-%d", round);
        leave(scratch, first, "0");
        check_race(scratch, 1);
        assert_int_equal(nftw(scratch->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
    }
    leave(scratch, "dead-0", "9 9 0");
    leave(scratch, "dead-1", "9 1");
    leave(scratch, "dead-2", "2");
    check_race(scratch, 3);
}

enum { NO_TRACING = 77 };

/*
 * Runs `run` in a child up to its system call number `limit`, and leaves it stopped there. Returns its wait status: it
 * may have come to its end before. A caller skips where `*ret_pid` is 0: processes may not be traced.
 */
static int run_to(void (*run)(struct scratch *scratch), struct scratch *scratch, int limit, pid_t *ret_pid) {
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
            _exit(NO_TRACING);
        (void)raise(SIGSTOP);
        run(scratch);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *ret_pid = WIFEXITED(status) && WEXITSTATUS(status) == NO_TRACING ? 0 : pid;
    for (int stops = 0; WIFSTOPPED(status) && stops < 2 * limit; stops++) {
        assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
    }
    return status;
}

/* Kills it there. Returns whether it came to its end instead; -1: no tracing. */
static int run_until(void (*run)(struct scratch *scratch), struct scratch *scratch, int limit) {
    pid_t pid;
    int status = run_to(run, scratch, limit, &pid);

    if (pid == 0)
        return -1;
    if (WIFSTOPPED(status)) {
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        return 0;
    }
    assert_int_equal(status, 0);
    return 1;
}

/* Does `meanwhile` while it stands there, and lets it run to its end. The same results. */
static int run_around(void (*run)(struct scratch *scratch), void (*meanwhile)(struct scratch *scratch),
                      struct scratch *scratch, int limit) {
    pid_t pid;
    int status = run_to(run, scratch, limit, &pid);

    if (pid == 0)
        return -1;
    int ended = !WIFSTOPPED(status);
    meanwhile(scratch);
    while (WIFSTOPPED(status)) {
        assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
    }
    assert_int_equal(status, 0);
    return ended;
}

static void start_over(const struct scratch *scratch, const char *texts) {
    if (access(scratch->dir, F_OK) == 0)
        assert_int_equal(nftw(scratch->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
    if (texts)
        leave(scratch, "a", texts);
}

static void claims_and_dies(struct scratch *scratch) {
    struct snapshot *snapshot = server(scratch, "b");
    CLEANUP(snapshot_found_fini) struct snapshot_found found = {0};

    EXPECT(snapshot_claim(snapshot, &found, NULL) == 0);
    _exit(0); /* without giving the lock back */
}

static void loses_and_doubles_nothing_when_a_claimer_is_killed_at_any_step(void **state) {
    struct scratch *scratch = *state;
    int ended = 0, steps = 0;

    while (!ended) {
        CLEANUP(snapshot_free) struct snapshot *next = server(scratch, "c");
        CLEANUP(snapshot_free) struct snapshot *another = server(scratch, "d");
        start_over(scratch, "1 2 3");
        ended = run_until(claims_and_dies, scratch, ++steps);
        if (ended < 0)
            skip();
        assert_claims(next, "3");
        assert_claims(another, NULL);
        next = snapshot_free(next);
        assert_claims(another, "3");
    }
    assert_true(steps > 20);
}

static void claims_writes_and_dies(struct scratch *scratch) {
    struct snapshot *snapshot = server(scratch, "b");
    CLEANUP(snapshot_found_fini) struct snapshot_found found = {0};

    EXPECT(snapshot_claim(snapshot, &found, NULL) == 0);
    EXPECT(snapshot_write(snapshot, span_of("3+"), 1, NULL) == 0);
    _exit(0);
}

static void carries_one_state_on_when_a_successor_is_killed_at_any_step(void **state) {
    struct scratch *scratch = *state;
    int ended = 0, steps = 0, old = 0, new = 0;

    while (!ended) {
        CLEANUP(snapshot_free) struct snapshot *next = server(scratch, "c");
        CLEANUP(snapshot_free) struct snapshot *another = server(scratch, "d");
        start_over(scratch, "1 2 3");
        ended = run_until(claims_writes_and_dies, scratch, ++steps);
        if (ended < 0)
            skip();
        CLEANUP(free) char *written = file_of(scratch, "b", 1);
        bool is_new = access(written, F_OK) == 0;
        CLEANUP(free) char *got = claim(next);
        assert_non_null(got);
        old += strcmp(got, "3") == 0;
        new += strcmp(got, "3+") == 0;
        assert_int_equal(old + new, steps);
        assert_int_equal(strcmp(got, "3+") == 0, is_new);
        assert_claims(another, NULL);
    }
    assert_true(old > 20 && new > 2);
}

static void writes_first_and_dies(struct scratch *scratch) {
    struct snapshot *snapshot = server(scratch, "a");

    EXPECT(snapshot_write(snapshot, span_of("1"), 1, NULL) == 0);
    _exit(0);
}

static void leaves_nothing_half_written_when_a_writer_is_killed_at_any_step(void **state) {
    struct scratch *scratch = *state;
    int ended = 0, steps = 0, removed;

    while (!ended) {
        CLEANUP(snapshot_free) struct snapshot *next = server(scratch, "c");
        CLEANUP(snapshot_found_fini) struct snapshot_found found = {0};
        start_over(scratch, NULL);
        ended = run_until(writes_first_and_dies, scratch, ++steps);
        if (ended < 0)
            skip();
        int r = snapshot_claim(next, &found, NULL);
        assert_true(r == SNAPSHOT_NONE || (r == 0 && span_equals(buf_span(&found.sealed.content), "1")));
        assert_true(r == 0 || !ended);
        assert_int_equal(found.refused, 0);
        assert_int_equal(snapshot_sweep(next, 1000000, &removed, NULL), 0);
        assert_int_equal(count(scratch, ""), r == 0 ? 2 : 0);
    }
}

static void writes_and_looks_at_its_lock(struct scratch *scratch) {
    struct snapshot *snapshot = server(scratch, "b");

    EXPECT(snapshot_write(snapshot, span_of("1"), 1, NULL) == 0);
    EXPECT(snapdir_is_lock(scratch->dir, "b", snapshot_lock_fd(snapshot)));
    _exit(0);
}

static void sweeps(struct scratch *scratch) {
    CLEANUP(snapshot_free) struct snapshot *sweeper = server(scratch, "z");
    int removed = -1;

    assert_int_equal(snapshot_sweep(sweeper, 1000000, &removed, NULL), 0);
    assert_int_equal(removed, 0);
}

static void holds_its_lock_when_somebody_sweeps_at_any_step(void **state) {
    struct scratch *scratch = *state;
    int ended = 0, steps = 0;

    while (!ended) {
        start_over(scratch, NULL);
        ended = run_around(writes_and_looks_at_its_lock, sweeps, scratch, ++steps);
        if (ended < 0)
            skip();
        assert_int_equal(count(scratch, ".snap"), 1);
    }
}

/* Leaves what it was given behind in a file. */
static void claims_and_tells(struct scratch *scratch, const char *boot_id) {
    CLEANUP(snapshot_free) struct snapshot *snapshot = server(scratch, boot_id);
    CLEANUP(free) char *got = claim(snapshot);
    CLEANUP(free) char *path = path_join(scratch->root, "told");
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);

    EXPECT(!got || write(fd, got, 1) == 1);
    EXPECT(!got || snapshot_discard(snapshot, NULL) == 0); /* or it would be claimed from us, rightly */
}

static void claims_as_one(struct scratch *scratch) {
    claims_and_tells(scratch, "b");
}

static void claims_as_another(struct scratch *scratch) {
    claims_and_tells(scratch, "c");
}

static void gives_an_orphan_to_one_when_another_claims_at_any_step(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(free) char *path = path_join(scratch->root, "told");
    int ended = 0, steps = 0;

    while (!ended) {
        CLEANUP(buf_fini) struct buf told = {0};
        start_over(scratch, "1 2 3");
        ended = run_around(claims_as_one, claims_as_another, scratch, ++steps);
        if (ended < 0)
            skip();
        assert_int_equal(fs_read_file(path, 100, &told, NULL), 0);
        assert_true(span_equals(buf_span(&told), "3"));
        assert_int_equal(unlink(path), 0);
        assert_int_equal(count(scratch, ""), 0);
    }
}

/* ---- exec ---- */

static void keeps_its_own_across_an_exec(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *old = server(scratch, "a");
    CLEANUP(snapshot_free) struct snapshot *image = server(scratch, "a");
    CLEANUP(snapshot_free) struct snapshot *other = server(scratch, "b");

    write_text(old, "1");
    assert_true(fcntl(snapshot_lock_fd(old), F_GETFD) & FD_CLOEXEC);
    int fd = dup(snapshot_lock_fd(old)); /* without CLOEXEC, as an exec leaves it */
    assert_int_equal(snapshot_adopt(image, fd, NULL), 0);
    assert_int_equal(snapshot_lock_fd(image), fd);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_claims(other, NULL);
    assert_claims(image, NULL);
    write_text(image, "2");
    assert_int_equal(count(scratch, ".snap"), 2);
}

static void adopts_no_other_descriptor(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *snapshot = server(scratch, "a");
    CLEANUP(snapshot_free) struct snapshot *other = server(scratch, "b");
    CLEANUP(fd_close) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct theseus_error err = {0};

    write_text(other, "1");
    assert_int_equal(snapshot_adopt(snapshot, fd, &err), -1);
    assert_int_equal(snapshot_adopt(snapshot, snapshot_lock_fd(other), &err), -1);
    assert_int_equal(snapshot_lock_fd(snapshot), -1);
}

/* ---- sweeping, threads ---- */

static void sweeps_what_is_too_old_and_dead(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *sweeper = server(scratch, "z");
    CLEANUP(snapshot_free) struct snapshot *living = server(scratch, "b");
    CLEANUP(free)
    char *old = file_of(scratch, "a", 1), *of_living = file_of(scratch, "b", 1),
         *lock = path_join(scratch->dir, "dead.lock");
    const struct timespec two_days_ago[2] = {{.tv_sec = time(NULL) - 172800}, {.tv_sec = time(NULL) - 172800}};
    int removed = -1;

    leave(scratch, "a", "1 2");
    write_text(living, "1");
    write_text(sweeper, "own");
    assert_int_equal(utimensat(AT_FDCWD, old, two_days_ago, 0), 0);
    assert_int_equal(utimensat(AT_FDCWD, of_living, two_days_ago, 0), 0);
    assert_int_equal(fs_write_file(lock, span_of(""), 0600, NULL), 0);
    assert_int_equal(snapshot_sweep(sweeper, 86400000, &removed, NULL), 0);
    assert_int_equal(removed, 1);
    assert_int_equal(access(old, F_OK), -1);
    assert_int_equal(access(of_living, F_OK), 0);
    assert_int_equal(access(lock, F_OK), -1);
    assert_int_equal(count(scratch, ".snap"), 3);
    assert_int_equal(count(scratch, ".lock"), 2);
}

static void *write_many(void *arg) {
    for (int i = 0; i < 5; i++)
        if (snapshot_write(arg, span_of("from a thread"), 1, NULL) < 0)
            return NULL;
    return arg;
}

static void writes_one_at_a_time_from_several_threads(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(snapshot_free) struct snapshot *snapshot = server(scratch, "a");
    pthread_t threads[4];
    void *result;

    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, snapshot), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_non_null(result);
    }
    CLEANUP(free) char *last = path_join(scratch->dir, "a.00000014.0.snap");
    assert_int_equal(access(last, F_OK), 0);
    assert_int_equal(count(scratch, ".snap"), SNAPSHOT_KEPT);
}

#define WITH_SCRATCH(test) cmocka_unit_test_setup_teardown(test, make_scratch, remove_scratch)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(touches_nothing_before_it_is_asked),
        WITH_SCRATCH(makes_no_key_for_a_claim),
        WITH_SCRATCH(keeps_five),
        WITH_SCRATCH(makes_private_files),
        WITH_SCRATCH(refuses_a_directory_open_to_others),
        WITH_SCRATCH(refuses_what_is_no_boot_id),
        WITH_SCRATCH(refuses_more_than_it_would_read),
        WITH_SCRATCH(keeps_the_last_when_the_disk_is_full),
        WITH_SCRATCH(goes_on_after_a_read_only_directory),
        WITH_SCRATCH(gives_a_successor_what_the_dead_one_left),
        WITH_SCRATCH(leaves_what_belongs_to_one_who_lives),
        WITH_SCRATCH(claims_nothing_when_it_has_its_own),
        WITH_SCRATCH(claims_one_orphan_only_the_youngest),
        WITH_SCRATCH(removes_the_claimed_one_when_its_own_is_on_disk),
        WITH_SCRATCH(passes_a_claim_on_when_the_claimer_dies),
        WITH_SCRATCH(sets_aside_what_no_claimer_outlives),
        WITH_SCRATCH(keeps_what_was_refused_out_of_claims),
        WITH_SCRATCH(leaves_nothing_to_claim_when_it_discards),
        WITH_SCRATCH(falls_back_to_an_older_one),
        WITH_SCRATCH(leaves_a_server_of_which_nothing_is_good),
        WITH_SCRATCH(says_that_the_key_is_missing_and_makes_no_other),
        WITH_SCRATCH(keeps_what_was_sealed_with_another_key),
        WITH_SCRATCH(refuses_a_file_open_to_others),
        WITH_SCRATCH(passes_over_links_and_what_is_no_file),
        WITH_SCRATCH(passes_over_names_of_others),
        WITH_SCRATCH(gives_each_orphan_to_exactly_one_of_many_at_once),
        WITH_SCRATCH(loses_and_doubles_nothing_when_a_claimer_is_killed_at_any_step),
        WITH_SCRATCH(carries_one_state_on_when_a_successor_is_killed_at_any_step),
        WITH_SCRATCH(leaves_nothing_half_written_when_a_writer_is_killed_at_any_step),
        WITH_SCRATCH(holds_its_lock_when_somebody_sweeps_at_any_step),
        WITH_SCRATCH(gives_an_orphan_to_one_when_another_claims_at_any_step),
        WITH_SCRATCH(keeps_its_own_across_an_exec),
        WITH_SCRATCH(adopts_no_other_descriptor),
        WITH_SCRATCH(sweeps_what_is_too_old_and_dead),
        WITH_SCRATCH(writes_one_at_a_time_from_several_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
