#include "test.h"

#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/until.h"

struct watched {
    struct child *child;
    bool over, timed_out, output_cut, free_it;
    int wait_status;
    size_t output_len;
    char output[4096]; /* the beginning */
};

static void on_end(void *arg, const struct child_result *result) {
    struct watched *watched = arg;
    size_t len = result->output.len;

    loop_enter();
    if (watched->free_it)
        watched->child = child_free(watched->child);
    watched->wait_status = result->wait_status;
    watched->timed_out = result->timed_out;
    watched->output_cut = result->output_cut;
    watched->output_len = len;
    len = len < sizeof(watched->output) ? len : sizeof(watched->output) - 1;
    memcpy(watched->output, len ? result->output.data : "", len);
    watched->output[len] = '\0';
    watched->over = true;
}

static void start(struct loop *loop, struct watched *watched, const struct child_spec *spec) {
    struct theseus_error err = {0};

    loop_enter();
    int r = child_start(&watched->child, loop, spec, on_end, watched, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(r, 0);
}

/* Runs `script` to its end. */
static void run_shell(struct loop *loop, struct watched *watched, const char *script, int time_limit_ms) {
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, xstrdup(script), NULL};
    struct child_spec spec = {CHILD_SPEC_DEFAULTS, .path = "/bin/sh", .argv = argv, .max_output = 65536};

    loop_enter();
    spec.time_limit_ms = time_limit_ms;
    start(loop, watched, &spec);
    free(argv[2]);
    until(loop, watched->over);
    watched->child = child_free(watched->child);
}

static void tells_exit_status_and_output(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct watched watched = {0};

    (void)state;
    run_shell(loop, &watched, "cat; echo out; echo lost >&2; exit 7", 20000);
    assert_true(WIFEXITED(watched.wait_status));
    assert_int_equal(WEXITSTATUS(watched.wait_status), 7);
    assert_string_equal(watched.output, "out\n");
    assert_false(watched.timed_out);
    assert_false(watched.output_cut);
}

static void tells_the_signal_that_ended_it(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct watched watched = {0};

    (void)state;
    run_shell(loop, &watched, "kill -TERM $$", 0);
    assert_true(WIFSIGNALED(watched.wait_status));
    assert_int_equal(WTERMSIG(watched.wait_status), SIGTERM);
}

static bool is_gone(pid_t pid) {
    char path[64], text[256] = "";

    if (kill(pid, 0) < 0 && errno == ESRCH)
        return true;
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 || strstr(text, ") Z "); /* nobody reaps orphans here */
}

/* Its limit is not looked at before it has said, on its stderr, which grandchild there is. */
static void ends_the_whole_group_at_the_limit(void **state) {
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"sleep 1000 & echo $! >&2; wait"}, NULL};
    struct child_spec spec = {CHILD_SPEC_DEFAULTS, .path = "/bin/sh", .argv = argv, .time_limit_ms = 300};
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct watched watched = {0};
    char text[32] = "";
    int said[2];

    (void)state;
    loop_enter();
    assert_int_equal(pipe2(said, O_CLOEXEC), 0);
    spec.stderr_fd = said[1];
    start(loop, &watched, &spec);
    assert_true(read(said[0], text, sizeof(text) - 1) > 0);
    pid_t grandchild = (pid_t)atoi(text);
    assert_true(grandchild > 1);
    until(loop, watched.over);
    assert_true(watched.timed_out);
    assert_true(WIFSIGNALED(watched.wait_status));
    until(loop, is_gone(grandchild));
    watched.child = child_free(watched.child);
    (void)close(said[0]);
    (void)close(said[1]);
}

