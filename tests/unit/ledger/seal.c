#include "test.h"

#include "ledger/seal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"

enum { PROCESSES = 8, MAX = 16 << 20 };

struct scratch {
    char *dir, *key_file, *file; /* owned */
    struct seal_key key;
};

static int make_scratch(void **state) {
    struct scratch *scratch = xcalloc(1, sizeof(*scratch));

    *state = scratch;
    scratch->dir = xstrdup("/tmp/theseus-seal-XXXXXX");
    if (!mkdtemp(scratch->dir))
        return -1;
    scratch->key_file = path_join(scratch->dir, "key");
    scratch->file = path_join(scratch->dir, "sealed");
    return 0;
}

static int remove_scratch(void **state) {
    struct scratch *scratch = *state;

    fs_remove_dir(scratch->dir);
    free(scratch->dir);
    free(scratch->key_file);
    free(scratch->file);
    free(scratch);
    return 0;
}

/* Bytes that do not compress, always the same. */
static struct span noise(struct buf *buf, size_t len) {
    uint64_t word = 88172645463325252u;
    char *to = buf_reserve(buf, len);

    assert_non_null(to);
    for (size_t i = 0; i < len; i++) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        to[i] = (char)word;
    }
    buf_added(buf, len);
    return buf_span(buf);
}

static const struct seal_info info = {
    .boot_id = "0123456789abcdef", .server_version = "1.2.3", .created_ms = 1763800000123, .records = 42};

static void seal(struct scratch *scratch, struct span content) {
    CLEANUP(fd_close) int fd = open(scratch->file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_int_equal(seal_key_make(scratch->key_file, &scratch->key, NULL), 0);
    assert_int_equal(seal_write(&scratch->key, &info, content, fd, NULL), 0);
}

static int unseal(const struct scratch *scratch, size_t max, struct sealed *ret_sealed, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = open(scratch->file, O_RDONLY);

    return seal_read(&scratch->key, fd, max, ret_sealed, err);
}

static void check_round(struct scratch *scratch, struct span content) {
    CLEANUP(sealed_fini) struct sealed sealed = {0};
    struct theseus_error err = {0};

    seal(scratch, content);
    assert_int_equal(unseal(scratch, MAX, &sealed, &err), 0);
    assert_true(span_same(buf_span(&sealed.content), content));
    assert_string_equal(sealed.info.boot_id, info.boot_id);
    assert_string_equal(sealed.info.server_version, info.server_version);
    assert_int_equal(sealed.info.created_ms, info.created_ms);
    assert_int_equal(sealed.info.records, info.records);
}

static void put_bytes(const struct scratch *scratch, struct span bytes) {
    assert_int_equal(fs_write_file(scratch->file, bytes, 0600, NULL), 0);
}

/* What seal_read() says about these bytes; "" when it took them. */
static const char *verdict(const struct scratch *scratch, struct span bytes) {
    CLEANUP(sealed_fini) struct sealed sealed = {0};
    CLEANUP(fd_close) int fd = open(scratch->file, O_WRONLY | O_TRUNC);
    static struct theseus_error err;

    err = (struct theseus_error){0};
    assert_int_equal(write(fd, bytes.data, bytes.len), (ssize_t)bytes.len);
    if (unseal(scratch, MAX, &sealed, &err) == 0)
        return "";
    assert_null(sealed.content.data);
    return err.message;
}

static void assert_says(const char *message, const char *part) {
    if (!strstr(message, part))
        print_error("'%s' does not say '%s'\n", message, part);
    assert_non_null(strstr(message, part));
}

static void gives_back_what_was_sealed(void **state) {
    static const size_t lengths[] = {0, 1, 100, SEAL_PIECE - 1, SEAL_PIECE, SEAL_PIECE + 1, 3 * SEAL_PIECE, 5 << 20};

    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        CLEANUP(buf_fini) struct buf content = {0};
        check_round(*state, noise(&content, lengths[i]));
    }
}

/* A compressed length of exactly so many pieces is not reached by choosing the content's length alone. */
static void gives_back_every_length_around_a_piece(void **state) {
    for (size_t len = SEAL_PIECE - 40; len < SEAL_PIECE + 10; len++) {
        CLEANUP(buf_fini) struct buf content = {0};
        check_round(*state, noise(&content, len));
    }
}

