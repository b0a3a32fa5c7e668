#include "ledger/space.h"

#include <errno.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "ledger/memfd.h"

enum {
    RESERVE_SEGMENTS = LIMIT_LEDGER_RESERVE / SEGMENT_BYTES,
    READY_SEGMENTS = RESERVE_SEGMENTS + 1,
    SPARE_SEGMENTS = READY_SEGMENTS + 8, /* more free ones than that give their memory back … */
    QUIET_SEGMENTS = READY_SEGMENTS + 1, /* … when little is in use, more than that */
    BLOCK_BYTES = 512,                   /* of st_blocks */
};

static off_t offset_of(const struct space *space, size_t segment) {
    return (off_t)(space->front + segment * SEGMENT_BYTES);
}

static int map(struct space *space, off_t offset, size_t len, int protection) {
    void *at = mmap(space->base + offset, len, protection, MAP_SHARED | MAP_FIXED, space->fd, offset);

    return at == MAP_FAILED ? -1 : 0;
}

/* Memory for all of these bytes, as far as they have none yet: a file may have been cut short, or have holes. */
static int fill(int fd, off_t offset, off_t len) {
    off_t hole = lseek(fd, offset, SEEK_HOLE);

    return hole >= offset + len ? 0 : memfd_allocate(fd, offset, len);
}

/* How much there is from the beginning on without a hole, as far as that can be told at once: where the file system's
 * count is exact, a file that has memory for all of its size has no hole. */
static off_t whole_until(int fd, const struct stat *stat) {
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
        return 0;
    return (off_t)stat->st_blocks * BLOCK_BYTES >= stat->st_size ? stat->st_size : 0;
}

static bool is_absent(const struct space *space, size_t segment) {
    off_t data = lseek(space->fd, offset_of(space, segment), SEEK_DATA);

    return data < 0 ? errno == ENXIO : data >= offset_of(space, segment + 1);
}

/* The segments that the file has; the last one is made whole. A look for the next hole goes through every page up to
 * there, so it is not repeated for what lies in front of it. */
static int map_present(struct space *space, off_t size, off_t hole, struct theseus_error *err) {
    size_t count = 0;

    while (count < space->bound && offset_of(space, count) < size) {
        if (hole < offset_of(space, count + 1) && !is_absent(space, count))
            hole = lseek(space->fd, offset_of(space, count), SEEK_HOLE);
        bool whole = hole >= offset_of(space, count + 1);
        if (whole || !is_absent(space, count)) {
            if ((!whole && memfd_allocate(space->fd, offset_of(space, count), SEGMENT_BYTES) < 0) ||
                map(space, offset_of(space, count), SEGMENT_BYTES, PROT_READ | PROT_WRITE) < 0)
                return fail_errno(err, "cannot map the ledger at byte %lld", (long long)offset_of(space, count));
            space->segments[count] = (struct segment){.state = SEGMENT_FREE, .mapped = true, .fixed = SEGMENT_BYTES};
            atomic_fetch_add(&space->free_count, 1);
        }
        count++;
    }
    atomic_store(&space->absent_count, space->bound - atomic_load(&space->free_count));
    return 0;
}

