#include "test.h"

#include "plugin/shelf.h"

#include <dirent.h>
#include <sys/wait.h>
#include <time.h>
#include <utime.h>

#include "base/limits.h"
#include "plugin/fixture.h"

static void write_text(const char *path, const char *text) {
    assert_int_equal(fs_write_file(path, span_of(text), 0600, NULL), 0);
}

/* The content of an image is its hash: that is enough here. */
static void keep(const char *place, const char *plugin, const char *hash, const char *version) {
    CLEANUP(free) char *copy = path_join(place, "copy");
    const struct shelf_image image = {
        .plugin = plugin, .file = "/nowhere/x.so", .version = version, .hash = hash, .path = copy};
    struct theseus_error err = {0};

    write_text(copy, hash);
    if (shelf_keep(place, &image, &err) < 0)
        test_failed("%s", err.message);
}

static bool wants_all(void *arg, const char *hash) {
    (void)arg;
    (void)hash;
    return true;
}

static bool wants_another(void *arg, const char *hash) {
    return strcmp(arg, hash) != 0;
}

static void assert_good(const char *place, const char *but, const char *wanted) {
    CLEANUP(free) char *hash = NULL, *version = NULL;
    struct theseus_error err = {0};
    int r = shelf_good(place, "x", but ? wants_another : wants_all, (void *)(uintptr_t)but, &hash, &version, &err);

    assert_int_equal(r, wanted ? 0 : SHELF_NONE);
    if (wanted) {
        CLEANUP(free) char *both = xasprintf("%s %s", version, hash);
        assert_string_equal(both, wanted);
    }
}

static void gives_back_the_youngest_that_is_wanted(void **state) {
    CLEANUP(place_fini) char *place = place_new();

    (void)state;
    assert_good(place, NULL, NULL);
    keep(place, "x", "aa", "1");
    keep(place, "y", "yy", "7");
    assert_good(place, NULL, "1 aa");
    assert_good(place, "aa", NULL);
    keep(place, "x", "bb", "2");
    assert_good(place, NULL, "2 bb");
    assert_good(place, "bb", "1 aa");
    keep(place, "x", "aa", "1"); /* it serves again, and is the youngest now */
    assert_good(place, NULL, "1 aa");
    assert_true(shelf_has(place, "aa") && shelf_has(place, "bb"));
    CLEANUP(free) char *path = shelf_path(place, "aa");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(unlink(path), 0); /* somebody took it away */
    assert_good(place, NULL, "2 bb");
}

static int sweep(const char *place) {
    struct theseus_error err = {0};
    int removed = -1;

    if (shelf_sweep(place, &removed, &err) < 0)
        test_failed("%s", err.message);
    return removed;
}

static void sweeps_what_no_plugin_names(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *draft = xasprintf("%s/images/aa.so.new-Xy12Zz", place);

    (void)state;
    assert_int_equal(sweep(place), 0);
    keep(place, "x", "aa", "1");
    keep(place, "x", "bb", "2");
    assert_int_equal(sweep(place), 0);
    keep(place, "x", "cc", "3");
    keep(place, "y", "aa", "1"); /* the same content under another name */
    write_text(draft, "half");
    assert_int_equal(sweep(place), 0);
    assert_int_not_equal(access(draft, F_OK), 0);
    keep(place, "y", "dd", "2");
    keep(place, "y", "ee", "3");
    assert_int_equal(sweep(place), 1);
    assert_false(shelf_has(place, "aa"));
    assert_true(shelf_has(place, "bb") && shelf_has(place, "cc") && shelf_has(place, "dd") && shelf_has(place, "ee"));
}

static void forgets_a_plugin_whose_file_is_long_gone(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *note = xasprintf("%s/images/x.json", place);
    const struct utimbuf old = {.modtime = time(NULL) - (LIMIT_SHELF_DAYS + 1) * 86400L};

    (void)state;
    keep(place, "x", "aa", "1");
    assert_int_equal(sweep(place), 0);
    assert_int_equal(utime(note, &old), 0);
    assert_int_equal(sweep(place), 1);
    assert_int_not_equal(access(note, F_OK), 0);
}