static void hides_and_compresses_the_content(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(buf_fini) struct buf content = {0}, file = {0};

    for (int i = 0; i < 20000; i++)
        assert_int_equal(buf_printf(&content, NULL, "a secret word, "), 0);
    seal(scratch, buf_span(&content));
    assert_int_equal(fs_read_file(scratch->file, MAX, &file, NULL), 0);
    assert_true(file.len < 4096);
    assert_null(memmem(file.data, file.len, "secret", 6));
}

static void seals_the_same_content_differently_each_time(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(buf_fini) struct buf one = {0}, other = {0};

    seal(scratch, span_of("content"));
    assert_int_equal(fs_read_file(scratch->file, MAX, &one, NULL), 0);
    seal(scratch, span_of("content"));
    assert_int_equal(fs_read_file(scratch->file, MAX, &other, NULL), 0);
    assert_int_equal(one.len, other.len);
    assert_memory_not_equal(one.data + SEAL_HEADER_BYTES, other.data + SEAL_HEADER_BYTES, one.len - SEAL_HEADER_BYTES);
}

static void refuses_each_flipped_byte(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(buf_fini) struct buf content = {0}, file = {0};

    seal(scratch, noise(&content, 300));
    assert_int_equal(fs_read_file(scratch->file, MAX, &file, NULL), 0);
    for (size_t at = 0; at < file.len; at++)
        for (int bit = 0; bit < 8; bit++) {
            file.data[at] ^= (char)(1 << bit);
            assert_says(verdict(scratch, buf_span(&file)), at < 8                   ? "not a sealed file"
                                                           : at < SEAL_HEADER_BYTES ? "header is damaged"
                                                                                    : "changed or damaged");
            file.data[at] ^= (char)(1 << bit);
        }
    assert_string_equal(verdict(scratch, buf_span(&file)), "");
}

static void refuses_a_flipped_byte_in_each_piece(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(buf_fini) struct buf content = {0}, file = {0};

    seal(scratch, noise(&content, 3 * SEAL_PIECE + 100));
    assert_int_equal(fs_read_file(scratch->file, MAX, &file, NULL), 0);
    for (size_t at = SEAL_HEADER_BYTES; at < file.len; at += 4099) {
        file.data[at] ^= 1;
        assert_says(verdict(scratch, buf_span(&file)), "changed or damaged");
        file.data[at] ^= 1;
    }
}

static void refuses_each_truncation(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(buf_fini) struct buf content = {0}, file = {0};

    seal(scratch, noise(&content, 300));
    assert_int_equal(fs_read_file(scratch->file, MAX, &file, NULL), 0);
    for (size_t len = 0; len < file.len; len++)
        assert_says(verdict(scratch, (struct span){file.data, len}), "truncated");
}

static void refuses_truncation_at_the_border_of_a_piece(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(buf_fini) struct buf content = {0}, file = {0};

    seal(scratch, noise(&content, 2 * SEAL_PIECE + 100));
    assert_int_equal(fs_read_file(scratch->file, MAX, &file, NULL), 0);
    for (size_t pieces = 0; pieces < 3; pieces++)
        assert_says(verdict(scratch, (struct span){file.data, SEAL_HEADER_BYTES + pieces * (SEAL_PIECE + 17)}),
                    "truncated");
}

static void refuses_what_stands_behind_the_end(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(buf_fini) struct buf file = {0};

    seal(scratch, span_of("content"));
    assert_int_equal(fs_read_file(scratch->file, MAX, &file, NULL), 0);
    assert_int_equal(buf_append(&file, span_of("x"), NULL), 0);
    assert_says(verdict(scratch, buf_span(&file)), "1 bytes behind its end");
}

