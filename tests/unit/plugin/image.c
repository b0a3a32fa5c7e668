#include "test.h"

#include "plugin/image.h"

#include <pthread.h>
#include <stdatomic.h>

#include <theseus/plugin.h>

#include "plugin/fixture.h"
#include "plugin/imagedir.h"

static struct imagedir *images_new(const char *place) {
    CLEANUP(free) char *runtime = path_join(place, "runtime");

    return imagedir_new(runtime, place, "boot");
}

/* Copies and loads a fixture; the message of what refused it is left in `err`. */
static struct image *load(const char *place, struct imagedir *images, const char *name, struct theseus_error *err) {
    CLEANUP(free) char *file = fixture_copy(place, name);
    CLEANUP(image_free) struct image *image = NULL;

    if (image_copy(&image, images, file, 1, err) < 0 || image_load(image, err) < 0)
        return NULL;
    return TAKE_PTR(image);
}

static void assert_refused(const char *name, const char *words) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *images = images_new(place);
    struct theseus_error err = {0};

    assert_null(load(place, images, name, &err));
    if (!strstr(err.message, words))
        test_failed("'%s' is not in: %s", words, err.message);
}

static void copies_to_a_private_name_with_generation_and_hash(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *images = images_new(place);
    CLEANUP(free) char *file = fixture_copy(place, "version1");
    CLEANUP(image_free) struct image *image = NULL;
    struct stat st;

    (void)state;
    assert_int_equal(image_copy(&image, images, file, 7, NULL), 0);
    CLEANUP(free) char *expected = xasprintf("%s/version1.7.%s.so", imagedir_path(images), image_hash(image));
    assert_string_equal(image_path(image), expected);
    assert_string_equal(image_file(image), file);
    assert_int_equal(strlen(image_hash(image)), 32);
    assert_int_equal(stat(expected, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_null(image_plugin(image));
}

static void leaves_no_file_behind_what_it_refused(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *images = images_new(place);
    CLEANUP(free) char *file = path_join(place, "text.so");
    struct image *image = NULL;
    struct theseus_error err = {0};

    (void)state;
    write_bytes(file, "int main;", 9);
    assert_int_equal(image_copy(&image, images, file, 1, &err), -1);
    assert_non_null(strstr(err.message, "is not an ELF file"));
    CLEANUP(free) char *draft = imagedir_name(images, file, 1, "unchecked");
    assert_null(strstr(draft, "unchecked.2")); /* the first such name is free again */
    imagedir_remove(TAKE_PTR(images));
    CLEANUP(free) char *gone = path_join(place, "runtime/boot");
    assert_int_equal(access(gone, F_OK), -1);
}

static void removes_its_copy_unless_told_to_keep_it(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *images = images_new(place);
    CLEANUP(free) char *file = fixture_copy(place, "version1");
    struct image *image = NULL;

    (void)state;
    assert_int_equal(image_copy(&image, images, file, 1, NULL), 0);
    CLEANUP(free) char *path = xstrdup(image_path(image));
    image_free(image);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(image_copy(&image, images, file, 1, NULL), 0);
    image_keep_file(image);
    image_free(image);
    assert_int_equal(access(path, F_OK), 0);
}

static void refuses_a_file_that_others_may_write(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *images = images_new(place);
    CLEANUP(free) char *file = fixture_copy(place, "version1");
    struct image *image = NULL;
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(chmod(file, 0666), 0);
    assert_int_equal(image_copy(&image, images, file, 1, &err), -1);
    assert_int_equal(err.code, ERR_ACCESS);
    assert_non_null(strstr(err.message, "chmod go-w"));
}

static void refuses_what_is_no_regular_file_without_waiting(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *images = images_new(place);
    CLEANUP(free) char *file = path_join(place, "fifo.so");
    struct image *image = NULL;
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(mkfifo(file, 0600), 0);
    assert_int_equal(image_copy(&image, images, file, 1, &err), -1);
    assert_string_equal(err.message, "is not a regular file");
    err = (struct theseus_error){0};
    assert_int_equal(image_copy(&image, images, "/nowhere/at/all.so", 1, &err), -1);
    assert_int_equal(err.code, ERR_SYSTEM);
}

struct writer {
    const char *file;
    atomic_bool enough;
};

/* Changes the time of the file again and again, as somebody who writes it does. */
static void *keep_writing(void *arg) {
    struct writer *writer = arg;

    for (long i = 0; !writer->enough; i++) {
        const struct timespec times[2] = {{i, i % 1000}, {i, i % 1000}};
        (void)utimensat(AT_FDCWD, writer->file, times, 0);
    }
    return NULL;
}

static void says_that_a_file_is_still_being_written(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *images = images_new(place);
    CLEANUP(free) char *file = fixture_copy(place, "version1");
    struct writer writer = {.file = file};
    struct theseus_error err = {0};
    pthread_t thread;

    (void)state;
    assert_int_equal(truncate(file, 32 << 20), 0); /* takes long enough to copy */
    assert_int_equal(pthread_create(&thread, NULL, keep_writing, &writer), 0);
    do {
        CLEANUP(image_free) struct image *image = NULL;
        err = (struct theseus_error){0};
        (void)!image_copy(&image, images, file, 1, &err);
    } while (err.code != ERR_BUSY);
    writer.enough = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(err.message, "is still being written");
}

static void loads_and_gives_the_plugin(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *images = images_new(place);
    struct theseus_error err = {0};
    CLEANUP(image_free) struct image *image = load(place, images, "version1", &err);

    (void)state;
    assert_non_null(image);
    const struct theseus_plugin *plugin = image_plugin(image);
    assert_string_equal(plugin->name, "version");
    assert_true(image_contains(image, plugin->tools));
    assert_true(image_contains(image, (const void *)(uintptr_t)plugin->tools[0].call));
    assert_false(image_contains(image, plugin));
    assert_false(image_contains(image, (const void *)(uintptr_t)assert_refused));
}

static void does_not_mind_what_happens_to_the_file_afterwards(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *images = images_new(place);
    CLEANUP(free) char *file = path_join(place, "version1.so");
    CLEANUP(image_free) struct image *image = load(place, images, "version1", NULL);

    (void)state;
    assert_non_null(image);
    assert_int_equal(truncate(file, 0), 0); /* a mapped file would be SIGBUS from here on */
    assert_string_equal(image_plugin(image)->version, "1.0");
    assert_string_equal(image_plugin(image)->tools[0].name, "version");
}

static void has_two_generations_side_by_side(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *images = images_new(place);
    CLEANUP(image_free) struct image *one = load(place, images, "version1", NULL);
    CLEANUP(image_free) struct image *same = load(place, images, "version1", NULL);
    CLEANUP(image_free) struct image *two = load(place, images, "version2", NULL);

    (void)state;
    assert_true(one && two && same);
    assert_string_equal(image_plugin(one)->version, "1.0");
    assert_string_equal(image_plugin(two)->version, "2.0");
    assert_ptr_not_equal(image_plugin(one)->tools, image_plugin(same)->tools);
    assert_false(image_contains(one, image_plugin(same)->tools));
}

static void unloads_and_is_gone(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *images = images_new(place);
    CLEANUP(image_free) struct image *image = load(place, images, "version1", NULL);

    (void)state;
    assert_non_null(image);
    const void *tools = image_plugin(image)->tools;
    assert_int_equal(image_unload(image), IMAGE_GONE);
    assert_null(image_plugin(image));
    assert_false(image_contains(image, tools));
    assert_int_equal(image_unload(image), IMAGE_GONE);
    assert_int_equal(image_load(image, NULL), 0); /* and comes back */
}

static size_t count_lines(const char *path) {
    CLEANUP(buf_fini) struct buf bytes = {0};
    size_t lines = 0;

    assert_int_equal(fs_read_file(path, 64 << 20, &bytes, NULL), 0);
    for (size_t i = 0; i < bytes.len; i++)
        lines += buf_span(&bytes).data[i] == '\n';
    return lines;
}

/* The number that the next descriptor gets: it grows when one is lost. */
static int next_fd(void) {
    CLEANUP(fd_close) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    return fd;
}

static void loses_nothing_over_many_generations(void **state) {
    enum { GENERATIONS = 200, SOME_FOR_THE_HEAP = 50 };
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *images = images_new(place);
    CLEANUP(free) char *file = fixture_copy(place, "counter");
    size_t mapped = 0;
    int fd = 0;

    (void)state;
    for (unsigned generation = 0; generation < GENERATIONS; generation++) {
        CLEANUP(image_free) struct image *image = NULL;
        assert_int_equal(image_copy(&image, images, file, generation, NULL), 0);
        assert_int_equal(image_load(image, NULL), 0);
        assert_int_equal(image_unload(image), IMAGE_GONE);
        if (generation == 0) {
            mapped = count_lines("/proc/self/maps");
            fd = next_fd();
        }
    }
    assert_true(count_lines("/proc/self/maps") < mapped + SOME_FOR_THE_HEAP);
    assert_int_equal(next_fd(), fd);
    CLEANUP(free) char *draft = imagedir_name(images, file, GENERATIONS - 1, "unchecked");
    assert_null(strstr(draft, "unchecked.2"));
}

static int no_reply_text(struct theseus_call *call, const char *text) {
    (void)call;
    (void)text;
    return THESEUS_DONE;
}

/* Leaves a destructor in the thread that runs it, and waits at the gate before it ends. */
struct pinner {
    const struct theseus_plugin *plugin;
    pthread_barrier_t gate;
};

static void *run_pin(void *arg) {
    const struct theseus_host host = {.reply_text = no_reply_text};
    struct theseus_call call = {.host = &host};
    struct pinner *pinner = arg;

    (void)pinner->plugin->tools[0].call(&call, NULL, NULL);
    (void)pthread_barrier_wait(&pinner->gate);
    (void)pthread_barrier_wait(&pinner->gate);
    return NULL;
}

static void finds_out_that_a_thread_keeps_it_mapped_and_for_how_long(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *images = images_new(place);
    CLEANUP(image_free) struct image *image = load(place, images, "tls", NULL);
    struct pinner pinner;
    pthread_t thread;

    (void)state;
    assert_non_null(image);
    pinner.plugin = image_plugin(image);
    const void *tools = pinner.plugin->tools;
    assert_int_equal(pthread_barrier_init(&pinner.gate, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, run_pin, &pinner), 0);
    (void)pthread_barrier_wait(&pinner.gate);
    assert_int_equal(image_unload(image), IMAGE_PINNED);
    assert_null(image_plugin(image));
    assert_true(image_contains(image, tools)); /* a crash in it can still be blamed */
    assert_int_equal(image_unload(image), IMAGE_PINNED);
    (void)pthread_barrier_wait(&pinner.gate);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)pthread_barrier_destroy(&pinner.gate);
    assert_int_equal(image_unload(image), IMAGE_GONE); /* what kept it has ended */
    assert_false(image_contains(image, tools));
}

static void refuses_a_name_that_is_mapped_already(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *images = images_new(place);
    CLEANUP(image_free) struct image *image = load(place, images, "version1", NULL);
    CLEANUP(image_free) struct image *again = NULL;
    struct theseus_error err = {0};

    (void)state;
    assert_non_null(image);
    assert_int_equal(image_adopt(&again, image_path(image), "version1.so", NULL, &err), 0);
    image_keep_file(again);
    assert_int_equal(image_load(again, &err), -1);
    assert_non_null(strstr(err.message, "is already mapped"));
}

static void adopts_the_copy_that_a_record_names(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *images = images_new(place);
    CLEANUP(free) char *file = fixture_copy(place, "version1");
    CLEANUP(image_free) struct image *image = NULL;
    CLEANUP(image_free) struct image *adopted = NULL;
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(image_copy(&image, images, file, 1, NULL), 0);
    image_keep_file(image);
    assert_int_equal(image_adopt(&adopted, image_path(image), file, image_hash(image), NULL), 0);
    assert_int_equal(image_load(adopted, NULL), 0);
    assert_string_equal(image_plugin(adopted)->name, "version");
    assert_string_equal(image_file(adopted), file);
    struct image *wrong = NULL;
    assert_int_equal(image_adopt(&wrong, image_path(image), file, "0123", &err), -1);
    assert_non_null(strstr(err.message, "was changed"));
    assert_int_equal(access(image_path(image), F_OK), 0);
}

static void fills_up_what_an_older_plugin_lacks(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *images = images_new(place);
    CLEANUP(image_free) struct image *image = load(place, images, "smallsize", NULL);

    (void)state;
    assert_non_null(image);
    assert_true(image_plugin(image)->size < sizeof(struct theseus_plugin));
    assert_string_equal(image_plugin(image)->name, "smallsize");
    assert_int_equal(image_plugin(image)->flags, 0); /* the file has other bytes there */
}

static void says_both_abi_numbers(void **state) {
    CLEANUP(free) char *theirs = xasprintf("was built for ABI %d", THESEUS_ABI + 41);
    CLEANUP(free) char *ours = xasprintf("this server has ABI %d", THESEUS_ABI);

    (void)state;
    assert_refused("abi", theirs);
    assert_refused("abi", ours);
}

static void says_what_is_missing(void **state) {
    (void)state;
    assert_refused("nosymbol", "exports no symbol 'theseus_plugin'");
    assert_refused("undefined", "has the undefined symbol 'theseus_fixture_nowhere'");
    assert_refused("needs", "needs the library 'libtheseus-nowhere.so.1', which is not found");
}

/* Writes a fixture with its structure's size changed, and expects these words. */
static void assert_size_refused(uint32_t size, const char *words) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *images = images_new(place);
    CLEANUP(image_free) struct image *image = NULL;
    CLEANUP(free) char *file = path_join(place, "size.so");
    CLEANUP(buf_fini) struct buf bytes = fixture_bytes("version1");
    const uint32_t before[2] = {THESEUS_ABI, sizeof(struct theseus_plugin)};
    struct theseus_error err = {0};

    char *at = memmem(bytes.data, bytes.len, before, sizeof(before));
    assert_non_null(at);
    memcpy(at + sizeof(uint32_t), &size, sizeof(size));
    write_bytes(file, bytes.data, bytes.len);
    assert_int_equal(image_copy(&image, images, file, 1, &err), 0);
    assert_int_equal(image_load(image, &err), -1);
    assert_non_null(strstr(err.message, words));
}

