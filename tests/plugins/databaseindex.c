/* A later version of database.c: a column and an index more, as a migration of a large table has them. */
#define FIXTURE_VERSION "2"
#define FIXTURE_STEPS                                                      \
    "ALTER TABLE fixture_values ADD COLUMN note TEXT NOT NULL DEFAULT ''", \
        "CREATE INDEX fixture_by_value ON fixture_values (value)",
#include "database.c"
