/* Another plugin that keeps values in the database. */
#define FIXTURE_NAME "second"
#define FIXTURE_TABLE "second_values"
#define FIXTURE_TOOLS "second"
#include "database.c"
