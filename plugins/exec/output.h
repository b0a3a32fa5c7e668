/* What a program printed: the head and the tail of it, of a size that is known in advance. */
#pragma once

#include <stdint.h>

#include "text.h"

struct output {
    char *kept; /* owned: the head, then the tail as a ring */
    size_t head_max, tail_max;
    uint64_t total; /* bytes printed */
};

int output_init(struct output *output, size_t head_max, size_t tail_max); /* -1: no memory */
void output_fini(struct output *output);
void output_add(struct output *output, const char *bytes, size_t len);
/* As text, the gap named with its size. */
void output_text(const struct output *output, struct text *text);

enum { NEWEST_LINE_CHARACTERS = 200, NEWEST_LINE_BYTES = 4 * NEWEST_LINE_CHARACTERS };

/* The newest line that is complete and not empty; a carriage return ends one too. */
struct newest_line {
    char part[NEWEST_LINE_BYTES], whole[NEWEST_LINE_BYTES];
    size_t part_len, whole_len;
    bool is_new; /* since newest_line_take() */
};

void newest_line_add(struct newest_line *line, const char *bytes, size_t len);
char *newest_line_take(struct newest_line *line); /* owned; NULL: nothing new */
