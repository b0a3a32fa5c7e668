#include "test.h"

#include "server/task_file.h"

#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "rpc/jsontext.h"

static char *tempdir_make(void) {
    char *dir = xstrdup("/tmp/theseus-task-file-XXXXXX");

    assert_non_null(mkdtemp(dir));
    return dir;
}

static void tempdir_remove_cleanup(char **dir) {
    CLEANUP(free) char *tasks = path_join(*dir, "tasks");

    fs_remove_dir(tasks);
    fs_remove_dir(*dir);
    free(*dir);
}

static bool may(void *arg, struct span text) {
    (void)arg;
    return memmem(text.data, text.len, "s3cret", 6) == NULL;
}

struct task {
    char *dir;
    struct task_file *file;
};

static void make(struct task *task, const char *dir, const char *request) {
    json_auto_t *client = json_pack("{s:s}", "name", "unit");
    const struct task_asked asked = {"key-1", client, span_of(request)};
    struct theseus_error err = {0};

    task->dir = path_join(dir, "tasks");
    task->file = task_file_new(task->dir, "one", may, NULL);
    assert_int_equal(task_file_create(task->file, &asked, &err), 0);
}

static void end(struct task *task) {
    task->file = task_file_unref(task->file);
    free(task->dir);
}

static int put(struct task *task, const char *state) {
    struct call_journal *journal = task_file_journal(task->file);
    struct theseus_error err = {0};
    int r = journal->checkpoint(journal, span_of(state), 3, &err);

    journal->unref(journal);
    return r;
}

static struct task_left *read_one(const char *dir, const char *id) {
    struct theseus_error err = {0};
    struct task_left *left;

    assert_int_equal(task_file_read(dir, id, &left, &err), 0);
    return left;
}

/* What the next process finds. */
static void finds(const struct task *task, const char *request, const char *state) {
    struct task_left *left = read_one(task->dir, "one");

    assert_non_null(left);
    assert_true(span_equals(left->request, request));
    assert_true(span_equals(left->state, state));
    assert_int_equal(left->inner, *state ? 3 : 0);
    assert_true(left->same_boot);
    assert_string_equal(json_string_value(json_object_get(left->head, "call_key")), "key-1");
    task_left_free(left);
}

static void gives_back_the_request_and_the_last_checkpoint(void **state) {
    CLEANUP(tempdir_remove) char *dir = tempdir_make();
    struct task task;

    (void)state;
    make(&task, dir, "{\"id\":1}");
    finds(&task, "{\"id\":1}", "");
    for (int i = 1; i <= 5; i++) {
        CLEANUP(free) char *text = xasprintf("%.*s", 6 - i, "[1234]");
        assert_int_equal(put(&task, text), 0);
        finds(&task, "{\"id\":1}", text);
    }
    end(&task);
}

static void counts_on_where_another_has_written(void **state) {
    CLEANUP(tempdir_remove) char *dir = tempdir_make();
    struct task task;

    (void)state;
    make(&task, dir, "{}");
    assert_int_equal(put(&task, "1"), 0);
    assert_int_equal(put(&task, "2"), 0);
    assert_int_equal(put(&task, "3"), 0);
    (void)task_file_unref(task.file);
    task.file = task_file_new(task.dir, "one", may, NULL);
    assert_int_equal(put(&task, "4"), 0);
    finds(&task, "{}", "4");
    end(&task);
}

/* A process that was killed inside a write has not come to the effect behind it. */
static void takes_the_one_before_where_the_last_is_not_whole(void **state) {
    CLEANUP(tempdir_remove) char *dir = tempdir_make();
    struct task task;

    (void)state;
    make(&task, dir, "{}");
    assert_int_equal(put(&task, "\"before\""), 0); /* odd */
    assert_int_equal(put(&task, "\"the last\""), 0);
    CLEANUP(free) char *path = path_join(task.dir, "one.even");
    CLEANUP(buf_fini) struct buf whole = {0};
    struct theseus_error err = {0};
    assert_int_equal(fs_read_file(path, 4096, &whole, &err), 0);
    for (size_t len = 0; len < whole.len; len++) {
        assert_int_equal(truncate(path, (off_t)len), 0);
        finds(&task, "{}", "\"before\"");
        assert_int_equal(fs_replace_file(path, buf_span(&whole), 0600, &err), 0);
    }
    finds(&task, "{}", "\"the last\"");
    end(&task);
}

