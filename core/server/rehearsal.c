#include "server/rehearsal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fs.h"
#include "store/backup.h"
#include "store/store.h"

enum { ROOM_FACTOR = 2 }; /* a step may rewrite all of it, through the write-ahead log */

struct found {
    const struct rehearsal_part *parts;
    size_t count;
    int *steps; /* applied, of each part; owned */
};

static void note_version(void *arg, const char *component, int steps) {
    struct found *found = arg;

    for (size_t i = 0; i < found->count; i++)
        if (strcmp(found->parts[i].component, component) == 0)
            found->steps[i] = steps;
}

static int known_steps(const struct rehearsal_part *part) {
    int count = 0;

    while (part->steps && part->steps[count])
        count++;
    return count;
}

static int pending_steps(const struct found *found, size_t i) {
    const struct rehearsal_part *part = &found->parts[i];

    return found->steps[i] == 0 && part->on_use ? 0 : known_steps(part) - found->steps[i];
}

static json_t *pending_new(const struct found *found, bool *ret_any) {
    json_t *rows = json_array();

    for (size_t i = 0; i < found->count; i++) {
        const int pending = pending_steps(found, i);
        if (pending != 0)
            (void)json_array_append_new(rows, json_pack("{s:s, s:i, s:i}", "component", found->parts[i].component,
                                                        "pending", pending, "known", known_steps(&found->parts[i])));
        *ret_any |= pending > 0;
    }
    return rows;
}

/* SQLite's "disk is full" would not say which. */
static int check_room(const char *database, const char *room, struct theseus_error *err) {
    const unsigned long long mib = 1 << 20;
    struct statvfs there;
    struct stat st;

    if (stat(database, &st) < 0 || statvfs(room, &there) < 0)
        return fail_errno(err, "cannot find out how much room there is in '%s'", room);
    unsigned long long wanted = ROOM_FACTOR * (unsigned long long)st.st_size;
    unsigned long long is = (unsigned long long)there.f_bavail * there.f_frsize;
    if (is >= wanted)
        return 0;
    return fail(err, ERR_LIMIT,
                "to try the migrations on a copy of the database, '%s' needs %llu MiB free and has %llu; make room, or "
                "set TMPDIR to a directory that has it",
                room, wanted / mib + 1, is / mib);
}

static int rehearse(const struct found *found, const char *database, const char *room, struct theseus_error *err) {
    CLEANUP(free) char *copy = path_join(room, "theseus.db");
    CLEANUP(store_free) struct store *store = store_new(copy);
    bool exists;

    if (fs_exists(database, &exists, err) < 0)
        return -1;
    if (exists && (check_room(database, room, err) < 0 || backup_try(database, copy, err) < 0))
        return -1;
    CLEANUP(free) struct store_steps *parts = xcalloc(found->count + 1, sizeof(*parts));
    struct migration migration = {.parts = parts};
    for (size_t i = 0; i < found->count; i++)
        if (pending_steps(found, i) > 0)
            parts[migration.count++] =
                (struct store_steps){.component = found->parts[i].component, .steps = found->parts[i].steps};
    return store_migrate_all(store, &migration, err);
}

int rehearsal_run(const char *state_dir, const char *room, const struct rehearsal_part *parts, size_t count,
                  json_t **ret_pending, struct theseus_error *err) {
    CLEANUP(free) char *database = path_join(state_dir, "theseus.db");
    CLEANUP(free) int *steps = xcalloc(count + 1, sizeof(int));
    struct found found = {parts, count, steps};
    bool any = false;

    *ret_pending = NULL;
    if (access(database, F_OK) == 0) {
        if (backup_versions(database, note_version, &found, err) < 0)
            return -1;
    } else if (errno != ENOENT) {
        return fail_errno(err, "cannot look at the database '%s'", database);
    }
    *ret_pending = pending_new(&found, &any);
    return any ? rehearse(&found, database, room, err) : 0;
}
