/* The hand-over of a session: where it stands and what is next, as a Markdown file for whoever goes on. */
#pragma once

#include "work.h"

/* The text for work->session. 0 or -1. */
int handover_print(struct work *work, struct text *into);
/* Writes it to `.task_orchestrator/handover-SESSION.md` in the session's directory; its path into `path`. 0 or -1. */
int handover_write(struct work *work, const struct text *markdown, struct text *path);
