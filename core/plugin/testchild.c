#include "plugin/testchild.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"

/* The answer's own descriptor: what plugins print must not come between, and goes where errors go. */
static int claim_stdout(void) {
    int out = dup(STDOUT_FILENO);

    if (out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return -1;
    return out;
}

/* To be killed by a signal is the answer that a crash should give: no handler, no core file. */
static void crash_plainly(void) {
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    const struct rlimit none = {0};

    (void)setrlimit(RLIMIT_CORE, &none);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)signal(signals[i], SIG_DFL);
}

int testchild_begin(void) {
    int out = claim_stdout();

    crash_plainly();
    /* A constructor may hang, and the server that would end it for that may die before. (Has it died already? Then the
     * first line that is said finds nobody.) */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    return out;
}

void testchild_say(int out, json_t *line) {
    json_auto_t *owned = line;
    CLEANUP(free) char *text = json_dumps(owned, JSON_COMPACT);

    if (!text || dprintf(out, "%s\n", text) < 0)
        _exit(EXIT_FAILURE);
}

json_t *testchild_text_new(const char *bytes, const char *otherwise) {
    json_t *text = json_string(bytes);

    return text ? text : json_string(otherwise);
}
