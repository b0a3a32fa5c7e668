/*
 * Names for sessions, tasks and artifacts: "task_" and fourteen letters and digits. The first nine are the time, so
 * that a new one sorts behind all before it and an index grows at its end; the others are chance.
 */
#pragma once

#include <stdint.h>

enum { ID_TEXT = 32 };

struct id_source { /* zeroed; of one thread */
    int64_t ms;
    uint32_t chance;
};

void id_make(struct id_source *source, const char *prefix, char text[static ID_TEXT]);
