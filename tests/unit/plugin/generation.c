#include "test.h"

#include "plugin/generation.h"

#include <sqlite3.h>

#include "plugin/fixture.h"
#include "plugin/image.h"
#include "plugin/made.h"
#include "store/store.h"

#define SELECT "SELECT 41 + ?1"

static struct generation *generation_of_file(struct made_host *made, const char *file, unsigned number) {
    struct theseus_error err = {0};
    struct image *image = NULL;

    if (image_adopt(&image, file, file, NULL, &err) < 0 || image_load(image, &err) < 0)
        test_failed("%s", err.message);
    return generation_new(&made->host, image, number);
}

static void end(struct generation *generation) {
    loop_enter();
    generation_stop(generation);
    assert_int_equal(image_unload(generation->image), 0);
    (void)generation_free(generation);
}

static bool is_prepared(sqlite3 *db, const sqlite3_stmt *statement) {
    for (sqlite3_stmt *one = sqlite3_next_stmt(db, NULL); one; one = sqlite3_next_stmt(db, one))
        if (one == statement)
            return true;
    return false;
}

static void leaves_the_statements_of_the_next_one_alone(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *path = path_join(place, "theseus.db");
    CLEANUP(store_free) struct store *store = store_new(path);
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(free) char *file1 = fixture_copy(place, "version1");
    CLEANUP(free) char *file2 = fixture_copy(place, "version2");

    (void)state;
    made->host.store = store;
    struct generation *old = generation_of_file(made, file1, 1);
    struct generation *next = generation_of_file(made, file2, 2);
    assert_string_equal(old->name, next->name);
    sqlite3_stmt *olds = theseus_statement(&old->ctx, SELECT), *nexts = theseus_statement(&next->ctx, SELECT);
    assert_non_null(olds);
    assert_non_null(nexts);
    assert_ptr_not_equal(olds, nexts);
    sqlite3 *db = theseus_db(&next->ctx);
    end(old);
    assert_true(is_prepared(db, nexts));
    assert_int_equal(sqlite3_bind_int(nexts, 1, 1), SQLITE_OK);
    assert_int_equal(sqlite3_step(nexts), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(nexts, 0), 42);
    assert_ptr_equal(theseus_statement(&next->ctx, SELECT), nexts);
    end(next);
    assert_null(sqlite3_next_stmt(db, NULL)); /* its own go with it */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_the_statements_of_the_next_one_alone),
    };

    return cmocka_run_group_tests_name("plugin/generation", tests, NULL, NULL);
}
