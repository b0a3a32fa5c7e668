/*
 * Drafts: files beside the one that they are to become, named "FILE.PID.new" for the process that makes them. One that
 * is killed leaves its draft, and what SQLite had beside it; whoever makes the next one removes those.
 */
#pragma once

char *draft_path(const char *path); /* of this process; owned */

/* With its log and its journal, which SQLite would else take for those of the next one of that name. Best effort. */
void draft_remove(const char *draft);

/* Those for `path` of processes that are gone. Best effort: what is left is found next time. */
void draft_sweep(const char *path);
