/*
 * What the original system has stored, taken into this one.
 *
 * Each row that comes over is remembered by what it was there, so that importing again takes only what is new. What
 * cannot be taken, a row or a part of one, is noted with the reason; nothing is left out in silence. The rest of a
 * row's metadata that has no place of its own here is kept in the context of the task, under "imported".
 */
#pragma once

#include "source.h"
#include "work.h"

enum { IMPORT_LOST_SHOWN = 10000 }; /* of the others, it is only said how many */

struct import_count {
    int64_t found, taken, known; /* known: taken by an import before */
};

struct import {
    struct work *work;
    struct source source;
    struct import_count tasks, artifacts;
    int64_t links;  /* to parents and prerequisites */
    json_t *ids;    /* owned: {id there: row here} of every task that is here */
    json_t *fresh;  /* owned: {id there: true} of those that were not */
    json_t *wanted; /* owned: [[row here, id there, "parent" or "dependency", id of the other there]] */
    json_t *lost;   /* owned: [{table, id, why}] */
    int64_t lost_count;
    const char *table, *id; /* of the row that is being taken; borrowed */
    bool failed;            /* memory ran out */
};

/* Reads the original at `path`. NULL: `err` of the work. */
struct import *import_new(struct work *work, const char *path);
void import_free(void *import);
int import_begin(struct import *import, struct work *work); /* for another run. 0 or -1 */

/* The row that the next losses are of. False: it has no id (noted). */
bool import_row(struct import *import, sqlite3_stmt *row, const char *table);
/* Notes what could not be taken of it. */
void import_lose(struct import *import, const char *format, ...) THESEUS_PRINTF_LIKE(2, 3);
/* The database of the original failed. Returns -1. */
int import_broken(struct import *import);

int import_tasks(struct import *import);     /* import_tasks.c: in the session of the work */
int import_links(struct import *import);     /* import_links.c: what is in `wanted`, without circles */
int import_artifacts(struct import *import); /* import_artifacts.c */
/* The files of large ones, before the transaction. 0 or -1. */
int import_store_files(struct import *import);

/* ---- of a row there ---- */

/* NULL: there is nothing, or (noted) what SQL or JSON would not take as text. Borrowed until the next row. */
const char *import_text(struct import *import, sqlite3_stmt *row, int column);
/* JSON that was encoded once, or twice. New reference: an object, empty where there is none (noted). */
json_t *import_metadata_new(struct import *import, sqlite3_stmt *row, int column);
/* `missing` where there is no time in it (noted, unless there is nothing at all). */
int64_t import_time(struct import *import, sqlite3_stmt *row, int column, int64_t missing);

/* ---- what was taken before ---- */

/* 1: it was, and *ret_row is its row here (0: deleted since); 0: it was not; -1. */
int import_find(struct import *import, const char *origin, const char *column, int64_t *ret_row);
int import_remember(struct import *import, const char *origin, int64_t task, int64_t artifact); /* 0 or -1 */

/* ---- words ---- */

enum import_kind { IMPORT_STATUS, IMPORT_TYPE, IMPORT_COMPLEXITY, IMPORT_SPECIALIST };

/* Ours for theirs; NULL: we have none. */
const char *import_word(enum import_kind kind, const char *word);
