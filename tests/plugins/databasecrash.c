/* A later version of database.c, which crashes when it is started. */
#include <signal.h>

#define FIXTURE_VERSION "2"
#define FIXTURE_STEPS "ALTER TABLE fixture_values ADD COLUMN note TEXT",
#define FIXTURE_AT_START (void)raise(SIGSEGV);
#include "database.c"
