/*
 * Plays golden transcripts against the server: run [--pipe] [--socket] [--rebuild] [--rebuild-early] FILE...
 *
 * Each file is played in each of these modes; without an option, in all of them. --pipe and --socket start the real
 * binary, over pipes as Python does and over socket pairs as Node does. --rebuild links the core: before each line that
 * is sent the server object is thrown away and made again from its ledger;
 * --rebuild-early does that just after the line was written, before, while or after the server works on it.
 *
 * A transcript is a file of lines; the first characters say what a line is.
 *
 *     # TEXT       a comment
 *     > JSON       is sent as it stands, with a newline
 *     = BYTES      is sent without one; \n \r \t \0 \\ and \xHH are bytes
 *     < JSON       is expected; match.h has the placeholders
 *     <! JSON      from here on nothing like this may come
 *     <? JSON      from here on, lines like this may come or not
 *     @ DIRECTIVE  see below
 *
 * Consecutive `<` lines are a group: they may come in any order, each exactly once, and all of them have come before
 * the next line of another kind is looked at. What came besides waits for later groups; at the end nothing may be left.
 *
 * ${NAME} in a line is replaced: M (the members of a modern `_meta`), SERVER (the pattern of our Implementation),
 * PLUGINS, WORK and CONFIG (private paths), n (the number of a repetition, from 0), what `@ let` has named, and what a
 * pattern "$id:NAME" has met, as JSON.
 *
 *     @ modes NAME...         the transcript is for these only (pipe socket rebuild rebuild-early), and skipped in
 * others
 *     @ config LINE           one more line of the configuration; `@ config` alone begins anew. Consecutive ones are
 *                             saved together, by rename
 *     @ tools LINE            the same for tools.ini in the plugin directory
 *     @ input LINE            the same for the file ${WORK}/input
 *     @ from PATH             starts the server with this file for its input, which nothing more is sent to
 *     @ plugin NAME [as FILE] puts the shipped plugin or the fixture NAME into the plugin directory, by rename
 *     @ unplug FILE           removes it
 *     @ legacy REVISION       the handshake
 *     @ let NAME TEXT
 *     @ repeat N              the next line so many times; expected ones then come in that order
 *     @ ordered               the next group comes in the order in which it stands
 *     @ within MS             how long the next group may take
 *     @ start                 starts the server (the first line that is sent does that too)
 *     @ deaf, @ hear          from here on the client does not read, or reads again
 *     @ push                  a deaf client writes until the server takes no more
 *     @ memory KB             the most that the server may have (in a process of its own)
 *     @ close                 the end of the input
 *     @ exit STATUS within MS after the end of the input; else it is 0 within 20000
 *     @ stderr TEXT           is on stderr, which else must be empty
 *
 * The end of the file is the end of the input. Every transcript has a home, a configuration and a plugin directory of
 * its own, and the server nothing in its environment but what hosts give it. Nothing here waits for time to pass.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "player.h"
#include "sandbox.h"

enum { SAID_BYTES = 1 << 20, SHOWN_BYTES = 6000 };
/* Statuses that nothing else ends with: a sanitizer that ends the process says 1, or what it is told to. */
enum { EXIT_PASSED = 40, EXIT_FAILED, EXIT_SKIPPED };

static int play(const char *path, enum player_mode mode, const char *dir) {
    struct theseus_error err = {0};
    int r = player_play(path, mode, dir, &err);

    if (r < 0)
        printf("FAIL %s (%s): %s\n", path, player_mode_name(mode), err.message);
    else if (r == PLAY_SKIPPED)
        printf("skip %s (%s): %s\n", path, player_mode_name(mode), err.message);
    else
        printf("ok   %s (%s)\n", path, player_mode_name(mode));
    (void)fflush(stdout);
    return r < 0 ? EXIT_FAILED : r == PLAY_SKIPPED ? EXIT_SKIPPED : EXIT_PASSED;
}

/* A server object has ended the process: what it had to say is in the file that was its stderr. */
static int explain_end(const char *path, enum player_mode mode, const char *dir, int status) {
    CLEANUP(free) char *said = path_join(dir, "stderr");
    CLEANUP(buf_fini) struct buf text = {0};

    if (WIFEXITED(status))
        printf("FAIL %s (%s): the process ended with status %d\n", path, player_mode_name(mode), WEXITSTATUS(status));
    else
        printf("FAIL %s (%s): the process was ended by signal %d\n", path, player_mode_name(mode), WTERMSIG(status));
    if (fs_read_file(said, SAID_BYTES, &text, NULL) == 0)
        printf("%.*s\n", (int)(text.len < SHOWN_BYTES ? text.len : SHOWN_BYTES), text.len ? buf_span(&text).data : "");
    return EXIT_FAILED;
}

/* In a process of its own: a server object may bring it down, and leaves nothing to the next transcript. */
static int play_in_child(const char *path, enum player_mode mode) {
    CLEANUP(free) char *dir = NULL;
    struct theseus_error err = {0};
    int status = 0;

    if (sandbox_make_dir(&dir, &err) < 0) {
        printf("FAIL %s (%s): %s\n", path, player_mode_name(mode), err.message);
        return EXIT_FAILED;
    }
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        exit(play(path, mode, dir));
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        perror("run");
        status = EXIT_FAILED << 8;
    }
    bool said = WIFEXITED(status) && WEXITSTATUS(status) >= EXIT_PASSED && WEXITSTATUS(status) <= EXIT_SKIPPED;
    int r = said ? WEXITSTATUS(status) : explain_end(path, mode, dir, status);
    sandbox_remove_dir(dir);
    return r;
}

/* Whether the text is an option, which then is in `modes`, a bit each. */
static bool take_option(const char *text, unsigned *modes) {
    for (int mode = PLAY_PIPE; mode <= PLAY_REBUILD_EARLY; mode++)
        if (strncmp(text, "--", 2) == 0 && strcmp(text + 2, player_mode_name((enum player_mode)mode)) == 0) {
            *modes |= 1U << mode;
            return true;
        }
    return false;
}

int main(int argc, char **argv) {
    int passed = 0, failed = 0, skipped = 0, first = 1;
    unsigned modes = 0;

    (void)signal(SIGPIPE, SIG_IGN);
    while (first < argc && take_option(argv[first], &modes))
        first++;
    for (int mode = PLAY_PIPE; mode <= PLAY_REBUILD_EARLY; mode++)
        for (int i = first; i < argc && (!modes || (modes & 1U << mode)); i++) {
            int r = play_in_child(argv[i], (enum player_mode)mode);
            passed += r == EXIT_PASSED;
            skipped += r == EXIT_SKIPPED;
            failed += r == EXIT_FAILED;
        }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed > 0 || first == argc;
}
