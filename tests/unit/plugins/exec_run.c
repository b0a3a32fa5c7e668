#include <dirent.h>
#include <fcntl.h>

#include "exec.h"

/* Neither running nor about to: gone, or a zombie that whoever inherited it has not looked at. */
static bool is_gone(long pid) {
    char path[64], state = 'Z';

    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "re");
    if (file) {
        if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
            state = 'Z'; /* it went while we read */
        (void)fclose(file);
    }
    return state == 'Z' || state == 'X';
}

static void wait_until_gone(long pid) {
    assert_true(pid > 1);
    for (int64_t limit = now_ms() + 10000; !is_gone(pid);) {
        assert_true(now_ms() < limit);
        (void)poll(NULL, 0, 1);
    }
}

static unsigned open_descriptors(void) {
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count;
}

static void answers(const char *section, const char *text, bool failed) {
    struct bench *bench = bench_new(section);

    assert_string_equal(bench_call(bench, "{}"), text);
    assert_int_equal(fake_failed(&bench->fake), failed);
    bench_free(bench);
}

static void answers_what_was_printed(void **state) {
    (void)state;
    answers("{\"command\": \"printf 'a\\\\n b'\"}", "a\n b", false);
    answers("{\"command\": \"true\"}", "", false);
    answers("{\"command\": \"sh -c 'echo out; echo err >&2'\"}", "out\n", false);
}

static void says_how_a_program_failed(void **state) {
    (void)state;
    answers("{\"command\": \"sh -c 'echo out; printf err >&2; exit 3'\"}",
            "'sh' ended with exit status 3\n\nstderr:\nerr\n\nstdout:\nout\n", true);
    answers("{\"command\": \"false\"}", "'false' ended with exit status 1 and printed nothing\n", true);
    answers("{\"command\": \"sh -c 'kill -USR1 $$'\"}", "'sh' was ended by signal SIGUSR1 and printed nothing\n", true);
}

static void shows_the_end_of_a_long_stderr(void **state) {
    struct bench *bench = bench_new("{\"command\": \"sh -c 'head -c 5000 /dev/zero | tr \\\\\\\\0 x >&2; exit 1'\"}");
    const char *text = bench_call(bench, "{}");

    (void)state;
    assert_non_null(strstr(text, "\nstderr:\n[… 904 bytes left out …]\nxxx"));
    assert_int_equal(strspn(strchr(text, 'x') + strlen("xit status 1\n\nstderr:\n[… 904 bytes left out …]\n"), "x"),
                     4096);
    bench_free(bench);
}

static void names_a_program_that_cannot_run(void **state) {
    char dir[] = "/tmp/theseus-exec-XXXXXX", path[64], section[256];
    struct bench *bench = bench_new("{\"command\": \"no-such-program\", \"env.PATH\": \"/nowhere:/bin\"}");

    (void)state;
    assert_string_equal(bench_call(bench, "{}"), "the program 'no-such-program' was not found in PATH (/nowhere:/bin); "
                                                 "install it, or set env.PATH");
    assert_true(fake_failed(&bench->fake));
    bench_free(bench);
    answers("{\"command\": \"/nowhere/program\"}", "the program '/nowhere/program' does not exist", true);
    answers("{\"command\": \"/etc\"}", "the program '/etc' may not be executed; mend it with chmod +x", true);

    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/script", dir);
    FILE *script = fopen(path, "we");
    (void)fputs("echo hello\n", script);
    (void)fclose(script);
    (void)chmod(path, 0700);
    (void)snprintf(section, sizeof(section), "{\"command\": \"%s\"}", path);
    bench = bench_new(section);
    assert_non_null(strstr(bench_call(bench, "{}"), "' is not a program; a script needs a first line such as "));
    script = fopen(path, "we");
    (void)fputs("#!/nowhere/interpreter\n", script);
    (void)fclose(script);
    assert_non_null(strstr(bench_call(bench, "{}"), "the interpreter that its first line names does not exist"));
    script = fopen(path, "we");
    (void)fputs("#!/bin/sh\necho found\n", script);
    (void)fclose(script);
    bench_free(bench);
    (void)snprintf(section, sizeof(section), "{\"command\": \"script\", \"env.PATH\": \"/nowhere:%s\"}", dir);
    answers(section, "found\n", false);
    (void)unlink(path);
    (void)rmdir(dir);
}