/* The loop comes too late for it, and finds the limit first. */
static void does_not_take_the_end_of_a_child_for_the_limit(void **state) {
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"exit 3"}, NULL};
    struct child_spec spec = {CHILD_SPEC_DEFAULTS, .path = "/bin/sh", .argv = argv, .time_limit_ms = 1};
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct watched watched = {0};
    siginfo_t info;

    (void)state;
    loop_enter();
    start(loop, &watched, &spec);
    assert_int_equal(waitid(P_PID, (id_t)child_pid(watched.child), &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(usleep(2000), 0); /* the limit has passed */
    until(loop, watched.over);
    assert_false(watched.timed_out);
    assert_true(WIFEXITED(watched.wait_status));
    assert_int_equal(WEXITSTATUS(watched.wait_status), 3);
    watched.child = child_free(watched.child);
}

static void does_not_wait_for_a_grandchild_that_holds_the_pipe(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct watched watched = {0};

    (void)state;
    run_shell(loop, &watched,
              "setsid sh -c 'echo $$; exec sleep 1000' & "
              "until grep -q sleep /proc/$!/comm; do :; done; exit 3",
              15000);
    assert_int_equal(WEXITSTATUS(watched.wait_status), 3);
    pid_t grandchild = (pid_t)atoi(watched.output);
    assert_true(grandchild > 1);
    assert_int_equal(kill(grandchild, SIGKILL), 0); /* it had left the group and lived on */
}

static void ends_what_an_exiting_child_leaves_in_its_group(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct watched watched = {0};

    (void)state;
    run_shell(loop, &watched, "sleep 1000 & echo $!", 0);
    pid_t grandchild = (pid_t)atoi(watched.output);
    assert_true(WIFEXITED(watched.wait_status));
    assert_true(grandchild > 1);
    until(loop, is_gone(grandchild));
}

static void keeps_output_up_to_the_limit_and_reads_on(void **state) {
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"yes | head -c 1000000; exit 5"}, NULL};
    struct child_spec spec = {CHILD_SPEC_DEFAULTS, .path = "/bin/sh", .argv = argv, .max_output = 1000};
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct watched watched = {0};

    (void)state;
    loop_enter();
    start(loop, &watched, &spec);
    until(loop, watched.over);
    assert_int_equal(WEXITSTATUS(watched.wait_status), 5);
    assert_int_equal(watched.output_len, 1000);
    assert_true(watched.output_cut);
    watched.child = child_free(watched.child);
}

static void keeps_output_of_exactly_the_limit_whole(void **state) {
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"echo 123"}, NULL};
    struct child_spec spec = {CHILD_SPEC_DEFAULTS, .path = "/bin/sh", .argv = argv, .max_output = 4};
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct watched watched = {0};

    (void)state;
    loop_enter();
    start(loop, &watched, &spec);
    until(loop, watched.over);
    assert_string_equal(watched.output, "123\n");
    assert_false(watched.output_cut);
    watched.child = child_free(watched.child);
}

static void executes_a_descriptor(void **state) {
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"echo $0 $X; ls /proc/$$/fd"}, (char[]){"me"}, NULL};
    char *envp[] = {(char[]){"X=y"}, (char[]){"PATH=/bin:/usr/bin"}, NULL};
    struct child_spec spec = {CHILD_SPEC_DEFAULTS, .path = "the shell", .argv = argv, .envp = envp, .max_output = 4096};
    CLEANUP(loop_free) struct loop *loop = loop_new();
    CLEANUP(fd_close) int shell = open("/bin/sh", O_RDONLY | O_CLOEXEC);
    CLEANUP(fd_close) int stray = open("/dev/null", O_RDONLY); /* not close-on-exec: not the child's all the same */
    struct watched watched = {0};

    (void)state;
    loop_enter();
    assert_true(shell >= 0 && stray >= 0);
    spec.exec_fd = shell;
    start(loop, &watched, &spec);
    until(loop, watched.over);
    assert_string_equal(watched.output, "me y\n0\n1\n2\n3\n");
    watched.child = child_free(watched.child);
}

static void hands_over_descriptors_in_any_order(void **state) {
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"cat; echo out; echo err >&2"}, NULL};
    struct child_spec spec = {CHILD_SPEC_DEFAULTS, .path = "/bin/sh", .argv = argv};
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct watched watched = {0};
    char text[64] = "";
    int in[2], out[2];

    (void)state;
    loop_enter();
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(write(in[1], "in\n", 3), 3);
    (void)close(in[1]);
    spec.stdin_fd = in[0];
    spec.stdout_fd = spec.stderr_fd = out[1];
    start(loop, &watched, &spec);
    (void)close(in[0]);
    (void)close(out[1]);
    until(loop, watched.over);
    assert_true(read(out[0], text, sizeof(text) - 1) > 0);
    assert_string_equal(text, "in\nout\nerr\n");
    (void)close(out[0]);
    watched.child = child_free(watched.child);
}

