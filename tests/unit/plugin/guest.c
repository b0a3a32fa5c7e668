/* This program is its own helper: started with --host-plugin, it is the process that a server would start. */
#include "test.h"

#include "plugin/guest.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <theseus/plugin.h>

#include "base/hash.h"
#include "plugin/fixture.h"
#include "plugin/inside.h"

enum { GENEROUS_MS = 60000, SHORT_MS = 1500 };

static int own_program(void) {
    static int fd = -1; /* every guest borrows it */

    if (fd < 0)
        fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int open_guest(struct guest **ret_guest, const char *fixture, int limit_ms, struct theseus_error *err) {
    CLEANUP(free) char *file = fixture_path(fixture);
    CLEANUP(fd_close) int fd = open(file, O_RDONLY | O_CLOEXEC);
    char hash[HASH_TEXT_BYTES];

    assert_int_equal(hash_fd(fd, hash, NULL), 0);
    const struct guest_spec spec = {.exe_fd = own_program(), .file = file, .hash = hash, .limit_ms = limit_ms};
    return guest_open(ret_guest, &spec, err);
}

static void refuses_within(int limit_ms, const char *fixture, const char *said) {
    struct theseus_error err = {0};
    struct guest *guest;

    assert_int_equal(open_guest(&guest, fixture, limit_ms, &err), -1);
    if (!strstr(err.message, said))
        test_failed("'%s' does not say '%s'", err.message, said);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left of it */
}

static void refuses(const char *fixture, const char *said) {
    refuses_within(GENEROUS_MS, fixture, said);
}

static void looks_like_the_plugin_that_it_keeps(void **state) {
    struct guest *guest = NULL;
    struct theseus_error err = {0};

    (void)state;
    if (open_guest(&guest, "counter", GENEROUS_MS, &err) < 0)
        test_failed("%s", err.message);
    const struct theseus_plugin *plugin = guest_plugin(guest);
    assert_string_equal(plugin->name, "counter");
    assert_string_equal(plugin->version, "1");
    assert_int_equal(plugin->abi, THESEUS_ABI);
    assert_non_null(plugin->save);
    assert_null(plugin->configure);
    assert_null(plugin->check);
    assert_null(plugin->migrations); /* its database is its own */
    assert_string_equal(plugin->tools[0].name, "count");
    assert_string_equal(plugin->tools[1].name, "counted");
    assert_true(plugin->tools[1].flags & THESEUS_READ_ONLY);
    assert_null(plugin->tools[2].name);
    (void)guest_free(guest);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void says_what_is_wrong_with_a_file(void **state) {
    (void)state;
    refuses("nosymbol", "exports no symbol 'theseus_plugin'");
    refuses("duptool", "has two tools with the name 'twin'");
    refuses("undefined", "undefined symbol");
}

static void says_how_a_constructor_ended_the_process(void **state) {
    (void)state;
    refuses("ctorcrash", "crashed with SIGSEGV");
    refuses("ctorexit", "ended by itself");
    refuses_within(SHORT_MS, "ctorhang", "did not come back within 1500 ms");
}

static json_int_t pid_of(struct guest *guest) {
    json_auto_t *report = guest_report_new(guest);

    return json_integer_value(json_object_get(report, "pid"));
}

/* Before its `start` there is nothing that it could be started again with. */
static void is_over_when_its_process_ends_before_it_is_started(void **state) {
    struct guest *guest = NULL;

    (void)state;
    assert_int_equal(open_guest(&guest, "counter", GENEROUS_MS, NULL), 0);
    assert_int_equal(kill((pid_t)pid_of(guest), SIGKILL), 0);
    CLEANUP(free) char *trouble = NULL;
    while (!(trouble = guest_trouble(guest)))
        (void)usleep(1000);
    assert_string_equal(trouble, "its process crashed with SIGKILL");
    assert_int_equal(pid_of(guest), 0);
    (void)guest_free(guest);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_like_the_plugin_that_it_keeps),
        cmocka_unit_test(says_what_is_wrong_with_a_file),
        cmocka_unit_test(says_how_a_constructor_ended_the_process),
        cmocka_unit_test(is_over_when_its_process_ends_before_it_is_started),
    };

    if (argc > 1 && strcmp(argv[1], "--host-plugin") == 0)
        return inside_main(argv + 2);
    return cmocka_run_group_tests_name("plugin/guest", tests, NULL, NULL);
}
