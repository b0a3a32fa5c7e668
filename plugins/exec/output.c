#include "output.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

int output_init(struct output *output, size_t head_max, size_t tail_max) {
    *output = (struct output){.kept = malloc(head_max + tail_max), .head_max = head_max, .tail_max = tail_max};
    return output->kept ? 0 : -1;
}

void output_fini(struct output *output) {
    free(output->kept);
    *output = (struct output){0};
}

/* Into the ring, in which the byte number n of the tail stands at n modulo its size. */
static void add_tail(struct output *output, uint64_t number, const char *bytes, size_t len) {
    if (len > output->tail_max) {
        number += len - output->tail_max;
        bytes += len - output->tail_max;
        len = output->tail_max;
    }
    while (len > 0) {
        size_t at = (size_t)(number % output->tail_max);
        size_t run = output->tail_max - at < len ? output->tail_max - at : len;
        memcpy(output->kept + output->head_max + at, bytes, run);
        number += run;
        bytes += run;
        len -= run;
    }
}

void output_add(struct output *output, const char *bytes, size_t len) {
    if (output->total < output->head_max) {
        size_t room = output->head_max - (size_t)output->total;
        size_t run = len < room ? len : room;
        memcpy(output->kept + output->total, bytes, run);
        output->total += run;
        bytes += run;
        len -= run;
    }
    add_tail(output, output->total - output->head_max, bytes, len);
    output->total += len;
}

/* The ring in the right order. NULL: no memory. */
static char *tail_bytes(const struct output *output, size_t *ret_len) {
    uint64_t number = output->total > output->head_max ? output->total - output->head_max : 0;
    size_t len = number < output->tail_max ? (size_t)number : output->tail_max;
    size_t at = number > len ? (size_t)(number % output->tail_max) : 0;
    const char *ring = output->kept + output->head_max;
    char *bytes = malloc(len + 1);

    if (!bytes)
        return NULL;
    memcpy(bytes, ring + at, len - at);
    memcpy(bytes + len - at, ring, at);
    *ret_len = len;
    return bytes;
}

static void add_gap(const struct output *output, size_t head_len, const char *tail, size_t tail_len,
                    struct text *text) {
    size_t head = head_len - utf8_cut_end(output->kept, head_len);
    size_t front = utf8_cut_front(tail, tail_len);
    uint64_t gap = output->total - head - (tail_len - front);

    utf8_add(text, output->kept, head, SIZE_MAX);
    text_printf(text, "%s[… %" PRIu64 " bytes left out …]\n", head ? "\n" : "", gap);
    utf8_add(text, tail + front, tail_len - front, SIZE_MAX);
}

void output_text(const struct output *output, struct text *text) {
    size_t head_len = output->total < output->head_max ? (size_t)output->total : output->head_max;
    size_t tail_len = 0;
    char *tail = tail_bytes(output, &tail_len);

    if (!tail) {
        text->failed = true;
        return;
    }
    if (output->total > head_len + tail_len)
        add_gap(output, head_len, tail, tail_len, text);
    else {
        struct text whole = {0};
        text_add(&whole, output->kept, head_len);
        text_add(&whole, tail, tail_len);
        utf8_add(text, whole.data, whole.len, SIZE_MAX);
        text->failed = text->failed || whole.failed;
        text_fini(&whole);
    }
    free(tail);
}

void newest_line_add(struct newest_line *line, const char *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != '\n' && bytes[i] != '\r') {
            if (line->part_len < sizeof(line->part))
                line->part[line->part_len++] = bytes[i];
            continue;
        }
        if (line->part_len > 0) {
            memcpy(line->whole, line->part, line->part_len);
            line->whole_len = line->part_len;
            line->is_new = true;
        }
        line->part_len = 0;
    }
}

char *newest_line_take(struct newest_line *line) {
    struct text text = {0};

    if (!line->is_new)
        return NULL;
    line->is_new = false;
    utf8_add(&text, line->whole, line->whole_len, NEWEST_LINE_CHARACTERS);
    return text_take(&text);
}
