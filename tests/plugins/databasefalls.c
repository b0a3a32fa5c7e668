/* A later version of database.c, which crashes when it is to store something. */
#include <signal.h>

#define FIXTURE_VERSION "2"
#define FIXTURE_STEPS "ALTER TABLE fixture_values ADD COLUMN note TEXT",
#define FIXTURE_AT_PUT (void)raise(SIGSEGV);
#include "database.c"
