#include "server/task_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
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
    uint64_t number;   /* of the last checkpoint; 0: it is not known which that is */
    bool ends;         /* ID.ends may be there */
};

/* ---- names ---- */

static const char *const slot_names[] = {"even", "odd"};

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
    drop(dir, id, slot_names[0]);
    drop(dir, id, slot_names[1]);
    drop(dir, id, "ends");
}

/* ---- a line of JSON that says how long the rest is, and the rest ---- */

static int pack(json_t *head, struct span rest, struct buf *ret_text, struct theseus_error *err) {
    json_auto_t *owned = head;
    CLEANUP(free) char *hash = xasprintf("%016" PRIx64, hash_u64(rest));

    if (!owned || json_object_set_new(owned, "bytes", json_integer((json_int_t)rest.len)) < 0 ||
        json_object_set_new(owned, "hash", json_string(hash)) < 0)
        return fail(err, ERR_MEMORY, "no memory");
    if (jsontext_write(owned, ret_text, err) < 0 || buf_append(ret_text, span_of("\n"), err) < 0)
        return -1;
    return buf_append(ret_text, rest, err);
}

/* As a whole. Takes the head. */
static int write_parts(const char *dir, const char *id, const char *what, json_t *head, struct span rest,
                       struct theseus_error *err) {
    CLEANUP(free) char *path = path_of(dir, id, what);
    CLEANUP(buf_fini) struct buf text = {0};

    return pack(head, rest, &text, err) < 0 ? -1 : fs_replace_file(path, buf_span(&text), 0600, err);
}

