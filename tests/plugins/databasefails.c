/* A later version of database.c, with a step that does not work behind one that does. */
#define FIXTURE_VERSION "2"
#define FIXTURE_STEPS "ALTER TABLE fixture_values ADD COLUMN note TEXT", "UPDATE nowhere SET x = 1",
#include "database.c"