static void refuses_pieces_in_another_order(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(buf_fini) struct buf content = {0}, file = {0};
    static char piece[SEAL_PIECE + 17];

    seal(scratch, noise(&content, 3 * SEAL_PIECE));
    assert_int_equal(fs_read_file(scratch->file, MAX, &file, NULL), 0);
    char *first = file.data + SEAL_HEADER_BYTES;
    memcpy(piece, first, sizeof(piece));
    memcpy(first, first + sizeof(piece), sizeof(piece));
    memcpy(first + sizeof(piece), piece, sizeof(piece));
    assert_says(verdict(scratch, buf_span(&file)), "changed or damaged");
}

static void refuses_the_header_of_another_sealing(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(buf_fini) struct buf one = {0}, other = {0};

    seal(scratch, span_of("content"));
    assert_int_equal(fs_read_file(scratch->file, MAX, &one, NULL), 0);
    seal(scratch, span_of("CONTENT"));
    assert_int_equal(fs_read_file(scratch->file, MAX, &other, NULL), 0);
    memcpy(other.data, one.data, SEAL_HEADER_BYTES);
    assert_says(verdict(scratch, buf_span(&other)), "changed or damaged");
}

/* Somebody mends the checksum after changing what the header says. */
static void forge(struct buf *file, size_t at, const void *value, size_t len) {
    memcpy(file->data + at, value, len);
    uint64_t sum = hash_u64((struct span){file->data, SEAL_HEADER_BYTES - 8});
    memcpy(file->data + SEAL_HEADER_BYTES - 8, &sum, sizeof(sum));
}

static void refuses_a_forged_header(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(buf_fini) struct buf file = {0};

    seal(scratch, span_of("content"));
    assert_int_equal(fs_read_file(scratch->file, MAX, &file, NULL), 0);
    for (size_t at = 16; at < SEAL_HEADER_BYTES - 8; at++) {
        CLEANUP(buf_fini) struct buf forged = {0};
        assert_int_equal(buf_append(&forged, buf_span(&file), NULL), 0);
        char changed = (char)(file.data[at] ^ 1);
        forge(&forged, at, &changed, 1);
        assert_string_not_equal(verdict(scratch, buf_span(&forged)), "");
    }
}

static void allocates_nothing_for_a_promise(void **state) {
    static const uint64_t sizes[] = {MAX + 1, UINT64_C(1) << 40, UINT64_MAX - 1000, UINT64_MAX};
    struct scratch *scratch = *state;

    for (size_t field = 32; field <= 40; field += 8)
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
            CLEANUP(buf_fini) struct buf file = {0};
            seal(scratch, span_of("content"));
            assert_int_equal(fs_read_file(scratch->file, MAX, &file, NULL), 0);
            forge(&file, field, &sizes[i], sizeof(sizes[i]));
            assert_says(verdict(scratch, buf_span(&file)), field == 32 ? "more than" : "header is damaged");
        }
}

static void refuses_a_newer_format(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(sealed_fini) struct sealed sealed = {0};
    CLEANUP(buf_fini) struct buf file = {0};
    struct theseus_error err = {0};
    uint32_t format = SEAL_FORMAT + 1;

    seal(scratch, span_of("content"));
    assert_int_equal(fs_read_file(scratch->file, MAX, &file, NULL), 0);
    forge(&file, 8, &format, sizeof(format));
    put_bytes(scratch, buf_span(&file));
    assert_int_equal(unseal(scratch, MAX, &sealed, &err), -1);
    assert_int_equal(err.code, ERR_NEWER);
    assert_says(err.message, "newer version, in format 2");
}

