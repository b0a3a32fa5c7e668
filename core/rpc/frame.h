/*
 * Cuts a byte stream into lines; keeps the unfinished rest. A line that is longer than allowed is reported once and
 * thrown away to its end, so memory is bounded whatever the peer sends. It is reported as soon as its id is known, or can
 * no longer come.
 */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "base/mem.h"
#include "base/span.h"

struct buf;
struct frame;
enum { FRAME_MORE = 1, FRAME_TOO_LONG }; /* outcomes of frame_next() */
/* Of a line that is too long: nothing of it, or its rest, which is reported already or when its end comes. */
enum frame_skip { FRAME_SKIPS_NONE, FRAME_SKIPS_REST, FRAME_SKIPS_UNREPORTED };

/* `offset`: the stream's position of the first byte that will come; `skip`: what it is inside of. */
struct frame *frame_new(size_t max_line, uint64_t offset, enum frame_skip skip);
struct frame *frame_free(struct frame *frame);
void frame_set_max_line(struct frame *frame, size_t max_line);

/* Where `size` bytes may be read to; ends the life of the last line. NULL: no memory. */
MUST_CHECK char *frame_room(struct frame *frame, size_t size);
void frame_added(struct frame *frame, size_t count);

/* Many streams that are mostly silent share one room: it is lent to the one that is being read, whose bytes move there,
 * and given back when the lines are cut. What is left of one is copied; a long rest keeps its memory. `room` is empty. */
void frame_lend(struct frame *frame, struct buf *room);
void frame_give_back(struct frame *frame, struct buf *room);

/* 0: a line, without its end (LF or CRLF), good until frame_room(). FRAME_MORE: none yet. FRAME_TOO_LONG: as said
 * above. */
MUST_CHECK int frame_next(struct frame *frame, struct span *ret_line);

uint64_t frame_offset(const struct frame *frame); /* stream position behind the last line that was given out */
enum frame_skip frame_skipping(const struct frame *frame);
/* Gives up the line that has begun: its bytes go, and the rest of it as it comes. False: nothing of a line is there. */
bool frame_skip(struct frame *frame);
const json_t *frame_lost_id(const struct frame *frame); /* of the line given up or reported last; NULL: unknown */
struct span frame_rest(const struct frame *frame);      /* bytes that are not given out yet; good until frame_room() */

DEFINE_CLEANUP(struct frame *, frame_free)
