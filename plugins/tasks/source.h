/*
 * A database of the original system, read and never touched.
 *
 * It may be in use, or left behind by a process that was killed, with its last changes in the write-ahead log beside
 * it. SQLite would make files beside it to read that. So database and log are copied, when neither changed meanwhile;
 * the copy takes the log in, and its name goes as soon as it is open.
 */
#pragma once

#include <sqlite3.h>

#include "text.h"

struct source {
    sqlite3 *db;         /* owned; NULL: not open */
    struct text path;    /* of the original, absolute */
    struct text project; /* the directory that its tasks are about */
};

/* `room` is a directory in which the copy is made. 0 or -1. */
int source_open(struct source *source, const char *path, const char *room, struct theseus_error *err);
void source_close(struct source *source);

/* Has the table this column? */
bool source_has(const struct source *source, const char *table, const char *column);
/* Its statement: finalise it. NULL: `err`. */
sqlite3_stmt *source_query(const struct source *source, const char *sql, struct theseus_error *err);
