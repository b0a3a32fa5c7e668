#include "server/copies.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "server/children.h"

enum { WORDS_BYTES = 64 << 10 };

static int read_words(const char *process, struct buf *words) {
    CLEANUP(free) char *path = xasprintf("/proc/%s/cmdline", process);

    return fs_read_file(path, WORDS_BYTES, words, NULL);
}

/* One that has executed something, if only this program, was started with other words. */
static bool has_our_words(pid_t pid) {
    CLEANUP(free) char *process = xasprintf("%d", (int)pid);
    CLEANUP(buf_fini) struct buf ours = {0};
    CLEANUP(buf_fini) struct buf its = {0};

    if (read_words("self", &ours) < 0 || read_words(process, &its) < 0)
        return false;
    struct span a = buf_span(&ours), b = buf_span(&its);
    return a.len > 0 && a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static void end_one(struct ledger *ledger, pid_t pid) {
    if (!children_run_ours(pid) || !has_our_words(pid) || children_writes_core(ledger, pid))
        return;
    log_warning("process %d is ended with the server: a plugin has forked it, and it runs no program of its own",
                (int)pid);
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* Of one of our threads. */
static void end_those_of(struct ledger *ledger, const char *thread) {
    CLEANUP(free) char *path = xasprintf("/proc/self/task/%s/children", thread);
    FILE *list = fopen(path, "re");
    int pid;

    while (list && fscanf(list, "%d", &pid) == 1)
        end_one(ledger, pid);
    if (list)
        (void)fclose(list);
}

void copies_end(struct ledger *ledger) {
    DIR *threads = opendir("/proc/self/task");

    for (struct dirent *entry; threads && (entry = readdir(threads));)
        if (entry->d_name[0] != '.')
            end_those_of(ledger, entry->d_name);
    if (threads)
        (void)closedir(threads);
}
