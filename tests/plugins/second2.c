/* The second version of second.c. */
#define FIXTURE_NAME "second"
#define FIXTURE_TABLE "second_values"
#define FIXTURE_TOOLS "second"
#define FIXTURE_VERSION "2"
#define FIXTURE_STEPS "CREATE INDEX second_by_value ON second_values (value)",
#include "database.c"