static int write_over(int fd, const char *path, struct span bytes, struct theseus_error *err) {
    for (size_t at = 0; at < bytes.len;) {
        ssize_t n = pwrite(fd, bytes.data + at, bytes.len - at, (off_t)at);
        if (n < 0 && errno != EINTR)
            return fail_errno(err, "cannot write '%s'", path);
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* Over what is there, of which as much as is longer stays behind it. (To put a new file in the place of another takes a
 * hundred times as long on some file systems: they bring it to the disk.) Takes the head. */
static int overwrite_parts(const char *dir, const char *id, const char *what, json_t *head, struct span rest,
                           struct theseus_error *err) {
    CLEANUP(free) char *path = path_of(dir, id, what);
    CLEANUP(buf_fini) struct buf text = {0};

    if (pack(head, rest, &text, err) < 0)
        return -1;
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? fail_errno(err, "cannot open '%s'", path) : write_over(fd, path, buf_span(&text), err);
}

/* The rest, if there are as many bytes as the head says, and they are these. */
static bool take_rest(const json_t *head, struct span behind, struct span *ret_rest) {
    const char *hash = json_string_value(json_object_get(head, "hash"));
    json_int_t bytes = json_integer_value(json_object_get(head, "bytes"));

    if (!hash || bytes < 0 || (size_t)bytes > behind.len)
        return false;
    *ret_rest = (struct span){behind.data, (size_t)bytes};
    return strtoull(hash, NULL, 16) == hash_u64(*ret_rest);
}

/* The head; NULL: the file is not whole. */
static json_t *parse_parts(struct span all, struct span *ret_rest) {
    const char *end = all.len ? memchr(all.data, '\n', all.len) : NULL;
    struct theseus_error err = {0};

    if (!end)
        return NULL;
    json_auto_t *head = jsontext_read((struct span){all.data, (size_t)(end - all.data)}, &err);
    struct span behind = {end + 1, all.len - (size_t)(end + 1 - all.data)};
    return head && take_rest(head, behind, ret_rest) ? json_incref(head) : NULL;
}

/* A new reference to the head; NULL: the file is not there, or not whole. */
static int read_parts(const char *dir, const char *id, const char *what, size_t max, struct buf *ret_text,
                      json_t **ret_head, struct span *ret_rest, struct theseus_error *err) {
    CLEANUP(free) char *path = path_of(dir, id, what);
    struct theseus_error why = {0};

    *ret_head = NULL;
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    if (fs_read_file(path, max, ret_text, &why) < 0 && why.code != ERR_LIMIT)
        return fail(err, why.code, "%s", why.message);
    *ret_head = parse_parts(buf_span(ret_text), ret_rest); /* what is too large is none of ours */
    return 0;
}

static uint64_t number_of(const json_t *head) {
    return (uint64_t)json_integer_value(json_object_get(head, "number"));
}

/* The last checkpoint that is whole: its head; NULL: there is none. Of one that cannot be read now nobody knows whether
 * it is the last one. */
static int read_last(const char *dir, const char *id, struct buf *ret_text, json_t **ret_head, struct span *ret_state,
                     struct theseus_error *err) {
    struct buf texts[2] = {0};
    struct span states[2] = {0};
    json_t *heads[2] = {0};
    int r = 0;

    for (int slot = 0; slot < 2 && r == 0; slot++)
        r = read_parts(dir, id, slot_names[slot], CHECKPOINT_MAX, &texts[slot], &heads[slot], &states[slot], err);
    int last = number_of(heads[1]) > number_of(heads[0]);
    if (r == 0) {
        *ret_text = texts[last];
        *ret_head = heads[last];
        *ret_state = states[last];
    } else {
        json_decref(heads[last]);
        buf_fini(&texts[last]);
    }
    json_decref(heads[!last]);
    buf_fini(&texts[!last]);
    return r;
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
    json_t *head = json_pack("{s:i, s:s, s:s, s:O*}", "version", (int)VERSION, "boot", boot, "call_key",
                             asked->call_key, "client", asked->client);
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

/* Which is the last one, after another image or process has written them; 0: there is none. */
static int find_number(const struct task_file *file, uint64_t *ret_number, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf text = {0};
    json_auto_t *head = NULL;
    struct span state;

    if (read_last(file->dir, file->id, &text, &head, &state, err) < 0)
        return -1;
    *ret_number = number_of(head);
    return 0;
}

static int write_next_locked(struct task_file *file, struct span state, uint64_t inner, struct theseus_error *err) {
    if (file->number == 0 && find_number(file, &file->number, err) < 0)
        return -1;
    file->number++;
    return overwrite_parts(file->dir, file->id, slot_names[file->number % 2],
                           json_pack("{s:I, s:I}", "number", (json_int_t)file->number, "inner", (json_int_t)inner),
                           state, err);
}

static int write_locked(struct task_file *file, struct span state, uint64_t inner, struct theseus_error *err) {
    struct theseus_error why = {0};
    int r = 0;

    if (!file->may(file->arg, state))
        r = fail(&why, ERR_ACCESS, "its checkpoint contains a secret");
    if (r == 0)
        r = write_next_locked(file, state, inner, &why);
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

static int read_ends(const char *dir, const char *id, uint64_t *ret_ends, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf text = {0};
    json_auto_t *head = NULL;
    struct span rest;

    if (read_parts(dir, id, "ends", CALL_MAX, &text, &head, &rest, err) < 0)
        return -1;
    *ret_ends = (uint64_t)json_integer_value(json_object_get(head, "ends"));
    return 0;
}

static int read_left(struct task_left *left, const char *dir, const char *id, struct theseus_error *err) {
    json_auto_t *head = NULL;

    if (read_parts(dir, id, "call", CALL_MAX, &left->text, &left->head, &left->request, err) < 0 ||
        read_last(dir, id, &left->checkpoint, &head, &left->state, err) < 0 || read_ends(dir, id, &left->ends, err) < 0)
        return -1;
    left->inner = (uint64_t)json_integer_value(json_object_get(head, "inner"));
    return 0;
}

int task_file_read(const char *dir, const char *id, struct task_left **ret_left, struct theseus_error *err) {
    struct task_left *left = xcalloc(1, sizeof(*left));
    char boot[PROC_BOOT_BYTES];
    int r = read_left(left, dir, id, err);

    if (r < 0 || !left->head || json_integer_value(json_object_get(left->head, "version")) != VERSION) {
        task_left_free(left);
        *ret_left = NULL;
        return r;
    }
    proc_boot_id(boot);
    const char *then = json_string_value(json_object_get(left->head, "boot"));
    left->same_boot = then && boot[0] && strcmp(then, boot) == 0;
    *ret_left = left;
    return 0;
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
    return write_parts(dir, id, "ends", json_pack("{s:I}", "ends", (json_int_t)ends), (struct span){0}, err);
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