static void takes_as_much_as_is_allowed_and_no_more(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(sealed_fini) struct sealed sealed = {0};
    struct theseus_error err = {0};

    seal(scratch, span_of("seven b"));
    assert_int_equal(unseal(scratch, 6, &sealed, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(unseal(scratch, 7, &sealed, NULL), 0);
}

static void names_a_foreign_key(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(sealed_fini) struct sealed sealed = {0};
    struct theseus_error err = {0};

    seal(scratch, span_of("content"));
    assert_int_equal(unlink(scratch->key_file), 0);
    assert_int_equal(seal_key_make(scratch->key_file, &scratch->key, NULL), 0);
    assert_int_equal(unseal(scratch, MAX, &sealed, &err), -1);
    assert_says(err.message, "another key");
}

static void refuses_what_is_no_file(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(sealed_fini) struct sealed sealed = {0};
    struct theseus_error err = {0};
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(seal_key_make(scratch->key_file, &scratch->key, NULL), 0);
    assert_int_equal(seal_read(&scratch->key, ends[0], MAX, &sealed, &err), -1);
    assert_says(err.message, "not a regular file");
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void makes_a_private_key_once(void **state) {
    struct scratch *scratch = *state;
    struct seal_key first = {0}, again = {0};
    struct stat st;

    assert_int_equal(seal_key_load(scratch->key_file, &first, NULL), SEAL_KEY_MISSING);
    assert_int_equal(access(scratch->key_file, F_OK), -1);
    assert_int_equal(seal_key_make(scratch->key_file, &first, NULL), 0);
    assert_int_equal(stat(scratch->key_file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, SEAL_KEY_BYTES);
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(seal_key_make(scratch->key_file, &again, NULL), 0);
    assert_memory_equal(&first, &again, sizeof(first));
    assert_memory_not_equal(first.bytes, first.id, sizeof(first.id));
}

static void makes_the_key_in_a_directory_of_its_own(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(free) char *dir = path_join(scratch->dir, "state");
    CLEANUP(free) char *path = path_join(dir, "key");
    struct seal_key key;
    struct stat st;

    assert_int_equal(seal_key_make(path, &key, NULL), 0);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    fs_remove_dir(dir);
}

static void assert_key_refused(const struct scratch *scratch, const char *why) {
    struct theseus_error err = {0};
    struct seal_key key;

    assert_int_equal(seal_key_load(scratch->key_file, &key, &err), -1);
    assert_says(err.message, why);
    assert_says(err.message, scratch->key_file);
}

static void refuses_a_key_that_is_not_right(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(free) char *mend = xasprintf("chmod 600 '%s'", scratch->key_file);
    struct seal_key key;

    for (mode_t bit = 01; bit <= 040; bit <<= 1) {
        assert_int_equal(seal_key_make(scratch->key_file, &key, NULL), 0);
        assert_int_equal(chmod(scratch->key_file, 0600 | bit), 0);
        assert_key_refused(scratch, mend);
        assert_int_equal(chmod(scratch->key_file, 0600), 0);
    }
    for (off_t size = 0; size <= 64; size++)
        if (size != SEAL_KEY_BYTES) {
            assert_int_equal(truncate(scratch->key_file, size), 0);
            assert_key_refused(scratch, "instead of 32");
        }
    assert_int_equal(unlink(scratch->key_file), 0);
    assert_int_equal(mkfifo(scratch->key_file, 0600), 0);
    assert_key_refused(scratch, "not a regular file");
    assert_int_equal(unlink(scratch->key_file), 0);
    assert_int_equal(mkdir(scratch->key_file, 0700), 0);
    assert_key_refused(scratch, "not a regular file");
    assert_int_equal(rmdir(scratch->key_file), 0);
}

static void refuses_a_key_of_another_user(void **state) {
    struct scratch *scratch = *state;
    struct seal_key key;

    if (geteuid() != 0)
        skip(); /* only root can give a file away */
    assert_int_equal(seal_key_make(scratch->key_file, &key, NULL), 0);
    assert_int_equal(chown(scratch->key_file, 12345, (gid_t)-1), 0);
    assert_key_refused(scratch, "another user (uid 12345)");
}

/* Writes the id of the key that it got. */
static void race_for_the_key(const struct scratch *scratch, int start, int out) {
    struct seal_key key;
    char go;

    if (read(start, &go, 1) != 0 || /* until the other end is closed */
        seal_key_make(scratch->key_file, &key, NULL) != 0)
        _exit(1);
    _exit(write(out, key.id, sizeof(key.id)) == sizeof(key.id) ? 0 : 1);
}

static void agrees_on_one_key_among_processes_at_once(void **state) {
    struct scratch *scratch = *state;
    unsigned char first[SEAL_KEY_ID_BYTES], id[SEAL_KEY_ID_BYTES];
    int start[2], out[2], status;

    assert_int_equal(pipe(start), 0);
    assert_int_equal(pipe(out), 0);
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0) {
            (void)close(start[1]);
            race_for_the_key(scratch, start[0], out[1]);
        }
    (void)close(start[0]);
    (void)close(start[1]);
    for (int i = 0; i < PROCESSES; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
        assert_int_equal(read(out[0], i ? id : first, sizeof(id)), sizeof(id));
        assert_true(i == 0 || memcmp(first, id, sizeof(id)) == 0);
    }
    (void)close(out[0]);
    (void)close(out[1]);
}

/* In a child: what is out of reach of one limit is reached by the rest of the tests. */
static void with_files_of(rlim_t bytes, void (*run)(struct scratch *scratch), struct scratch *scratch) {
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        (void)signal(SIGXFSZ, SIG_IGN);
        (void)setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, bytes});
        run(scratch);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void make_key_on_a_full_disk(struct scratch *scratch) {
    struct theseus_error err = {0};
    struct seal_key key;

    if (seal_key_make(scratch->key_file, &key, &err) != -1 || !strstr(err.message, "cannot write the key"))
        _exit(1);
}

static void leaves_no_half_key_on_a_full_disk(void **state) {
    struct scratch *scratch = *state;
    struct seal_key key;

    for (rlim_t bytes = 0; bytes < SEAL_KEY_BYTES; bytes++) {
        with_files_of(bytes, make_key_on_a_full_disk, scratch);
        assert_int_equal(rmdir(scratch->dir), 0); /* empty: no draft is left either */
        assert_int_equal(mkdir(scratch->dir, 0700), 0);
    }
    assert_int_equal(seal_key_make(scratch->key_file, &key, NULL), 0);
}

static void seal_on_a_full_disk(struct scratch *scratch) {
    CLEANUP(fd_close) int fd = open(scratch->file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    struct theseus_error err = {0};

    if (seal_write(&scratch->key, &info, span_of("content"), fd, &err) != -1 || !strstr(err.message, "cannot write"))
        _exit(1);
}

static void reports_a_full_disk(void **state) {
    struct scratch *scratch = *state;

    assert_int_equal(seal_key_make(scratch->key_file, &scratch->key, NULL), 0);
    for (rlim_t bytes = 0; bytes < SEAL_HEADER_BYTES + 20; bytes += 7)
        with_files_of(bytes, seal_on_a_full_disk, scratch);
}

#define WITH_SCRATCH(test) cmocka_unit_test_setup_teardown(test, make_scratch, remove_scratch)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(gives_back_what_was_sealed),
        WITH_SCRATCH(gives_back_every_length_around_a_piece),
        WITH_SCRATCH(hides_and_compresses_the_content),
        WITH_SCRATCH(seals_the_same_content_differently_each_time),
        WITH_SCRATCH(refuses_each_flipped_byte),
        WITH_SCRATCH(refuses_a_flipped_byte_in_each_piece),
        WITH_SCRATCH(refuses_each_truncation),
        WITH_SCRATCH(refuses_truncation_at_the_border_of_a_piece),
        WITH_SCRATCH(refuses_what_stands_behind_the_end),
        WITH_SCRATCH(refuses_pieces_in_another_order),
        WITH_SCRATCH(refuses_the_header_of_another_sealing),
        WITH_SCRATCH(refuses_a_forged_header),
        WITH_SCRATCH(allocates_nothing_for_a_promise),
        WITH_SCRATCH(refuses_a_newer_format),
        WITH_SCRATCH(takes_as_much_as_is_allowed_and_no_more),
        WITH_SCRATCH(names_a_foreign_key),
        WITH_SCRATCH(refuses_what_is_no_file),
        WITH_SCRATCH(makes_a_private_key_once),
        WITH_SCRATCH(makes_the_key_in_a_directory_of_its_own),
        WITH_SCRATCH(refuses_a_key_that_is_not_right),
        WITH_SCRATCH(refuses_a_key_of_another_user),
        WITH_SCRATCH(agrees_on_one_key_among_processes_at_once),
        WITH_SCRATCH(leaves_no_half_key_on_a_full_disk),
        WITH_SCRATCH(reports_a_full_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
