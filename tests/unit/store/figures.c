#include "test.h"

#include "store/figures.h"

#include <unistd.h>

#include "scratch.h"
#include "store/db.h"

static void execute(struct store *store, const char *sql) {
    sqlite3 *db = NULL;

    assert_int_equal(store_db(store, &db, NULL), 0);
    assert_int_equal(db_exec(db, sql, NULL), 0);
}

static json_t *read_all(struct store *store) {
    json_t *figures = NULL;

    assert_int_equal(figures_read(store, &figures, NULL), 0);
    return figures;
}

static void finds_nothing_where_nothing_is(void **state) {
    struct scratch *scratch = *state;
    json_auto_t *none = read_all(scratch->store);

    assert_int_equal(json_object_size(none), 0);
    assert_int_equal(access(scratch->path, F_OK), -1); /* nor is a file made */
    execute(scratch->store, "CREATE TABLE other (x)");
    json_auto_t *still = read_all(scratch->store);
    assert_int_equal(json_object_size(still), 0);
}

/* Of components, by their names, whatever these are; other views are nobody's. */
static void reads_the_views_of_plugins(void **state) {
    struct store *store = store_of(state);

    execute(store, "CREATE TABLE schema_versions (component TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT;"
                   "INSERT INTO schema_versions VALUES ('a', 1), ('odd-\"name', 1), ('none', 1);"
                   "CREATE VIEW a_figures (name, label, value) AS VALUES ('x', 'one', 1), ('x', 'two', 2.5), "
                   "('y', NULL, 3), (NULL, 'nameless', 4);"
                   "CREATE VIEW \"odd-\"\"name_figures\" (name, label, value) AS VALUES ('z', '', 5);"
                   "CREATE VIEW nobodys_figures (name, label, value) AS VALUES ('z', '', 6)");
    json_auto_t *figures = read_all(store);
    json_auto_t *expected = json_pack("{s:{s:{s:f, s:f}, s:{s:f}}, s:{s:{s:f}}}", "a", "x", "one", 1.0, "two", 2.5, "y",
                                      "", 3.0, "odd-\"name", "z", "", 5.0);
    assert_true(json_equal(figures, expected));
}

static void names_the_plugin_whose_view_is_none_and_reads_the_others(void **state) {
    struct store *store = store_of(state);
    struct theseus_error err = {0};
    json_t *figures = NULL;

    execute(store, "CREATE TABLE schema_versions (component TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT;"
                   "INSERT INTO schema_versions VALUES ('a', 1), ('b', 1), ('c', 1);"
                   "CREATE VIEW a_figures (title) AS VALUES ('x');"
                   "CREATE VIEW b_figures (name, label, value) AS VALUES ('x', 'y', 1);"
                   "CREATE VIEW c_figures AS SELECT name, label, value FROM nowhere");
    assert_int_equal(figures_read(store, &figures, &err), FIGURES_IN_PART);
    assert_non_null(strstr(err.message, "the figures of plugin 'a': "));
    json_auto_t *expected = json_pack("{s:{s:{s:f}}}", "b", "x", "y", 1.0);
    assert_true(json_equal(figures, expected));
    json_decref(figures);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(finds_nothing_where_nothing_is),
        WITH_SCRATCH(reads_the_views_of_plugins),
        WITH_SCRATCH(names_the_plugin_whose_view_is_none_and_reads_the_others),
    };

    return cmocka_run_group_tests_name("store/figures", tests, NULL, NULL);
}
