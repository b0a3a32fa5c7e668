/* The second version of database.c: a column more. */
#define FIXTURE_VERSION "2"
#define FIXTURE_STEPS "ALTER TABLE fixture_values ADD COLUMN note TEXT NOT NULL DEFAULT 'second'",
#include "database.c"
