#include "server/trial.h"

#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/map.h"
#include "store/backup.h"
#include "store/migrate.h"
#include "store/schema.h"
#include "store/store.h"

struct trial {
    char *dir;          /* owned */
    char *database;     /* owned */
    bool refused;       /* what it should be a copy of cannot be used: nobody knows what is pending */
    struct map *before; /* component → struct version, owned: of the copy as it was taken */
};

enum { MOST_OPEN = 16 };

struct version {
    int steps;
};

struct report {
    const struct trial *trial;
    FILE *out;
    int core; /* steps of its own */
};

int trial_new(struct trial **ret_trial, struct theseus_error *err) {
    const char *place = getenv("TMPDIR");
    CLEANUP(free) char *dir = path_join(place && *place == '/' ? place : "/tmp", "theseus-check-XXXXXX");

    if (!mkdtemp(dir))
        return fail_errno(err, "cannot make a temporary directory '%s'", dir);
    struct trial *trial = xcalloc(1, sizeof(*trial));
    trial->dir = TAKE_PTR(dir);
    trial->database = path_join(trial->dir, "theseus.db");
    trial->before = map_new();
    *ret_trial = trial;
    return 0;
}

static void free_version(struct span key, void *value, void *arg) {
    (void)key;
    (void)arg;
    free(value);
}

/* Isolated plugins have directories of their own in it, with whatever they like. */
static int remove_one(const char *path, const struct stat *seen, int kind, struct FTW *at) {
    (void)seen, (void)kind, (void)at;
    (void)remove(path);
    return 0;
}

struct trial *trial_free(struct trial *trial) {
    if (!trial)
        return NULL;
    (void)nftw(trial->dir, remove_one, MOST_OPEN, FTW_DEPTH | FTW_PHYS); /* best effort */
    map_each(trial->before, free_version, NULL);
    trial->before = map_free(trial->before);
    free(trial->dir);
    free(trial->database);
    free(trial);
    return NULL;
}

static void note_version(void *arg, const char *component, int steps) {
    struct trial *trial = arg;
    struct version *version = xcalloc(1, sizeof(*version));

    version->steps = steps;
    free(map_put(trial->before, span_of(component), version));
}

static int copy_database(struct trial *trial, const char *database, struct theseus_error *err) {
    CLEANUP(store_free) struct store *store = store_new(trial->database);

    if (backup_try(database, trial->database, err) < 0)
        return -1;
    return store_each_version(store, note_version, trial, err);
}

int trial_copy(struct trial *trial, const char *state_dir, struct theseus_error *err) {
    CLEANUP(free) char *database = path_join(state_dir, "theseus.db");
    const bool is_missing = access(database, F_OK) < 0 && errno == ENOENT;

    if (is_missing && access(state_dir, F_OK) == 0 && fs_make_private_dir(state_dir, err) < 0)
        return -1; /* what is there is not private */
    if ((is_missing ? backup_check_missing(database, err) : copy_database(trial, database, err)) == 0)
        return 0;
    trial->refused = true;
    free(trial->database);
    trial->database = path_join(trial->dir, "empty.db");
    return -1;
}

const char *trial_database(const struct trial *trial) {
    return trial->database;
}

/* The core's own are not applied in a rehearsal; a component that nobody knows has what it has. */
static int steps_of(const char *component, int applied) {
    return strcmp(component, SCHEMA_CORE) == 0 && schema_core_count() > applied ? schema_core_count() : applied;
}

static void print_version(void *arg, const char *component, int applied) {
    struct report *report = arg;
    const struct version *before = map_get(report->trial->before, span_of(component));
    int steps = steps_of(component, applied), pending = steps - (before ? before->steps : 0);

    if (strcmp(component, SCHEMA_CORE) == 0)
        report->core = applied;
    if (pending > 0)
        (void)fprintf(report->out, "component %s: %d of %d steps pending\n", component, pending, steps);
    else
        (void)fprintf(report->out, "component %s: %d step%s, all applied\n", component, steps, steps == 1 ? "" : "s");
}

int trial_print_versions(const struct trial *trial, FILE *out, struct theseus_error *err) {
    CLEANUP(store_free) struct store *store = store_new(trial->database);
    struct report report = {trial, out, 0};

    if (trial->refused)
        return 0;
    if (store_each_version(store, print_version, &report, err) < 0)
        return -1;
    return report.core <= schema_core_count()
               ? 0
               : fail(err, ERR_NEWER, "the database is newer than this program (component 'core': %d steps, known %d)",
                      report.core, schema_core_count());
}