static void refuses_a_size_that_cannot_be(void **state) {
    (void)state;
    assert_size_refused(sizeof(struct theseus_plugin) + 8, "was built for a newer server");
    assert_size_refused(0, "says a wrong size");
    assert_size_refused(offsetof(struct theseus_plugin, description) - 8, "says a wrong size");
    assert_size_refused(sizeof(struct theseus_plugin) - 3, "says a wrong size");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_to_a_private_name_with_generation_and_hash),
        cmocka_unit_test(leaves_no_file_behind_what_it_refused),
        cmocka_unit_test(removes_its_copy_unless_told_to_keep_it),
        cmocka_unit_test(refuses_a_file_that_others_may_write),
        cmocka_unit_test(refuses_what_is_no_regular_file_without_waiting),
        cmocka_unit_test(says_that_a_file_is_still_being_written),
        cmocka_unit_test(loads_and_gives_the_plugin),
        cmocka_unit_test(does_not_mind_what_happens_to_the_file_afterwards),
        cmocka_unit_test(has_two_generations_side_by_side),
        cmocka_unit_test(unloads_and_is_gone),
        cmocka_unit_test(loses_nothing_over_many_generations),
        cmocka_unit_test(finds_out_that_a_thread_keeps_it_mapped_and_for_how_long),
        cmocka_unit_test(refuses_a_name_that_is_mapped_already),
        cmocka_unit_test(adopts_the_copy_that_a_record_names),
        cmocka_unit_test(fills_up_what_an_older_plugin_lacks),
        cmocka_unit_test(says_both_abi_numbers),
        cmocka_unit_test(says_what_is_missing),
        cmocka_unit_test(refuses_a_size_that_cannot_be),
    };

    return cmocka_run_group_tests_name("plugin/image", tests, NULL, NULL);
}
