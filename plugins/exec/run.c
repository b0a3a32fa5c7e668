#include "run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "environment.h"
#include "memory.h"
#include "output.h"
#include "process.h"

enum {
    TICK_MS = 50,       /* at the latest, a cancellation is seen */
    TERM_MS = 500,      /* from SIGTERM to SIGKILL */
    LINGER_MS = 200,    /* how long a pipe may stay open behind the program that was given it */
    STDERR_TAIL = 4096, /* of what a failed program said */
    READ_SIZE = 16384,
    LAST_READS = 5, /* what a pipe holds, and its end */
};

enum ending { RUNNING, EXITED, TIMED_OUT, CANCELLED };

struct run {
    struct theseus_call *call;
    const struct section *section;
    struct process process;
    struct text input; /* what the program shall read */
    size_t input_at;   /* so far it was given this much */
    struct output output, error;
    struct newest_line output_line, error_line;
    int64_t deadline; /* 0: none of our own */
};

static int64_t now_ms(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

/* A program need not read what it is offered: that it closed its end is no error. */
static void feed(struct run *run) {
    ssize_t n = write(run->process.input, run->input.data + run->input_at, run->input.len - run->input_at);

    if (n > 0)
        run->input_at += (size_t)n;
    if (run->input_at == run->input.len || (n < 0 && errno != EAGAIN && errno != EINTR))
        process_close(&run->process.input);
}

/* One portion: the other pipe, and a cancellation, get their turn in between. */
static void drain(int *fd, struct output *output, struct newest_line *line) {
    char bytes[READ_SIZE];
    ssize_t n = read(*fd, bytes, sizeof(bytes));

    if (n > 0) {
        output_add(output, bytes, (size_t)n);
        newest_line_add(line, bytes, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        process_close(fd);
}

static void report(struct run *run) {
    char *line = newest_line_take(&run->output_line);

    if (!line)
        line = newest_line_take(&run->error_line);
    theseus_progress(run->call, (double)(run->output.total + run->error.total), 0, line);
    free(line);
}

/* Waits at most `timeout` ms for the pipes and serves those that are ready. Returns whether one was. */
static bool serve_pipes(struct run *run, int timeout) {
    struct pollfd fds[] = {
        {.fd = run->process.output, .events = POLLIN},
        {.fd = run->process.error, .events = POLLIN},
        {.fd = run->process.input, .events = POLLOUT},
    };
    uint64_t before = run->output.total + run->error.total;

    if (poll(fds, 3, timeout) <= 0)
        return false;
    if (fds[0].revents)
        drain(&run->process.output, &run->output, &run->output_line);
    if (fds[1].revents)
        drain(&run->process.error, &run->error, &run->error_line);
    if (fds[2].revents)
        feed(run);
    if (run->output.total + run->error.total > before)
        report(run);
    return true;
}

static bool pipes_ended(const struct run *run) {
    return run->process.output < 0 && run->process.error < 0;
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

/* While nothing happens one looks again after 1 ms, 2 ms, …: a short program is not waited for longer than it takes. */
static int longer(int tick) {
    return tick * 2 < TICK_MS ? tick * 2 : TICK_MS;
}

static bool is_over(const struct run *run) {
    return pipes_ended(run) && process_is_over(&run->process);
}

/* Serves the pipes until they have ended and the program too, or until `until`: then false. What they hold by then is
 * still read: it may be us who had no time. */
static bool serve_until_over(struct run *run, int64_t until) {
    int tick = 1, late = 0;

    while (!is_over(run) && late < LAST_READS) {
        late += now_ms() >= until;
        tick = serve_pipes(run, late ? 0 : tick) ? 1 : longer(tick);
    }
    return is_over(run);
}

static void end_group(struct run *run) {
    process_signal(&run->process, SIGTERM);
    (void)serve_until_over(run, now_ms() + TERM_MS);
    process_signal(&run->process, SIGKILL); /* also whoever closed the pipes and stayed */
}

/* The program's own end, or the caller's, or that of its time. One that has ended in time did so also where we come to
 * look later. */
static enum ending watch(struct run *run) {
    int tick = 1;

    for (;;) {
        if (theseus_cancelled(run->call))
            return CANCELLED;
        if (process_is_over(&run->process))
            return EXITED;
        if (run->deadline && now_ms() >= run->deadline)
            return TIMED_OUT;
        tick = serve_pipes(run, tick) ? 1 : longer(tick);
    }
}

static enum ending finish(struct run *run) {
    enum ending ending = watch(run);

    if (ending != EXITED)
        end_group(run);
    else if (!serve_until_over(run, now_ms() + LINGER_MS))
        end_group(run); /* a descendant holds the pipes */
    process_reap(&run->process);
    return ending;
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static int reply(struct theseus_call *call, struct text *text, bool is_error) {
    json_t *item = text->failed ? NULL : json_stringn(text->len ? text->data : "", text->len);

    if (!item)
        return theseus_reply_error(call, "no memory for what the program printed; a smaller max_output may help");
    return theseus_reply(
        call, json_pack("{s:[{s:s, s:o}], s:b}", "content", "type", "text", "text", item, "isError", is_error));
}

static void describe_ending(const struct run *run, enum ending ending, struct text *text) {
    const struct text *program = &run->section->command.words[0].pieces[0].text;
    int status = run->process.status;

    text_printf(text, "'%.*s' ", (int)program->len, program->data);
    if (ending == TIMED_OUT)
        text_printf(text, "was ended because it took longer than %u s (timeout in [tool:%s])", run->section->timeout,
                    run->section->name);
    else if (run->process.lost)
        text_printf(text, "ended, but how is not known: something else in the server waited for it");
    else if (WIFSIGNALED(status) && sigabbrev_np(WTERMSIG(status)))
        text_printf(text, "was ended by signal SIG%s", sigabbrev_np(WTERMSIG(status)));
    else if (WIFSIGNALED(status))
        text_printf(text, "was ended by signal %d", WTERMSIG(status));
    else
        text_printf(text, "ended with exit status %d", WEXITSTATUS(status));
}

static void add_output(struct text *text, const char *title, const struct output *output) {
    if (output->total == 0)
        return;
    text_printf(text, "\n%s:\n", title);
    output_text(output, text);
    if (text->len && text->data[text->len - 1] != '\n')
        text_add(text, "\n", 1);
}

static int reply_ending(struct run *run, enum ending ending) {
    CLEANUP(text_fini) struct text text = {0};
    bool failed = ending == TIMED_OUT || run->process.status != 0 || run->process.lost;

    if (ending == CANCELLED)
        return THESEUS_DONE;
    if (!failed) {
        output_text(&run->output, &text);
        return reply(run->call, &text, false);
    }
    describe_ending(run, ending, &text);
    if (run->error.total + run->output.total == 0)
        text_printf(&text, " and printed nothing");
    text_printf(&text, "\n");
    add_output(&text, "stderr", &run->error);
    add_output(&text, "stdout", &run->output);
    return reply(run->call, &text, true);
}

/* ---- the beginning ----------------------------------------------------------------------------------------------- */

static int choose_directory(struct run *run, const char **ret_directory, struct theseus_error *err) {
    const struct theseus_client_info *client = theseus_client(run->call);
    const char *directory = run->section->directory;
    struct stat st;

    if (!directory && client && client->directory && *client->directory)
        directory = client->directory;
    *ret_directory = directory;
    if (directory && (stat(directory, &st) < 0 || !S_ISDIR(st.st_mode)))
        return theseus_fail(err, "the directory '%.120s' to run in does not exist; correct it with the key cwd",
                            directory);
    return 0;
}

static int start(struct run *run, const struct strings *argv, const struct strings *environment,
                 struct theseus_error *err) {
    struct process_setup setup = {
        .argv = argv->items, .environment = environment->items, .has_input = run->input.len > 0};
    char *file;

    if (choose_directory(run, &setup.directory, err) < 0 ||
        environment_find(environment, setup.directory, argv->items[0], &file, err) < 0)
        return -1;
    setup.file = file;
    int r = process_start(&run->process, &setup, err);
    free(file);
    if (r == 0 && theseus_child_started(run->call, run->process.pid) < 0)
        return theseus_fail(err, "the server cannot take note of another process, so it was ended; try again later");
    return r;
}

static int prepare(struct run *run, const json_t *args, struct theseus_error *err) {
    CLEANUP(strings_fini) struct strings argv = {0}, environment = {0};
    size_t head = run->section->max_output / 2;
    bool absent;

    if (command_arguments(&run->section->command, &run->section->inputs, args, &argv, err) < 0 ||
        template_expand(&run->section->input, &run->section->inputs, args, &run->input, &absent, err) < 0)
        return -1;
    environment_make(run->section, &environment);
    if (run->input.failed || environment.failed ||
        output_init(&run->output, head, run->section->max_output - head) < 0 ||
        output_init(&run->error, 0, STDERR_TAIL) < 0)
        return theseus_fail(err, "no memory to run the program");
    return start(run, &argv, &environment, err);
}

static int run_prepared(struct run *run, const json_t *args) {
    struct theseus_error err = {0};

    if (prepare(run, args, &err) < 0)
        return theseus_reply_error(run->call, "%s", err.message);
    if (run->section->timeout)
        run->deadline = now_ms() + (int64_t)run->section->timeout * 1000;
    pid_t pid = run->process.pid;
    enum ending ending = finish(run);
    theseus_child_ended(run->call, pid);
    return reply_ending(run, ending);
}

int run_tool(struct theseus_call *call, const struct section *section, const json_t *args) {
    struct run *run = calloc(1, sizeof(*run));
    int r;

    if (!run)
        return theseus_reply_error(call, "no memory to run the program");
    *run = (struct run){.call = call, .section = section, .process = PROCESS_NONE};
    r = run_prepared(run, args);
    process_fini(&run->process);
    text_fini(&run->input);
    output_fini(&run->output);
    output_fini(&run->error);
    free(run);
    return r;
}