static void gives_a_program_its_own_environment_only(void **state) {
    (void)state;
    (void)setenv("THESEUS_TEST_SECRET", "x", 1);
    (void)setenv("HOME", "/h", 1);
    (void)setenv("LANG", "C", 1);
    answers("{\"command\": \"env\", \"env.PATH\": \"/usr/bin:/bin\", \"env.KEY\": \"a {b} $c\"}",
            "PATH=/usr/bin:/bin\nKEY=a {b} $c\nHOME=/h\nLANG=C\n", false);
    (void)unsetenv("LANG");
    answers("{\"command\": \"sh -c 'echo $LANG'\"}", "C.UTF-8\n", false);
}

static void runs_in_the_callers_directory_or_the_sections(void **state) {
    struct bench *bench = bench_new("{\"command\": \"pwd\"}");

    (void)state;
    bench->fake.client.directory = "/usr";
    assert_string_equal(bench_call(bench, "{}"), "/usr\n");
    bench->fake.client.directory = "/nowhere";
    assert_string_equal(bench_call(bench, "{}"),
                        "the directory '/nowhere' to run in does not exist; correct it with the key cwd");
    bench_free(bench);
    (void)setenv("HOME", "/usr", 1);
    answers("{\"command\": \"pwd\", \"cwd\": \"~/bin\"}", "/usr/bin\n", false);
}

static void a_program_inherits_nothing_else(void **state) {
    sigset_t some;
    int fd = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */

    (void)state;
    (void)sigemptyset(&some);
    (void)sigaddset(&some, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &some, NULL);
    answers("{\"command\": \"sh -c 'ls /proc/$$/fd'\"}", "0\n1\n2\n", false);
    /* All but 32 and 33, which are the C library's own. */
    answers("{\"command\": \"grep -cE '^Sig(Blk|Ign):.0{7}[01][08]0{7}$' /proc/self/status\"}", "2\n", false);
    answers("{\"command\": \"readlink /proc/self/fd/0\"}", "/dev/null\n", false);
    (void)sigprocmask(SIG_UNBLOCK, &some, NULL);
    (void)close(fd);
}

static void feeds_what_a_program_shall_read(void **state) {
    struct bench *bench =
        bench_new("{\"command\": \"cat\", \"stdin\": \"<{a}{b}> {{x}\", \"input.a\": \"string\", \"input.b\": "
                  "\"string, optional\"}");

    (void)state;
    assert_string_equal(bench_call(bench, "{\"a\": \"-x 'y'\"}"), "<-x 'y'> {x}");
    assert_string_equal(bench_call(bench, "{\"a\": \"a\\u0000b\", \"b\": \"c\"}"), "<a\uFFFDbc> {x}");
    bench_free(bench);
}

static char *large_argument(size_t len) {
    char *text = malloc(len + 16);

    (void)strcpy(text, "{\"a\": \"");
    memset(text + 7, 'x', len);
    (void)strcpy(text + 7 + len, "\"}");
    return text;
}

static void feeds_more_than_a_pipe_holds(void **state) {
    struct bench *bench = bench_new("{\"command\": \"cat\", \"stdin\": \"{a}\", \"input.a\": \"string\", "
                                    "\"max_output\": \"2M\"}");
    char *args = large_argument(1 << 20);

    (void)state;
    assert_int_equal(strlen(bench_call(bench, args)), 1 << 20);
    assert_false(fake_failed(&bench->fake));
    free(args);
    bench_free(bench);
}

static void does_not_insist_that_a_program_reads(void **state) {
    struct bench *bench = bench_new("{\"command\": \"true\", \"stdin\": \"{a}\", \"input.a\": \"string\"}");
    char *args = large_argument(1 << 20);

    (void)state;
    assert_string_equal(bench_call(bench, args), "");
    assert_false(fake_failed(&bench->fake));
    bench_free(bench);
    /* one that neither reads nor ends */
    bench = bench_new("{\"command\": \"sleep 1000\", \"stdin\": \"{a}\", \"input.a\": \"string\", \"timeout\": \"1\"}");
    assert_string_equal(
        bench_call(bench, args),
        "'sleep' was ended because it took longer than 1 s (timeout in [tool:t]) and printed nothing\n");
    free(args);
    bench_free(bench);
}

static void shows_bytes_that_are_no_text(void **state) {
    (void)state;
    answers("{\"command\": \"printf 'a\\\\377\\\\000b'\"}", "a\uFFFD\uFFFDb", false);
}