/* Not by way of a shell, which mends its mask itself. */
static void gives_a_child_no_signal_settings(void **state) {
    char *argv[] = {(char[]){"grep"}, (char[]){"-E"}, (char[]){"Sig(Blk|Ign)"}, (char[]){"/proc/self/status"}, NULL};
    struct child_spec spec = {CHILD_SPEC_DEFAULTS, .path = "/bin/grep", .argv = argv, .max_output = 4096};
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct watched watched = {0};
    unsigned long child_blocked, child_ignored;
    sigset_t blocked, before;

    (void)state;
    loop_enter();
    (void)sigfillset(&blocked);
    (void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
    void (*handler)(int) = signal(SIGPIPE, SIG_IGN);
    start(loop, &watched, &spec);
    (void)signal(SIGPIPE, handler);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    until(loop, watched.over);
    watched.child = child_free(watched.child);
    assert_int_equal(sscanf(watched.output, "SigBlk: %lx SigIgn: %lx", &child_blocked, &child_ignored), 2);
    assert_int_equal(child_blocked, 0);
    assert_int_equal(child_ignored & ~(3UL << 31), 0); /* 32 and 33 are the C library's own */
}

static void runs_a_child_in_its_own_group(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct watched watched = {0};
    int pid, group;

    (void)state;
    run_shell(loop, &watched, "cut -d' ' -f5 /proc/$$/stat; echo $$", 0);
    assert_int_equal(sscanf(watched.output, "%d %d", &group, &pid), 2);
    assert_int_equal(group, pid);
}

static void kills_and_reaps_a_running_child_when_freed(void **state) {
    char *argv[] = {(char[]){"sleep"}, (char[]){"1000"}, NULL};
    struct child_spec spec = {CHILD_SPEC_DEFAULTS, .path = "/bin/sleep", .argv = argv};
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct watched watched = {0};

    (void)state;
    loop_enter();
    start(loop, &watched, &spec);
    pid_t pid = child_pid(watched.child);
    assert_int_equal(kill(pid, 0), 0);
    watched.child = child_free(watched.child);
    assert_int_equal(kill(pid, 0), -1);
    (void)loop_turn(loop, 1);
    assert_false(watched.over);
}

static void may_be_freed_by_its_own_callback(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct watched watched = {.free_it = true};

    (void)state;
    run_shell(loop, &watched, "echo kept", 0);
    assert_string_equal(watched.output, "kept\n");
}

static void leaves_other_children_alone(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct watched watched = {0};
    pid_t other = fork();
    int status;

    (void)state;
    if (other == 0)
        _exit(9);
    run_shell(loop, &watched, "exit 0", 0);
    assert_int_equal(waitpid(other, &status, 0), other);
    assert_int_equal(WEXITSTATUS(status), 9);
}

/* Restarts the limit for each line but the last. */
struct lines {
    struct watched watched; /* first: on_end() gets the same argument */
    size_t seen;
    int restarts, last;
};

static void on_lines(void *arg, struct span output) {
    struct lines *lines = arg;

    loop_enter();
    for (; lines->seen < output.len; lines->seen++)
        if (output.data[lines->seen] == '\n' && ++lines->restarts < lines->last)
            child_restart_limit(lines->watched.child);
}

/* Says `count` lines with a pause behind each. */
static void run_lines(struct loop *loop, struct lines *lines, int count, const char *pause_s, int time_limit_ms) {
    CLEANUP(free) char *script = xasprintf("for i in $(seq %d); do echo $i; sleep %s; done", count, pause_s);
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, script, NULL};
    struct child_spec spec = {CHILD_SPEC_DEFAULTS, .path = "/bin/sh",     .argv = argv,
                              .max_output = 65536, .on_output = on_lines, .time_limit_ms = time_limit_ms};

    loop_enter();
    start(loop, &lines->watched, &spec);
    until(loop, lines->watched.over);
    lines->watched.child = child_free(lines->watched.child);
}

static void begins_its_time_anew_when_it_is_told_to(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct lines lines = {.last = 100};

    (void)state;
    run_lines(loop, &lines, 3, "1.1", 2500);
    assert_false(lines.watched.timed_out);
    assert_true(lines.restarts > 0);
    assert_string_equal(lines.watched.output, "1\n2\n3\n");
}