static void keeps_no_secret(void **state) {
    CLEANUP(tempdir_remove) char *dir = tempdir_make();
    CLEANUP(free) char *tasks = path_join(dir, "tasks");
    CLEANUP(task_file_unref) struct task_file *file = task_file_new(tasks, "two", may, NULL);
    const struct task_asked asked = {"key", NULL, span_of("{\"a\":\"s3cret\"}")};
    struct theseus_error err = {0};
    struct task task;

    (void)state;
    assert_int_equal(task_file_create(file, &asked, &err), TASK_FILE_SECRET);
    assert_null(read_one(tasks, "two"));
    make(&task, dir, "{}");
    assert_int_equal(put(&task, "1"), 0);
    assert_int_equal(put(&task, "\"s3cret\""), 0); /* the call goes on, here alone */
    assert_null(read_one(task.dir, "one"));
    assert_int_equal(put(&task, "2"), 0);
    assert_null(read_one(task.dir, "one"));
    end(&task);
}

static void takes_an_earlier_checkpoint_unless_there_is_one(void **state) {
    CLEANUP(tempdir_remove) char *dir = tempdir_make();
    struct theseus_error err = {0};
    struct task task;

    (void)state;
    make(&task, dir, "{}");
    assert_int_equal(task_file_catch_up(task.file, span_of("0"), 3, &err), 0);
    finds(&task, "{}", "0");
    assert_int_equal(put(&task, "1"), 0);
    assert_int_equal(task_file_catch_up(task.file, span_of("0"), 3, &err), 0);
    finds(&task, "{}", "1");
    end(&task);
}

static uint64_t ends_of(const struct task *task) {
    struct task_left *left = read_one(task->dir, "one");
    uint64_t ends = left->ends;

    task_left_free(left);
    return ends;
}

static void counts_ends_until_the_next_checkpoint(void **state) {
    CLEANUP(tempdir_remove) char *dir = tempdir_make();
    struct theseus_error err = {0};
    struct task task;

    (void)state;
    make(&task, dir, "{}");
    assert_int_equal(ends_of(&task), 0);
    assert_int_equal(task_file_count_end(task.dir, "one", 2, &err), 0);
    assert_int_equal(ends_of(&task), 2);
    (void)task_file_unref(task.file);
    task.file = task_file_new(task.dir, "one", may, NULL); /* the successor's */
    assert_int_equal(put(&task, "1"), 0);
    assert_int_equal(ends_of(&task), 0);
    assert_int_equal(task_file_count_end(task.dir, "one", 1, &err), 0);
    (void)task_file_unref(task.file);
    task.file = task_file_new(task.dir, "one", may, NULL);
    task_file_rest(task.file);
    assert_int_equal(ends_of(&task), 0);
    end(&task);
}

static void count(void *arg, const char *id) {
    assert_string_equal(id, "one");
    ++*(int *)arg;
}

static int files_of(const struct task *task) {
    int files = 0;

    task_file_each(task->dir, count, &files);
    return files;
}

/* The last one may be what cannot be read. */
static void takes_no_earlier_one_where_the_last_cannot_be_read(void **state) {
    CLEANUP(tempdir_remove) char *dir = tempdir_make();
    struct theseus_error err = {0};
    struct task_left *left;
    struct task task;

    (void)state;
    make(&task, dir, "{}");
    CLEANUP(free) char *last = path_join(task.dir, "one.even"), *aside = path_join(dir, "aside");
    assert_int_equal(put(&task, "1"), 0);
    assert_int_equal(put(&task, "2"), 0);
    assert_int_equal(rename(last, aside), 0);
    assert_int_equal(symlink(last, last), 0);
    assert_int_equal(task_file_read(task.dir, "one", &left, &err), -1);
    assert_non_null(strstr(err.message, last));
    assert_int_equal(rename(aside, last), 0);
    finds(&task, "{}", "2");
    end(&task);
}

static void leaves_nothing_behind(void **state) {
    CLEANUP(tempdir_remove) char *dir = tempdir_make();
    struct task task;

    (void)state;
    make(&task, dir, "{}");
    assert_int_equal(files_of(&task), 1);
    assert_int_equal(put(&task, "1"), 0);
    assert_int_equal(put(&task, "2"), 0);
    task_file_remove(task.file);
    assert_int_equal(files_of(&task), 0);
    assert_int_equal(put(&task, "3"), 0); /* by a handler that has not heard of it */
    assert_int_equal(rmdir(task.dir), 0);
    end(&task);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_the_request_and_the_last_checkpoint),
        cmocka_unit_test(counts_on_where_another_has_written),
        cmocka_unit_test(takes_the_one_before_where_the_last_is_not_whole),
        cmocka_unit_test(keeps_no_secret),
        cmocka_unit_test(takes_an_earlier_checkpoint_unless_there_is_one),
        cmocka_unit_test(counts_ends_until_the_next_checkpoint),
        cmocka_unit_test(takes_no_earlier_one_where_the_last_cannot_be_read),
        cmocka_unit_test(leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