static void keeps_head_and_tail_of_much_output(void **state) {
    (void)state;
    answers("{\"command\": \"seq 100000\", \"max_output\": \"20\"}",
            "1\n2\n3\n4\n5\n\n[… 588875 bytes left out …]\n99\n100000\n", false);
}

static char held[32]; /* a file */

static void hold(void) {
    (void)strcpy(held, "/tmp/theseus-exec-XXXXXX");
    (void)close(mkstemp(held));
}

static bool let_go_after_the_first_line(struct fake *fake) {
    if (fake->reports > 0)
        (void)unlink(held);
    return false;
}

static void reports_progress(void **state) {
    char section[160];

    (void)state;
    hold();
    (void)snprintf(section, sizeof(section),
                   "{\"command\": \"sh -c 'echo one; echo two >&2; while test -e %s; do sleep 0.01; done; printf 3'\"}",
                   held);
    struct bench *bench = bench_new(section);
    bench->fake.is_cancelled = let_go_after_the_first_line;
    (void)bench_call(bench, "{}");
    assert_true(bench->fake.done == 9);
    assert_true(bench->fake.reports >= 2);
    assert_string_equal(json_string_value(json_array_get(bench->fake.messages, 0)), "one");
    bench_free(bench);
}

/* Its time may be over before it has come to saying anything, where the machine stalls: then it is called again. */
static const char *call_until_it_says(struct bench *bench, const char *what) {
    const char *text = bench_call(bench, "{}");

    for (int i = 0; i < 5 && !strstr(text, what); i++)
        text = bench_call(bench, "{}");
    assert_non_null(strstr(text, what));
    return text;
}

static void ends_the_whole_group_when_its_time_is_over(void **state) {
    struct bench *bench = bench_new("{\"command\": \"sh -c 'sleep 1000 & echo $!; wait'\", \"timeout\": \"1\"}");
    const char *text = call_until_it_says(bench, "\nstdout:\n"),
               *start = "'sh' was ended because it took longer than 1 s (timeout in [tool:t])\n\nstdout:\n";

    (void)state;
    assert_true(fake_failed(&bench->fake));
    assert_memory_equal(text, start, strlen(start));
    wait_until_gone(atol(text + strlen(start)));
    assert_int_equal(waitpid((pid_t)bench->fake.child, NULL, 0), -1);
    bench_free(bench);
}

static void lets_a_program_say_good_bye(void **state) {
    struct bench *bench =
        bench_new("{\"command\": \"sh -c 'trap \\\"echo bye; exit 0\\\" TERM; while :; do sleep 0.05; "
                  "done'\", \"timeout\": \"1\"}");

    (void)state;
    (void)call_until_it_says(bench, "\nstdout:\nbye\n");
    bench_free(bench);
}

static void ends_what_does_not_listen(void **state) {
    struct bench *bench =
        bench_new("{\"command\": \"sh -c 'trap \\\"\\\" TERM; sleep 1000 & echo $!; while :; do sleep 1; "
                  "done'\", \"timeout\": \"1\"}");
    const char *text = call_until_it_says(bench, "\nstdout:\n");

    (void)state;
    assert_true(fake_failed(&bench->fake));
    wait_until_gone(atol(strstr(text, "stdout:\n") + strlen("stdout:\n")));
    bench_free(bench);
}

static bool cancelled_after_the_first_line(struct fake *fake) {
    return fake->reports > 0;
}

static void ends_the_whole_group_when_cancelled(void **state) {
    struct bench *bench = bench_new("{\"command\": \"sh -c 'sleep 1000 & echo $!; wait'\"}");
    json_t *none = json_object();

    (void)state;
    bench->fake.is_cancelled = cancelled_after_the_first_line;
    int64_t before = now_ms();
    assert_int_equal(bench->fake.handler(&bench->fake.call, bench->self, none), THESEUS_DONE);
    assert_true(now_ms() - before < 10000);
    assert_int_equal(bench->fake.answers, 0);
    assert_int_equal(bench->fake.ended, 1);
    wait_until_gone(atol(json_string_value(json_array_get(bench->fake.messages, 0))));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    json_decref(none);
    bench_free(bench);
}

