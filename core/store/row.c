#include "store/row.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <sqlite3.h>

static int text_bytes(const char *text) {
    size_t len = text ? strnlen(text, ROW_TEXT_BYTES + 1) : 0;

    if (len > ROW_TEXT_BYTES)
        for (len = ROW_TEXT_BYTES; len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80; len--)
            ;
    return (int)len;
}

/* What cannot be bound (no memory) is NULL, or makes the step fail where the column may not be. */
static void bind_one(sqlite3_stmt *statement, int index, enum row_type type, const void *at) {
    switch (type) {
    case ROW_TEXT:
        (void)sqlite3_bind_text(statement, index, *(const char *const *)at, text_bytes(*(const char *const *)at),
                                SQLITE_STATIC);
        break;
    case ROW_INTEGER:
        if (*(const int64_t *)at >= 0)
            (void)sqlite3_bind_int64(statement, index, *(const int64_t *)at);
        break;
    case ROW_REAL:
        if (*(const double *)at >= 0)
            (void)sqlite3_bind_double(statement, index, *(const double *)at);
        break;
    case ROW_FLAG:
        (void)sqlite3_bind_int(statement, index, *(const bool *)at);
        break;
    }
}

void row_bind(sqlite3_stmt *statement, int first, const struct row_column *columns, size_t count, const void *row) {
    for (size_t i = 0; i < count; i++)
        bind_one(statement, first + (int)i, columns[i].type, (const char *)row + columns[i].offset);
}

static void read_one(sqlite3_stmt *statement, int index, enum row_type type, void *at) {
    bool is_null = sqlite3_column_type(statement, index) == SQLITE_NULL;

    switch (type) {
    case ROW_TEXT:
        *(const char **)at = (const char *)sqlite3_column_text(statement, index);
        break;
    case ROW_INTEGER:
        *(int64_t *)at = is_null ? -1 : sqlite3_column_int64(statement, index);
        break;
    case ROW_REAL:
        *(double *)at = is_null ? -1 : sqlite3_column_double(statement, index);
        break;
    case ROW_FLAG:
        *(bool *)at = sqlite3_column_int(statement, index) != 0;
        break;
    }
}

void row_read(sqlite3_stmt *statement, int first, const struct row_column *columns, size_t count, void *row) {
    for (size_t i = 0; i < count; i++)
        read_one(statement, first + (int)i, columns[i].type, (char *)row + columns[i].offset);
}

static json_t *pack_one_new(enum row_type type, const void *at) {
    switch (type) {
    case ROW_TEXT: {
        const char *text = *(const char *const *)at;
        return text ? json_stringn(text, (size_t)text_bytes(text)) : json_null();
    }
    case ROW_INTEGER:
        return json_integer(*(const int64_t *)at);
    case ROW_REAL:
        return json_real(*(const double *)at);
    case ROW_FLAG:
        return json_boolean(*(const bool *)at);
    }
    return json_null();
}

json_t *row_pack_new(const struct row_column *columns, size_t count, const void *row) {
    json_t *packed = json_array();

    for (size_t i = 0; i < count; i++) {
        json_t *value = pack_one_new(columns[i].type, (const char *)row + columns[i].offset);
        (void)json_array_append_new(packed, value ? value : json_null()); /* a text that is no UTF-8 */
    }
    return packed;
}

static void unpack_one(const json_t *value, enum row_type type, void *at) {
    switch (type) {
    case ROW_TEXT:
        *(const char **)at = json_string_value(value);
        break;
    case ROW_INTEGER:
        *(int64_t *)at = json_is_integer(value) ? json_integer_value(value) : -1;
        break;
    case ROW_REAL:
        *(double *)at = json_is_number(value) ? json_number_value(value) : -1;
        break;
    case ROW_FLAG:
        *(bool *)at = json_is_true(value);
        break;
    }
}

void row_unpack(const json_t *packed, const struct row_column *columns, size_t count, void *row) {
    for (size_t i = 0; i < count; i++)
        unpack_one(json_array_get(packed, i), columns[i].type, (char *)row + columns[i].offset);
}
