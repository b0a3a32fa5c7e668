/*
 * What was worked out for a task. Up to 64 KiB it is in its row; above that in a file named by the content's hash, in
 * `artifacts` beside the database, which is on the disk before the row that names it is written.
 */
#pragma once

#include "work.h"

enum { ARTIFACT_INLINE = 64 << 10 };

/* Content that is long, or that SQL would not take as text. */
bool artifact_needs_file(const json_t *content);
/* Writes the file if the content needs one: `hash`. Blocks, and touches no database. 0 or -1. */
int artifact_store_file(struct work *work, const json_t *content);

struct artifact {
    int64_t task;
    const char *type, *next_action, *summary, *content;
    size_t len;
    const json_t *file_paths; /* NULL: none */
    int64_t created_at;       /* ms; 0: now */
};

/* The row; its content is in the file `work->hash` unless that is "". Its name into `ret_id`. 0 or -1. */
int artifact_add(struct work *work, const struct artifact *artifact, char ret_id[static ID_TEXT]);

/* The newest `limit` of a task (-1: all), the oldest first. New reference; NULL: `err`. */
json_t *artifact_list_new(struct work *work, int64_t task, int64_t limit, bool with_content);

/* Where the file with this hash is, or would be. */
int artifact_path(struct work *work, const char *hash, struct text *into);
/* The directory of the files. */
int artifact_directory(struct work *work, struct text *into);
/* As file_check(): is the file there, and (deep) has it still the content of its name? */
int artifact_check(struct work *work, const char *hash, int64_t bytes, bool deep, bool *ret_whole);