int space_open(struct space *space, struct gate *gate, int fd, size_t front, struct theseus_error *err) {
    const size_t range = front + (size_t)LIMIT_LEDGER;
    struct stat stat;

    *space = (struct space){.gate = gate, .fd = -1, .front = front, .bound = SEGMENTS_MAX};
    if (fstat(fd, &stat) < 0)
        return fail_errno(err, "cannot look at the ledger's file");
    off_t whole = whole_until(fd, &stat);
    if (whole < (off_t)front && fill(fd, 0, (off_t)front) < 0)
        return fail_errno(err, "no memory for a ledger");
    char *base = mmap(NULL, range, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return fail_errno(err, "cannot reserve %zu MiB of addresses for the ledger", range >> 20);
    space->base = base;
    space->fd = fd;
    int r = map(space, 0, front, PROT_READ | PROT_WRITE);
    if (r < 0)
        r = fail_errno(err, "cannot map the ledger");
    if (r == 0)
        r = map_present(space, stat.st_size, whole, err);
    atomic_store(&space->unsealed, true);
    if (r < 0) {
        space->fd = -1; /* the caller's still */
        space_close(space);
    }
    return r;
}

void space_close(struct space *space) {
    if (space->base)
        (void)munmap(space->base, space->front + (size_t)LIMIT_LEDGER);
    if (space->fd >= 0)
        (void)close(space->fd);
    space->base = NULL;
    space->fd = -1;
}

static size_t count_below(const struct space *space, enum segment_state state) {
    size_t count = 0;

    for (size_t i = 0; i < space->bound; i++)
        count += space->segments[i].state == state;
    return count;
}

void space_set_bound(struct space *space, size_t bound) {
    gate_enter(space->gate);
    space->bound = bound < SEGMENTS_MAX ? bound : SEGMENTS_MAX;
    atomic_store(&space->free_count, count_below(space, SEGMENT_FREE));
    atomic_store(&space->absent_count, count_below(space, SEGMENT_ABSENT));
    gate_leave(space->gate);
}

void space_guard(struct space *space, bool guarded) {
    atomic_store(&space->unguarded, !guarded);
    atomic_store(&space->unsealed, true);
}

static _Atomic size_t *counter_of(struct space *space, enum segment_state state) {
    return state == SEGMENT_FREE ? &space->free_count : state == SEGMENT_ABSENT ? &space->absent_count : NULL;
}

static void set_states(struct space *space, size_t first, size_t count, enum segment_state state) {
    for (size_t i = first; i < first + count; i++) {
        _Atomic size_t *from = counter_of(space, space->segments[i].state), *to = counter_of(space, state);
        space->segments[i].state = (uint8_t)state;
        if (i >= space->bound)
            continue;
        if (from)
            (void)atomic_fetch_sub_explicit(from, 1, memory_order_relaxed);
        if (to)
            (void)atomic_fetch_add_explicit(to, 1, memory_order_relaxed);
    }
}

/* Can it be taken: it is in this state, and nobody is at work on it; `ready`: at once? */
static bool suits(const struct segment *segment, enum segment_state state, bool ready) {
    return segment->state == state && !segment->changing && !(ready && segment->sealed > 0);
}

/* The first run of `count` such segments; the lowest, whose memory was used last and is still in the caches. */
static int find_run(const struct space *space, size_t count, enum segment_state state, bool ready) {
    size_t run = 0;

    for (size_t i = 0; i < space->bound; i++) {
        run = suits(&space->segments[i], state, ready) ? run + 1 : 0;
        if (run == count)
            return (int)(i + 1 - count);
    }
    return -1;
}

static bool leaves_enough(size_t available, size_t count, enum room_for what_for) {
    static const size_t left[] = {
        [ROOM_WORK] = RESERVE_SEGMENTS, [ROOM_ANSWER] = RESERVE_SEGMENTS / 2, [ROOM_NOTHING] = 1, [ROOM_MORE] = 0};

    return available >= count + left[what_for];
}

static void use(struct space *space, size_t first, size_t count) {
    set_states(space, first, count, SEGMENT_USED);
    for (size_t i = first; i < first + count; i++)
        space->segments[i].fixed = 0;
}

static int take(struct space *space, size_t count, enum segment_state state, bool ready) {
    int first = find_run(space, count, state, ready);

    if (first >= 0)
        use(space, (size_t)first, count);
    return first;
}

int space_take_locked(struct space *space, size_t count, enum room_for what_for) {
    if (!leaves_enough(atomic_load_explicit(&space->free_count, memory_order_relaxed), count, what_for))
        return -1;
    int first = take(space, count, SEGMENT_FREE, true);
    atomic_store_explicit(&space->ready, first >= 0 && find_run(space, 1, SEGMENT_FREE, true) >= 0,
                          memory_order_relaxed);
    return first;
}

void space_give_locked(struct space *space, size_t first, size_t count) {
    set_states(space, first, count, SEGMENT_FREE);
    atomic_store_explicit(&space->exhausted, false, memory_order_relaxed);
}

void space_mark_used_locked(struct space *space, size_t first, size_t count) {
    use(space, first, count);
}

void space_fix_locked(struct space *space, size_t first, size_t bytes) {
    for (size_t i = first; bytes > 0; i++) {
        size_t part = bytes < SEGMENT_BYTES ? bytes : SEGMENT_BYTES;
        space->segments[i].fixed = (uint32_t)part;
        bytes -= part;
    }
    atomic_store_explicit(&space->unsealed, true, memory_order_relaxed);
}

/* ---- system calls ---- */

/* Free ones before those without memory; *ret_state: what they were. */
static int claim(struct space *space, size_t count, enum room_for what_for, enum segment_state *ret_state) {
    size_t free_count = atomic_load(&space->free_count), available = free_count + atomic_load(&space->absent_count);

    *ret_state = SEGMENT_FREE;
    int first = leaves_enough(free_count, count, what_for) ? take(space, count, SEGMENT_FREE, false) : -1;
    if (first >= 0 || !leaves_enough(available, count, what_for))
        return first;
    *ret_state = SEGMENT_ABSENT;
    return take(space, count, SEGMENT_ABSENT, false);
}

/* What nobody else looks at. -1: errno. */
static int make_writable(struct space *space, size_t first, size_t count) {
    for (size_t i = first; i < first + count; i++) {
        struct segment *segment = &space->segments[i];
        if (segment->sealed > 0 && mprotect(space_segment(space, i), segment->sealed, PROT_READ | PROT_WRITE) < 0)
            return -1;
        segment->sealed = 0;
    }
    return 0;
}

/* Memory and addresses for segments that nobody else looks at. -1: errno. */
static int back(struct space *space, size_t first, size_t count) {
    struct segment *segments = space->segments;

    if (memfd_allocate(space->fd, offset_of(space, first), (off_t)count * SEGMENT_BYTES) < 0)
        return -1;
    for (size_t i = first; i < first + count; i++) {
        if (segments[i].mapped)
            continue;
        if (map(space, offset_of(space, i), SEGMENT_BYTES, PROT_READ) < 0)
            return -1;
        segments[i].mapped = true;
        segments[i].sealed = SEGMENT_BYTES;
    }
    return 0;
}

static void enter(struct space *space, bool inside) {
    if (!inside)
        gate_enter(space->gate);
}

static void leave(struct space *space, bool inside) {
    if (!inside)
        gate_leave(space->gate);
}

int space_add(struct space *space, bool inside, size_t count, enum room_for what_for, int *ret_first,
              struct theseus_error *err) {
    enum segment_state state;

    enter(space, inside);
    int first = claim(space, count, what_for, &state);
    leave(space, inside);
    if (first < 0)
        return fail(err, ERR_LIMIT, "the ledger is full: it has no room for %zu MiB more below its bound of %zu MiB",
                    count, space->bound);
    int r = state == SEGMENT_ABSENT ? back(space, (size_t)first, count) : 0;
    if (r == 0)
        r = make_writable(space, (size_t)first, count);
    int saved = errno;
    if (r < 0) {
        atomic_store(&space->exhausted, true);
        enter(space, inside);
        set_states(space, (size_t)first, count, state);
        leave(space, inside);
        return fail(err, ERR_MEMORY,
                    "the ledger cannot grow by %zu MiB: %s; free some memory, or make its tmpfs larger", count,
                    strerrordesc_np(saved));
    }
    *ret_first = first;
    return 0;
}

/* One more free segment. Running out shows when somebody needs one. */
static void add_free(struct space *space) {
    gate_enter(space->gate);
    int first = take(space, 1, SEGMENT_ABSENT, false);
    gate_leave(space->gate);
    int r = first < 0 ? -1 : back(space, (size_t)first, 1);
    if (r < 0)
        atomic_store(&space->exhausted, true);
    if (first < 0)
        return;
    gate_enter(space->gate);
    set_states(space, (size_t)first, 1, r < 0 ? SEGMENT_ABSENT : SEGMENT_FREE);
    gate_leave(space->gate);
}

/* The highest free segment gives its memory back: the lower ones are the ones in use. False: others are at work on all
 * of them. */
static bool remove_free(struct space *space) {
    size_t last = space->bound;

    gate_enter(space->gate);
    while (last > 0 && !suits(&space->segments[last - 1], SEGMENT_FREE, false))
        last--;
    if (last > 0)
        set_states(space, last - 1, 1, SEGMENT_USED);
    gate_leave(space->gate);
    if (last == 0)
        return false;
    memfd_release(space->fd, offset_of(space, last - 1), SEGMENT_BYTES);
    gate_enter(space->gate);
    set_states(space, last - 1, 1, SEGMENT_ABSENT);
    gate_leave(space->gate);
    return true;
}

/* ---- protection ---- */

void space_make_ready(struct space *space) {
    gate_enter(space->gate);
    int first = find_run(space, 1, SEGMENT_FREE, false);
    bool ready = first < 0 || find_run(space, 1, SEGMENT_FREE, true) >= 0;
    if (!ready)
        space->segments[first].changing = true;
    atomic_store_explicit(&space->ready, true, memory_order_relaxed); /* if there is none: nothing can be done */
    gate_leave(space->gate);
    if (ready)
        return;
    (void)make_writable(space, (size_t)first, 1);
    gate_enter(space->gate);
    space->segments[first].fixed = 0;
    space->segments[first].changing = false;
    gate_leave(space->gate);
}

void space_prepare(struct space *space) {
    if (atomic_load_explicit(&space->wanted, memory_order_relaxed) &&
        !atomic_load_explicit(&space->ready, memory_order_relaxed))
        space_make_ready(space);
}

static uint32_t to_be_sealed(const struct segment *segment) {
    return segment->changing || segment->state == SEGMENT_ABSENT ? 0 : segment->fixed;
}

/* Bytes of the mapping, and the segments in which they are. */
struct stretch {
    size_t first, count;
    uint32_t from, to; /* in the first one; in the last one */
};

/* The next stretch that is to be sealed: nobody else changes it from here on. */
static struct stretch claim_stretch_locked(struct space *space) {
    struct stretch stretch = {.to = SEGMENT_BYTES};

    for (size_t i = 0; i < SEGMENTS_MAX && stretch.to == SEGMENT_BYTES; i++) {
        struct segment *segment = &space->segments[i];
        uint32_t to = to_be_sealed(segment);
        /* Of one that was just taken, what is sealed is its taker's. */
        bool is_part = to > 0 && to > segment->sealed && (stretch.count == 0 || segment->sealed == 0);
        if (!is_part && stretch.count > 0)
            break;
        if (!is_part)
            continue;
        if (stretch.count++ == 0) {
            stretch.first = i;
            stretch.from = segment->sealed;
        }
        stretch.to = to;
        segment->changing = true;
    }
    return stretch;
}

static void release_stretch_locked(struct space *space, const struct stretch *stretch) {
    for (size_t i = 0; i < stretch->count; i++) {
        struct segment *segment = &space->segments[stretch->first + i];
        segment->sealed = i + 1 == stretch->count ? stretch->to : SEGMENT_BYTES;
        segment->changing = false;
    }
    atomic_store_explicit(&space->unsealed, true, memory_order_relaxed); /* there may be more, or has come meanwhile */
}

/* What cannot be sealed, for there are too many mappings, counts as if it were: nothing depends on it. */
static void seal(struct space *space) {
    gate_enter(space->gate);
    struct stretch stretch = claim_stretch_locked(space);
    if (stretch.count == 0)
        atomic_store_explicit(&space->unsealed, false, memory_order_relaxed);
    gate_leave(space->gate);
    if (stretch.count == 0)
        return;
    size_t len = (stretch.count - 1) * SEGMENT_BYTES + stretch.to - stretch.from;
    (void)mprotect(space_segment(space, stretch.first) + stretch.from, len, PROT_READ);
    gate_enter(space->gate);
    release_stretch_locked(space, &stretch);
    gate_leave(space->gate);
}

void space_tend(struct space *space) {
    size_t free_count = atomic_load_explicit(&space->free_count, memory_order_relaxed);

    if (free_count < READY_SEGMENTS && !atomic_load_explicit(&space->lean, memory_order_relaxed) &&
        !atomic_load_explicit(&space->exhausted, memory_order_relaxed))
        add_free(space);
    else if (free_count > SPARE_SEGMENTS)
        (void)remove_free(space);
    space_prepare(space);
    if (atomic_load_explicit(&space->unsealed, memory_order_relaxed) &&
        !atomic_load_explicit(&space->unguarded, memory_order_relaxed))
        seal(space);
}

bool space_tend_quiet(struct space *space) {
    return atomic_load_explicit(&space->free_count, memory_order_relaxed) > QUIET_SEGMENTS && remove_free(space);
}
