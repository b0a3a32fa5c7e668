#include "server/task_file.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "call/proc.h"
#include "rpc/jsontext.h"

enum { CALL_MAX = 64 << 20, CHECKPOINT_MAX = 16 << 20, VERSION = 1 };

struct task_file {
    struct call_journal journal;
    atomic_int refs;
    char *dir, *id; /* owned */
    task_file_may_fn *may;
    void *arg;
    pthread_mutex_t lock;
    bool there;        /* ID.call is */
    bool checkpointed; /* by the journal */
    bool ends;         /* ID.ends may be there */
};

/* ---- names ---- */

static char *path_of(const char *dir, const char *id, const char *what) {
    return xasprintf("%s/%s.%s", dir, id, what);
}

static void drop(const char *dir, const char *id, const char *what) {
    CLEANUP(free) char *path = path_of(dir, id, what);

    if (unlink(path) < 0 && errno != ENOENT)
        log_warning("'%s' cannot be removed: %s", path, strerror(errno));
}

void task_file_forget(const char *dir, const char *id) {
    drop(dir, id, "call"); /* first: without it the others say nothing */
    drop(dir, id, "checkpoint");
    drop(dir, id, "ends");
}

/* A line of JSON, and the rest. */
static int write_parts(const char *dir, const char *id, const char *what, json_t *head, struct span rest,
                       struct theseus_error *err) {
    CLEANUP(free) char *path = path_of(dir, id, what);
    CLEANUP(buf_fini) struct buf text = {0};
    json_auto_t *owned = head;

    if (!owned)
        return fail(err, ERR_MEMORY, "no memory for '%s'", path);
    if (jsontext_write(owned, &text, err) < 0 || buf_append(&text, span_of("\n"), err) < 0 ||
        buf_append(&text, rest, err) < 0)
        return -1;
    return fs_replace_file(path, buf_span(&text), 0600, err);
}

/* ---- life ---- */

static void unref_journal(struct call_journal *journal) {
    (void)task_file_unref(container_of(journal, struct task_file, journal));
}

static int on_checkpoint(struct call_journal *journal, struct span state, uint64_t inner, struct theseus_error *err);

struct task_file *task_file_new(const char *dir, const char *id, task_file_may_fn *may, void *arg) {
    struct task_file *file = xcalloc(1, sizeof(*file));

    atomic_init(&file->refs, 1);
    file->journal = (struct call_journal){.checkpoint = on_checkpoint, .unref = unref_journal};
    file->dir = xstrdup(dir);
    file->id = xstrdup(id);
    file->may = may;
    file->arg = arg;
    file->there = file->ends = true; /* unless task_file_create() says otherwise */
    (void)pthread_mutex_init(&file->lock, NULL);
    return file;
}

struct task_file *task_file_unref(struct task_file *file) {
    if (!file || atomic_fetch_sub(&file->refs, 1) > 1)
        return NULL;
    (void)pthread_mutex_destroy(&file->lock);
    free(file->dir);
    free(file->id);
    free(file);
    return NULL;
}

struct call_journal *task_file_journal(struct task_file *file) {
    (void)atomic_fetch_add(&file->refs, 1);
    return &file->journal;
}

int task_file_create(struct task_file *file, const struct task_asked *asked, struct theseus_error *err) {
    char boot[PROC_BOOT_BYTES];

    file->there = file->ends = false;
    if (!file->may(file->arg, asked->request))
        return TASK_FILE_SECRET;
    proc_boot_id(boot);
    json_t *head = json_pack("{s:i, s:s, s:s, s:O*, s:I}", "version", (int)VERSION, "boot", boot, "call_key",
                             asked->call_key, "client", asked->client, "bytes", (json_int_t)asked->request.len);
    if (fs_make_private_dir(file->dir, err) < 0 ||
        write_parts(file->dir, file->id, "call", head, asked->request, err) < 0)
        return -1;
    file->there = true;
    return 0;
}

/* ---- checkpoints ---- */

/* With the lock. An earlier checkpoint would be worse than none: what was done since would be done again. */
static int give_up_locked(struct task_file *file, const struct theseus_error *why, struct theseus_error *err) {
    CLEANUP(free) char *path = path_of(file->dir, file->id, "call");

    if (unlink(path) < 0 && errno != ENOENT)
        return fail(err, ERR_SYSTEM, "the checkpoint cannot be kept: %s", why->message);
    log_warning("task %s could not be gone on with by another process: %s", file->id, why->message);
    file->there = false;
    task_file_forget(file->dir, file->id);
    return 0;
}

static int write_locked(struct task_file *file, struct span state, uint64_t inner, struct theseus_error *err) {
    struct theseus_error why = {0};
    int r = 0;

    if (!file->may(file->arg, state))
        r = fail(&why, ERR_ACCESS, "its checkpoint contains a secret");
    if (r == 0)
        r = write_parts(file->dir, file->id, "checkpoint",
                        json_pack("{s:I, s:I}", "inner", (json_int_t)inner, "bytes", (json_int_t)state.len), state,
                        &why);
    if (r < 0)
        return give_up_locked(file, &why, err);
    if (file->ends)
        drop(file->dir, file->id, "ends");
    file->ends = false;
    return 0;
}

