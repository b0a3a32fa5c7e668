/*
 * Cuts a byte stream into lines; keeps the unfinished rest. A line that is longer than allowed is reported once and
 * thrown away to its end, so memory is bounded whatever the peer sends.
 */
#pragma once

#include <stdint.h>

#include "base/mem.h"
#include "base/span.h"

struct buf;
struct frame;
enum { FRAME_MORE = 1, FRAME_TOO_LONG }; /* outcomes of frame_next() */

/* `offset`: the stream's position of the first byte that will come; `skipping`: it is inside a line that is too long.
 */
struct frame *frame_new(size_t max_line, uint64_t offset, bool skipping);
struct frame *frame_free(struct frame *frame);
void frame_set_max_line(struct frame *frame, size_t max_line);

/* Where `size` bytes may be read to; ends the life of the last line. NULL: no memory. */
MUST_CHECK char *frame_room(struct frame *frame, size_t size);
void frame_added(struct frame *frame, size_t count);

/* Many streams that are mostly silent share one room: it is lent to the one that is being read, whose bytes move there,
 * and given back when the lines are cut. What is left of one is copied; a long rest keeps its memory. `room` is empty.
 */
void frame_lend(struct frame *frame, struct buf *room);
void frame_give_back(struct frame *frame, struct buf *room);

/* 0: a line, without its end (LF or CRLF), good until frame_room(). FRAME_MORE: none yet. FRAME_TOO_LONG: as said
 * above. */
MUST_CHECK int frame_next(struct frame *frame, struct span *ret_line);

uint64_t frame_offset(const struct frame *frame); /* stream position behind the last line that was given out */
bool frame_skipping(const struct frame *frame);
/* Gives up the line that has begun: its bytes go, and the rest of it as it comes. False: nothing of a line is there. */
bool frame_skip(struct frame *frame);
struct span frame_rest(const struct frame *frame); /* bytes that are not given out yet; good until frame_room() */

DEFINE_CLEANUP(struct frame *, frame_free)