struct told {
    int count;
    char text[256];
};

static void tell(void *arg, const struct ban *ban) {
    struct told *told = arg;

    told->count++;
    (void)snprintf(told->text + strlen(told->text), sizeof(told->text) - strlen(told->text), "%s %s\n", ban->plugin,
                   ban->hash);
}

static void write_bans(const char *place, const char *plugin, const char *text) {
    json_auto_t *bans = json_loads(text, 0, NULL);
    struct theseus_error err = {0};

    assert_non_null(bans);
    if (shelf_write_bans(place, plugin, bans, &err) < 0)
        test_failed("%s", err.message);
}

static void remembers_bans_beside_what_is_good(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    struct told told = {0}, later = {0};

    (void)state;
    write_bans(place, "x", "[]");
    CLEANUP(free) char *images = path_join(place, "images");
    assert_int_not_equal(access(images, F_OK), 0); /* nothing is made for nothing */
    write_bans(place, "x", "[{\"hash\":\"bb\",\"plugin\":\"x\"}]");
    keep(place, "x", "aa", "1");
    assert_int_equal(shelf_each_ban(place, tell, &told, NULL), 0);
    assert_string_equal(told.text, "x bb\n");
    assert_good(place, NULL, "1 aa");
    write_bans(place, "x", "[]");
    assert_int_equal(shelf_each_ban(place, tell, &later, NULL), 0);
    assert_int_equal(later.count, 0);
    assert_good(place, NULL, "1 aa");
}

static void names_a_file_that_it_cannot_read_and_goes_on(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *note = xasprintf("%s/images/bad.json", place);
    struct theseus_error err = {0};
    struct told told = {0};
    int removed;

    (void)state;
    write_bans(place, "x", "[{\"hash\":\"bb\",\"plugin\":\"x\"}]");
    write_text(note, "{\"good\": [");
    assert_int_equal(shelf_each_ban(place, tell, &told, &err), -1);
    assert_non_null(strstr(err.message, "bad.json"));
    assert_string_equal(told.text, "x bb\n");
    err = (struct theseus_error){0};
    assert_int_equal(shelf_sweep(place, &removed, &err), -1); /* what it would have named is not known */
    keep(place, "bad", "aa", "1");
    assert_int_equal(sweep(place), 0);
}

/* Two servers that share a state directory. */
static void loses_nothing_between_two_that_write(void **state) {
    CLEANUP(place_fini) char *place = place_new();

    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    for (int i = 0; i < 50; i++) {
        char hash[16];
        (void)snprintf(hash, sizeof(hash), "%c%d", pid ? 'a' : 'b', i);
        CLEANUP(free) char *copy = path_join(place, pid ? "a" : "b");
        const struct shelf_image image = {
            .plugin = pid ? "x" : "y", .file = "/nowhere/x.so", .version = "1", .hash = hash, .path = copy};
        int removed = 0;
        if (fs_write_file(copy, span_of(hash), 0600, NULL) < 0 || shelf_keep(place, &image, NULL) < 0 ||
            shelf_sweep(place, &removed, NULL) < 0 || !shelf_has(place, hash)) {
            if (!pid)
                _exit(1);
            test_failed("round %d", i);
        }
    }
    if (!pid)
        _exit(0);
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_good(place, NULL, "1 a49");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_the_youngest_that_is_wanted),
        cmocka_unit_test(sweeps_what_no_plugin_names),
        cmocka_unit_test(forgets_a_plugin_whose_file_is_long_gone),
        cmocka_unit_test(remembers_bans_beside_what_is_good),
        cmocka_unit_test(names_a_file_that_it_cannot_read_and_goes_on),
        cmocka_unit_test(loses_nothing_between_two_that_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