static int on_checkpoint(struct call_journal *journal, struct span state, uint64_t inner, struct theseus_error *err) {
    struct task_file *file = container_of(journal, struct task_file, journal);
    int r = 0;

    (void)pthread_mutex_lock(&file->lock);
    if (file->there)
        r = write_locked(file, state, inner, err);
    file->checkpointed = true;
    (void)pthread_mutex_unlock(&file->lock);
    return r;
}

int task_file_catch_up(struct task_file *file, struct span state, uint64_t inner, struct theseus_error *err) {
    int r = 0;

    (void)pthread_mutex_lock(&file->lock);
    if (file->there && !file->checkpointed)
        r = write_locked(file, state, inner, err);
    (void)pthread_mutex_unlock(&file->lock);
    return r;
}

/* ---- its end ---- */

void task_file_rest(struct task_file *file) {
    (void)pthread_mutex_lock(&file->lock);
    if (file->there && file->ends)
        drop(file->dir, file->id, "ends");
    file->ends = false;
    (void)pthread_mutex_unlock(&file->lock);
}

void task_file_remove(struct task_file *file) {
    (void)pthread_mutex_lock(&file->lock);
    if (file->there)
        task_file_forget(file->dir, file->id);
    file->there = false;
    (void)pthread_mutex_unlock(&file->lock);
}

/* ---- of a process that has ended ---- */

/* The head; NULL: the file is not there, or not whole. */
static json_t *read_parts(const char *dir, const char *id, const char *what, size_t max, struct buf *ret_text,
                          struct span *ret_rest) {
    CLEANUP(free) char *path = path_of(dir, id, what);
    struct theseus_error err = {0};

    if (access(path, F_OK) < 0)
        return NULL;
    if (fs_read_file(path, max, ret_text, &err) < 0) {
        log_warning("%s", err.message);
        return NULL;
    }
    struct span all = buf_span(ret_text);
    const char *end = all.len ? memchr(all.data, '\n', all.len) : NULL;
    json_auto_t *head = end ? jsontext_read((struct span){all.data, (size_t)(end - all.data)}, &err) : NULL;
    size_t rest = end ? all.len - (size_t)(end + 1 - all.data) : 0;
    if (!head || json_integer_value(json_object_get(head, "bytes")) != (json_int_t)rest) {
        log_warning("'%s' is not whole", path);
        return NULL;
    }
    *ret_rest = (struct span){end + 1, rest};
    return json_incref(head);
}

static uint64_t read_ends(const char *dir, const char *id) {
    CLEANUP(buf_fini) struct buf text = {0};
    struct span rest;
    json_auto_t *head = read_parts(dir, id, "ends", CALL_MAX, &text, &rest);

    return (uint64_t)json_integer_value(json_object_get(head, "ends"));
}

struct task_left *task_file_read(const char *dir, const char *id) {
    struct task_left *left = xcalloc(1, sizeof(*left));
    char boot[PROC_BOOT_BYTES];

    left->head = read_parts(dir, id, "call", CALL_MAX, &left->text, &left->request);
    if (!left->head || json_integer_value(json_object_get(left->head, "version")) != VERSION) {
        task_left_free(left);
        return NULL;
    }
    json_auto_t *head = read_parts(dir, id, "checkpoint", CHECKPOINT_MAX, &left->checkpoint, &left->state);
    left->inner = (uint64_t)json_integer_value(json_object_get(head, "inner"));
    left->ends = read_ends(dir, id);
    proc_boot_id(boot);
    const char *then = json_string_value(json_object_get(left->head, "boot"));
    left->same_boot = then && boot[0] && strcmp(then, boot) == 0;
    return left;
}

void task_left_free(struct task_left *left) {
    if (!left)
        return;
    json_decref(left->head);
    buf_fini(&left->text);
    buf_fini(&left->checkpoint);
    free(left);
}

int64_t task_file_age_ms(const char *dir, const char *id) {
    CLEANUP(free) char *path = path_of(dir, id, "call");
    struct stat st;

    return stat(path, &st) == 0 ? clock_wall_ms() - (int64_t)st.st_mtim.tv_sec * 1000 : 0;
}

int task_file_count_end(const char *dir, const char *id, uint64_t ends, struct theseus_error *err) {
    return write_parts(dir, id, "ends", json_pack("{s:I, s:i}", "ends", (json_int_t)ends, "bytes", 0), (struct span){0},
                       err);
}

static bool take_id(const char *name, char **ret_id) {
    size_t len = strlen(name), end = strlen(".call");

    if (len <= end || strcmp(name + len - end, ".call") != 0)
        return false;
    *ret_id = xstrndup(name, len - end);
    return true;
}

bool task_file_any(const char *dir) {
    return access(dir, F_OK) == 0;
}

void task_file_each(const char *dir, task_file_visit_fn *visit, void *arg) {
    DIR *files = opendir(dir);

    for (struct dirent *file; files && (file = readdir(files));) {
        CLEANUP(free) char *id = NULL;
        if (take_id(file->d_name, &id))
            visit(arg, id);
    }
    if (files)
        (void)closedir(files);
}