static void ends_a_child_whose_time_is_not_begun_anew(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct lines lines = {.last = 2};

    (void)state;
    run_lines(loop, &lines, 1000, "0.4", 1400);
    assert_true(lines.watched.timed_out);
}

/* The loop comes too late for the lines, and finds the limit first. */
static void looks_at_the_output_before_it_ends_a_child(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct lines lines = {.last = 100};
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"echo 1; echo ready >&2; read line; echo 2"}, NULL};
    int ready[2], more[2];
    char text[8];

    (void)state;
    loop_enter();
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(more, O_CLOEXEC), 0);
    struct child_spec spec = {CHILD_SPEC_DEFAULTS, .path = "/bin/sh",     .argv = argv,
                              .max_output = 65536, .on_output = on_lines, .time_limit_ms = 1000};
    spec.stdin_fd = more[0];
    spec.stderr_fd = ready[1];
    start(loop, &lines.watched, &spec);
    assert_true(read(ready[0], text, sizeof(text)) > 0);
    assert_int_equal(usleep(1200000), 0); /* the limit passes while the loop does not turn */
    (void)loop_turn(loop, 0);
    assert_int_equal(write(more[1], "\n", 1), 1);
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], text, sizeof(text)), 0); /* it has said all, and closes its stderr */
    until(loop, lines.watched.over);
    assert_false(lines.watched.timed_out);
    assert_string_equal(lines.watched.output, "1\n2\n");
    lines.watched.child = child_free(lines.watched.child);
    (void)close(ready[0]);
    for (int i = 0; i < 2; i++)
        (void)close(more[i]);
}

static void refuses_what_cannot_be_executed(void **state) {
    char *argv[] = {(char[]){"nothing"}, NULL};
    struct child_spec spec = {CHILD_SPEC_DEFAULTS, .path = "/nowhere/nothing", .argv = argv, .max_output = 10};
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct theseus_error err = {0};
    struct child *child;

    (void)state;
    loop_enter();
    assert_int_equal(child_start(&child, loop, &spec, on_end, NULL, &err), -1);
    assert_string_equal(err.message, "cannot execute '/nowhere/nothing': No such file or directory");
}

static int open_fds(void) {
    int count = 0;

    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            count++;
    return count;
}

static void leaves_no_descriptors_behind(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct watched watched = {0};
    int before = open_fds();

    (void)state;
    for (int i = 0; i < 5; i++) {
        watched = (struct watched){0};
        run_shell(loop, &watched, "echo x", 1000);
    }
    assert_int_equal(open_fds(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_exit_status_and_output),
        cmocka_unit_test(tells_the_signal_that_ended_it),
        cmocka_unit_test(ends_the_whole_group_at_the_limit),
        cmocka_unit_test(does_not_take_the_end_of_a_child_for_the_limit),
        cmocka_unit_test(does_not_wait_for_a_grandchild_that_holds_the_pipe),
        cmocka_unit_test(ends_what_an_exiting_child_leaves_in_its_group),
        cmocka_unit_test(keeps_output_up_to_the_limit_and_reads_on),
        cmocka_unit_test(keeps_output_of_exactly_the_limit_whole),
        cmocka_unit_test(executes_a_descriptor),
        cmocka_unit_test(hands_over_descriptors_in_any_order),
        cmocka_unit_test(gives_a_child_no_signal_settings),
        cmocka_unit_test(runs_a_child_in_its_own_group),
        cmocka_unit_test(kills_and_reaps_a_running_child_when_freed),
        cmocka_unit_test(may_be_freed_by_its_own_callback),
        cmocka_unit_test(leaves_other_children_alone),
        cmocka_unit_test(begins_its_time_anew_when_it_is_told_to),
        cmocka_unit_test(ends_a_child_whose_time_is_not_begun_anew),
        cmocka_unit_test(looks_at_the_output_before_it_ends_a_child),
        cmocka_unit_test(refuses_what_cannot_be_executed),
        cmocka_unit_test(leaves_no_descriptors_behind),
    };

    return cmocka_run_group_tests_name("loop/child", tests, NULL, NULL);
}
