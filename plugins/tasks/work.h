/*
 * One run of a tool: what it was asked, whose tasks it is about, and what it answers.
 *
 * A tool is a function on this. It runs inside a transaction, on a worker when it only reads and on the writer's thread
 * when it writes (writer.h), and may be run again from its beginning when the transaction did not come about. It
 * returns 0 with `value` and `text` filled, or -1 with `err`, the sentence for whoever asked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <theseus/plugin.h>

#include "id.h"
#include "memory.h"
#include "text.h"

struct sqlite3;
struct tasks;
struct work;

enum { WORK_MUST_WRITE = 1 }; /* outcome: it turned out that it has to write; let the writer run it */

typedef int work_fn(struct work *work);

/* What the table of tools has as `data`. */
struct work_kind {
    work_fn *run;
    work_fn *prepare;                /* optional: what the filer does before that, outside of any transaction */
    void (*release)(void *prepared); /* optional: of what `prepare` made */
};

enum { HASH_TEXT = 65 };

struct session {
    int64_t id;
    char session_id[ID_TEXT];
    int64_t updated_at;
    bool every; /* session_id "*": `id` is 0 */
};

struct work {
    struct work *next; /* in the writer's queue */
    struct tasks *tasks;
    struct theseus_call *call;
    const struct work_kind *kind;
    const json_t *args; /* borrowed; lives until the call is answered */
    bool writing;
    bool broken; /* `err` is the database's, not a refusal */
    int64_t now; /* ms */
    struct session session;
    json_t *value;      /* owned: structuredContent */
    struct text text;   /* the same for reading */
    struct text stored; /* `value` as JSON, as it is stored; "": it is not */
    struct theseus_error err;
    char hash[HASH_TEXT]; /* complete_task: name of the file that has the artifact; "": none */
    bool done;            /* `text` is the answer, with `value` or what is stored of it; else `err` is */
    void *prepared;       /* owned: what `prepare` made; NULL: nothing */
};

struct work *work_new(struct tasks *tasks, struct theseus_call *call, const json_t *args);
struct work *work_free(struct work *work);
void work_reset(struct work *work); /* for another run */

/* Refuses the call. Returns -1. Longer sentences than `err` holds are cut. */
int work_refuse(struct work *work, const char *format, ...) THESEUS_PRINTF_LIKE(2, 3);
int work_no_memory(struct work *work);

/* Refuses a text with a NUL in it, which SQL would end there; detailed_work may have one. */
int work_check_texts(struct work *work);

/* Arguments; the input schema has seen to their types. */
const char *work_string(const struct work *work, const char *key); /* NULL: not given */
bool work_flag(const struct work *work, const char *key, bool missing);
int64_t work_integer(const struct work *work, const char *key, int64_t missing);

/* The answer stands: `value` and `text`, of which nothing may be missing. 0, or -1. */
int work_finish(struct work *work);
/* Writes `value` out as what is to be stored, and drops it: whoever answers reads it again, on another thread. 0, or
 * -1. */
int work_store(struct work *work);

int work_reply(struct work *work); /* with the answer or `err`, and frees. THESEUS_DONE */
