/*
 * A struct and the columns of a table, in one list: bound and read by the same description, in the order of the SQL
 * text. A negative number and a NULL text are NULL in the table. Some texts come from clients: what is longer than
 * ROW_TEXT_BYTES is cut, at the border of a character. Inside store/ only.
 */
#pragma once

#include <stddef.h>

#include <jansson.h>

struct sqlite3_stmt;

enum row_type { ROW_TEXT, ROW_INTEGER, ROW_REAL, ROW_FLAG }; /* const char *, int64_t, double, bool */

enum { ROW_TEXT_BYTES = 1024 };

struct row_column {
    enum row_type type;
    size_t offset;
};

/* Binds columns[i] to parameter `first` + i; texts must live until the statement was stepped. */
void row_bind(struct sqlite3_stmt *statement, int first, const struct row_column *columns, size_t count,
              const void *row);

/* Reads columns[i] from result column `first` + i; texts are good until the statement moves on. */
void row_read(struct sqlite3_stmt *statement, int first, const struct row_column *columns, size_t count, void *row);

/* The same as a JSON array, for what cannot be written yet. New reference; texts that were read are the array's. */
json_t *row_pack_new(const struct row_column *columns, size_t count, const void *row);
void row_unpack(const json_t *packed, const struct row_column *columns, size_t count, void *row);
