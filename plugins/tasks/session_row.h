/* Sessions in answers. */
#pragma once

#include "page.h"
#include "sql.h"

/* Everything that was planned in `s` is over, and something was. */
#define SESSION_COMPLETED                                                                                 \
    "(EXISTS (SELECT 1 FROM tasks x WHERE x.session = s.id) AND NOT EXISTS (SELECT 1 FROM tasks x WHERE " \
    "x.session = s.id AND x.status IN ('pending', 'in_progress', 'blocked', 'failed')))"
#define SESSION_COLUMNS                                                                                       \
    "s.id, s.session_id, s.directory, CASE WHEN s.state = 'archived' THEN 'archived' WHEN " SESSION_COMPLETED \
    " THEN 'completed' ELSE 'active' END, s.created_at, s.updated_at, s.handover, "                           \
    "(SELECT count(*) FROM tasks x WHERE x.session = s.id), "                                                 \
    "(SELECT count(*) FROM tasks x WHERE x.session = s.id AND x.status = 'completed')"

json_t *session_row_new(sqlite3_stmt *row); /* from SESSION_COLUMNS; new reference; NULL: no memory */
void session_print(struct text *into, const json_t *row);

/* "tasks": those that are not over, the ones in progress first, of one page; "has_more" and "next_offset". 0 or -1. */
int session_add_open(struct work *work, unsigned wanted, struct page page);
/* The end of every list: "has_more" and "next_offset" into `value`, and a line of text. 0 or -1. */
int work_add_more(struct work *work, bool has_more, int64_t next_offset);
