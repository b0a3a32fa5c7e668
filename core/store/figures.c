#include "store/figures.h"

#include <errno.h>
#include <unistd.h>

#include "store/db.h"
#include "store/store.h"

static const char views_sql[] =
    "SELECT v.component FROM schema_versions v JOIN main.sqlite_schema s ON s.name = v.component || '_figures' "
    "WHERE s.type = 'view' ORDER BY v.component";
static const char has_sql[] = "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = 'schema_versions')";

static int visit_rows(sqlite3 *db, const char *component, figures_visit_fn *visit, void *arg,
                      struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *rows = NULL;
    char *sql = sqlite3_mprintf("SELECT name, label, value FROM main.\"%w_figures\"", component);
    int r = sql ? db_prepare(db, sql, &rows, err) : fail(err, ERR_MEMORY, "no memory to read the figures");

    sqlite3_free(sql);
    if (r < 0)
        return error_prefix(err, "the figures of plugin '%s': ", component);
    while ((r = sqlite3_step(rows)) == SQLITE_ROW) {
        const struct figure figure = {.component = component,
                                      .name = (const char *)sqlite3_column_text(rows, 0),
                                      .label = (const char *)sqlite3_column_text(rows, 1),
                                      .value = sqlite3_column_double(rows, 2)};
        if (figure.name)
            visit(arg, &figure);
    }
    return r == SQLITE_DONE ? 0 : db_fail(db, err, "cannot read the figures of plugin '%s'", component);
}

static int has_versions(sqlite3 *db, bool *ret_has, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *select = NULL;

    if (db_prepare(db, has_sql, &select, err) < 0)
        return -1;
    if (sqlite3_step(select) != SQLITE_ROW)
        return db_fail(db, err, "cannot read the schema");
    *ret_has = sqlite3_column_int(select, 0);
    return 0;
}

static int visit_views(sqlite3 *db, figures_visit_fn *visit, void *arg, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *views = NULL;
    struct theseus_error first = {0};
    bool has = false;
    int r;

    if (has_versions(db, &has, err) < 0)
        return -1;
    if (!has)
        return 0;
    if (db_prepare(db, views_sql, &views, err) < 0)
        return -1;
    while ((r = sqlite3_step(views)) == SQLITE_ROW) {
        struct theseus_error why = {0};
        if (visit_rows(db, (const char *)sqlite3_column_text(views, 0), visit, arg, &why) < 0 && !first.code)
            first = why; /* other plugins' views are none the worse */
    }
    if (r != SQLITE_DONE)
        return db_fail(db, err, "cannot read the schema");
    if (!first.code)
        return 0;
    (void)fail(err, first.code, "%s", first.message);
    return FIGURES_IN_PART;
}

int figures_each(struct store *store, figures_visit_fn *visit, void *arg, struct theseus_error *err) {
    sqlite3 *db = NULL;

    if (access(store_path(store), F_OK) < 0)
        return errno == ENOENT ? 0 : fail_errno(err, "cannot look at '%s'", store_path(store));
    if (store_db(store, &db, err) < 0)
        return -1;
    return visit_views(db, visit, arg, err);
}

static json_t *member(json_t *object, const char *name) {
    json_t *member = json_object_get(object, name);

    if (member)
        return member;
    (void)json_object_set_new(object, name, json_object());
    return json_object_get(object, name);
}

static void add_figure(void *arg, const struct figure *figure) {
    json_t *of_plugin = member(arg, figure->component);

    (void)json_object_set_new(member(of_plugin, figure->name), figure->label ? figure->label : "",
                              json_real(figure->value));
}

int figures_read(struct store *store, json_t **ret_figures, struct theseus_error *err) {
    json_auto_t *figures = json_object();
    int r = figures_each(store, add_figure, figures, err);

    if (r < 0)
        return -1;
    *ret_figures = json_incref(figures);
    return r;
}