static void does_not_wait_for_a_descendant_that_holds_the_pipe(void **state) {
    struct bench *bench = bench_new("{\"command\": \"sh -c 'sleep 1000 & echo $!'\"}");
    int64_t before = now_ms();
    long pid = atol(bench_call(bench, "{}"));

    (void)state;
    assert_true(now_ms() - before < 10000);
    assert_false(fake_failed(&bench->fake));
    wait_until_gone(pid);
    bench_free(bench);
}

static void does_not_wait_for_a_descendant_that_floods_the_pipe(void **state) {
    struct bench *bench = bench_new("{\"command\": \"sh -c 'yes & echo $! >&2; exit 1'\", \"max_output\": \"10\"}");
    const char *text = bench_call(bench, "{}");

    (void)state;
    wait_until_gone(atol(strstr(text, "stderr:\n") + strlen("stderr:\n")));
    bench_free(bench);
}

/* What nobody ends goes on when its file has gone, and leaves a directory in its place. */
static void leaves_alone_who_let_go_of_the_pipes(void **state) {
    char section[256];

    (void)state;
    hold();
    (void)snprintf(section, sizeof(section),
                   "{\"command\": \"sh -c '(while test -e %s; do sleep 0.01; done; mkdir %s) >/dev/null 2>&1 & "
                   "until test $(readlink /proc/$!/fd/2) = /dev/null; do :; done'\"}",
                   held, held);
    struct bench *bench = bench_new(section);
    assert_string_equal(bench_call(bench, "{}"), "");
    assert_int_equal(unlink(held), 0);
    for (int64_t limit = now_ms() + 10000; rmdir(held) < 0;) {
        assert_true(now_ms() < limit);
        (void)poll(NULL, 0, 1);
    }
    bench_free(bench);
}

static void runs_nothing_that_the_server_cannot_take_note_of(void **state) {
    struct bench *bench = bench_new("{\"command\": \"sleep 1000\"}");
    json_t *none = json_object();

    (void)state;
    bench->fake.refuse_child = true;
    (void)bench->fake.handler(&bench->fake.call, bench->self, none);
    assert_string_equal(fake_text(&bench->fake),
                        "the server cannot take note of another process, so it was ended; try again later");
    wait_until_gone(bench->fake.child);
    json_decref(none);
    bench_free(bench);
}

static void leaves_nothing_behind_after_a_thousand_runs(void **state) {
    struct bench *bench = bench_new("{\"command\": \"cat\", \"stdin\": \"{a}\", \"input.a\": \"string\"}");
    unsigned before;

    (void)state;
    assert_string_equal(bench_call(bench, "{\"a\": \"x\"}"), "x");
    before = open_descriptors();
    for (int i = 0; i < 1000; i++)
        assert_string_equal(bench_call(bench, "{\"a\": \"x\"}"), "x");
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    bench_free(bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_what_was_printed),
        cmocka_unit_test(says_how_a_program_failed),
        cmocka_unit_test(shows_the_end_of_a_long_stderr),
        cmocka_unit_test(names_a_program_that_cannot_run),
        cmocka_unit_test(gives_a_program_its_own_environment_only),
        cmocka_unit_test(runs_in_the_callers_directory_or_the_sections),
        cmocka_unit_test(a_program_inherits_nothing_else),
        cmocka_unit_test(feeds_what_a_program_shall_read),
        cmocka_unit_test(feeds_more_than_a_pipe_holds),
        cmocka_unit_test(does_not_insist_that_a_program_reads),
        cmocka_unit_test(shows_bytes_that_are_no_text),
        cmocka_unit_test(keeps_head_and_tail_of_much_output),
        cmocka_unit_test(reports_progress),
        cmocka_unit_test(ends_the_whole_group_when_its_time_is_over),
        cmocka_unit_test(lets_a_program_say_good_bye),
        cmocka_unit_test(ends_what_does_not_listen),
        cmocka_unit_test(ends_the_whole_group_when_cancelled),
        cmocka_unit_test(does_not_wait_for_a_descendant_that_holds_the_pipe),
        cmocka_unit_test(does_not_wait_for_a_descendant_that_floods_the_pipe),
        cmocka_unit_test(leaves_alone_who_let_go_of_the_pipes),
        cmocka_unit_test(runs_nothing_that_the_server_cannot_take_note_of),
        cmocka_unit_test(leaves_nothing_behind_after_a_thousand_runs),
    };

    return cmocka_run_group_tests_name("plugins/exec_run", tests, NULL, NULL);
}
