/* A later version of database.c, with a step that takes some seconds in the middle of its work. */
#define FIXTURE_VERSION "2"
#define FIXTURE_STEPS                                                                        \
    "ALTER TABLE fixture_values ADD COLUMN note TEXT",                                       \
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000000) " \
        "UPDATE fixture_values SET note = (SELECT max(i) FROM n)",
#include "database.c"
