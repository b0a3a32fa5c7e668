/*
 * Has a statement come upon damage in the database? SQLite says so to whoever made the statement, on any thread: to the
 * core, or to a plugin that may tell nobody. Here it is remembered for all of the process.
 *
 * SQLite has one place to tell of errors, and does not say there of which database. So each connection of the process
 * says when it is opened and when a statement begins on it: the one that a thread was last heard of is the one that has
 * failed there. A plugin may have databases of its own, which are not the server's affair. What fails while a statement
 * is prepared on one of these, right after the thread has used the server's, is still taken for the server's.
 */
#pragma once

#include <stdbool.h>

struct sqlite3;

enum { DAMAGE_TEXT_BYTES = 200 };

/* To be called once, before anything in the process uses SQLite. */
void damage_watch(void);
/* This connection, just opened on the calling thread, is one of the server's database. */
void damage_watch_db(struct sqlite3 *db);
void damage_begin(void); /* the calling thread is about to use one */
/* False: none was met. Else what SQLite said of the first. Any thread. */
bool damage_met(char text[static DAMAGE_TEXT_BYTES]);
